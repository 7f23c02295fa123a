// SPDX-License-Identifier: Apache-2.0
#include "capture/narrower.h"

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

namespace llmtap {
namespace {

// Under pressure: any that is measured at all.
constexpr double kPressed = 1e-6;
// How often calls underway are looked for, and how often the time unfollowed is counted on.
constexpr std::chrono::milliseconds kLeavingPoll{50}, kNarrowPoll{1'000};

}  // namespace

void Narrower::enter(File& file) {
  for (size_t number = 1; number < numbers_.size(); ++number) {
    if (numbers_[number]) continue;
    numbers_[number] = true;
    file.number = static_cast<uint8_t>(number);
    return;
  }
}

void Narrower::leave(File& file) {
  for (const auto& [user, link] : file.own)
    attacher_.count_link(user.first, file.number, CountedLink::kShared);
  numbers_[file.number] = false;
  file = {};
}

double Narrower::bound() const { return pressed_ && options_.cpu_share > 0 ? kPressed : options_.cpu_share; }

void Narrower::forget_all_but(const std::set<uint32_t>& tgids) {
  std::erase_if(evident_, [&](const auto& entry) { return !tgids.contains(entry.first.first); });
}

void Narrower::read_hits() {
  if (bound() > 0) hits_ = attacher_.shared_hits();
}

bool Narrower::needs(User user, Time since, Time now) const {
  return now - since < options_.young || is_evident(user);
}

bool Narrower::attach_own(File& file, const Target& target, Time now) {
  for (const auto& [user, since] : target.users) {
    if (file.own.contains(user) || !needs(user, since, now)) continue;
    if (!file.opened) {
      auto opened = target.open();
      if (!opened) return false;
      file.opened = std::move(*opened);
    }
    // Without the shared link it cannot have been followed up to now.
    if (!target.shared) ++file.epoch;
    const LinkReach reach{.tgid = user.first, .file = file.number, .epoch = file.epoch};
    if (!attacher_.count_link(user.first, file.number, CountedLink::kBoth)) continue;  // gone meanwhile
    auto link = attacher_.attach("/proc/self/fd/" + std::to_string(file.opened.get()), target.places, reach);
    attacher_.count_link(user.first, file.number, link ? CountedLink::kOwn : CountedLink::kShared);
    if (!link) return false;
    file.own[user] = std::move(*link);
  }
  return true;
}

// Each detach waits for a grace period of the kernel's: side by side they take the time of one.
void Narrower::drop_own(File& file, const Target& target, Time now) {
  std::vector<uint32_t> shared_again;
  {
    std::vector<std::jthread> threads;
    for (auto it = file.own.begin(); it != file.own.end();) {
      const uint32_t tgid = it->first.first;
      const auto known = target.users.find(it->first);
      const bool lives = known != target.users.end();
      if (lives && (needs(it->first, known->second, now) || attacher_.in_call(tgid, true))) {
        ++it;
        continue;
      }
      if (lives && attacher_.count_link(tgid, file.number, CountedLink::kBoth)) shared_again.push_back(tgid);
      threads.emplace_back([link = std::move(it->second)] {});
      it = file.own.erase(it);
    }
  }
  for (const uint32_t tgid : shared_again) attacher_.count_link(tgid, file.number, CountedLink::kShared);
}

// From now on their calls are not counted against the file.
void Narrower::mark_evident(const Target& target) {
  for (const auto& [user, since] : target.users) {
    const auto found = evident_.find(user);
    if (found != evident_.end() && !std::exchange(found->second, true)) attacher_.mark_evident(user.first);
  }
}

Narrower::Time Narrower::due(const File& file) const {
  if (file.number == 0) return Time::max();
  const Time due = file.policy.due(options_, bound());
  switch (file.policy.state()) {
    case NarrowPolicy::State::kShared: return due;
    case NarrowPolicy::State::kLeaving: return file.stepped + kLeavingPoll;
    case NarrowPolicy::State::kNarrow: return std::min(due, file.stepped + kNarrowPoll);
  }
  return due;
}

void Narrower::step(File& file, const Target& target, Time now) {
  if (file.number == 0 || (bound() <= 0 && file.policy.state() == NarrowPolicy::State::kShared)) return;
  if (!target.shared && file.policy.state() != NarrowPolicy::State::kNarrow) return;  // never was attached
  drop_own(file, target, now);
  NarrowPolicy::Look look{.now = now, .cpu_share = bound(), .hits = hits_[file.number]};
  for (const auto& [user, since] : target.users) ++(needs(user, since, now) ? look.wanted : look.others);
  look.hit_ns = [&] {
    mark_evident(target);
    return attacher_.hit_cost_ns();
  };
  look.calls_underway = [&] {
    // A process that came or showed evidence since needs its own first.
    if (!attach_own(file, target, now)) return true;
    return std::ranges::any_of(
        file.own, [&](const auto& entry) { return attacher_.in_call(entry.first.first, false); });
  };
  const bool was_narrow = file.policy.state() == NarrowPolicy::State::kNarrow;
  if (was_narrow) unfollowed_ += now - file.stepped;
  file.stepped = now;
  switch (file.policy.step(options_, look)) {
    case NarrowPolicy::Step::kLeave:
      if (!attach_own(file, target, now)) file.policy.stay_shared(options_, now);
      break;
    case NarrowPolicy::Step::kDetachShared: target.shared.reset(); break;
    case NarrowPolicy::Step::kAttachShared: {
      auto opened = target.open();
      ++file.epoch;
      auto link = opened ? attacher_.attach("/proc/self/fd/" + std::to_string(opened->get()), target.places,
                                            shared_reach(file))
                         : Result<std::unique_ptr<AttachedLink>>(opened.error());
      if (link)
        target.shared = std::move(*link);
      else
        file.policy.still_narrow(options_, now);
      break;
    }
    case NarrowPolicy::Step::kNone:
      if (was_narrow) attach_own(file, target, now);
      break;
  }
  if (file.own.empty()) file.opened = UniqueFd();
}

}  // namespace llmtap
