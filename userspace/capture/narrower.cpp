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

// As the kernel side has it.
uint64_t now_ns() {
  return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch() /
                               std::chrono::nanoseconds(1));
}

std::string file_path(const Narrower::File& file) {
  return "/proc/self/fd/" + std::to_string(file.opened.get());
}

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
  for (const auto& [user, own] : file.own)
    attacher_.count_link(user.first, file.number, CountedLink::kShared);
  numbers_[file.number] = false;
  file = {};
  ++changes_;
}

// Its bit in the kernel is cleared too: the process may live, or another have its number.
void Narrower::end_use(File& file, User user) {
  const auto found = file.own.find(user);
  if (found == file.own.end()) return;
  attacher_.count_link(user.first, file.number, CountedLink::kShared);
  file.ended.push_back(std::move(found->second.link));
  file.own.erase(found);
  ++changes_;
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
    const auto told = attacher_.count_link(user.first, file.number, CountedLink::kBoth);
    if (told == UprobeAttacher::Told::kGone) continue;
    if (told == UprobeAttacher::Told::kRefused) return false;
    // Without the shared link it cannot have been followed up to now.
    if (!target.shared) ++file.epoch;
    const uint64_t since_ns = now_ns();
    auto link = attacher_.attach(file_path(file), target.places,
                                 {.tgid = user.first, .file = file.number, .epoch = file.epoch});
    const auto counted =
        attacher_.count_link(user.first, file.number, link ? CountedLink::kOwn : CountedLink::kShared);
    if (counted == UprobeAttacher::Told::kGone) continue;
    if (!link || counted != UprobeAttacher::Told::kYes) return false;
    file.own[user] = {.link = std::move(*link), .epoch = file.epoch, .since_ns = since_ns};
    ++changes_;
  }
  return true;
}

// Each detach waits for a grace period of the kernel's: side by side they take the time of one.
void Narrower::drop_own(File& file, const Target& target, Time now) {
  std::vector<uint32_t> shared_again;
  {
    std::vector<std::jthread> threads;
    const auto drop = [&](std::unique_ptr<AttachedLink> link) {
      threads.emplace_back([gone = std::move(link)] {});
      ++changes_;
    };
    for (auto& link : file.ended) drop(std::move(link));
    file.ended.clear();
    for (auto it = file.own.begin(); it != file.own.end();) {
      auto& [user, own] = *it;
      const Time since = target.users.at(user);
      if (needs(user, since, now) || (target.shared && now - since < options_.young + options_.leave_within &&
                                      attacher_.in_call(user.first, true, own.since_ns))) {
        ++it;
        continue;
      }
      // In another epoch the two links would end each other's connections.
      const bool both = target.shared && own.epoch == file.epoch;
      attacher_.count_link(user.first, file.number, both ? CountedLink::kBoth : CountedLink::kShared);
      if (both) shared_again.push_back(user.first);
      drop(std::move(own.link));
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
  const auto state = file.policy.state();
  if (file.number == 0 ||
      (bound() <= 0 && state == NarrowPolicy::State::kShared && file.own.empty() && file.ended.empty()))
    return;
  if (state == NarrowPolicy::State::kLeaving && now - file.stepped < kLeavingPoll) return;
  const bool was_narrow = state == NarrowPolicy::State::kNarrow;
  if (was_narrow) unfollowed_ += now - file.stepped;
  file.stepped = now;
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
    return std::ranges::any_of(file.own, [&](const auto& entry) {
      return attacher_.in_call(entry.first.first, false, file.shared_since_ns);
    });
  };
  switch (file.policy.step(options_, look)) {
    case NarrowPolicy::Step::kLeave:
      if (auto opened = target.open()) file.opened = std::move(*opened);
      if (!file.opened || !attach_own(file, target, now)) file.policy.stay_shared(options_, now);
      break;
    case NarrowPolicy::Step::kDetachShared:
      target.shared.reset();
      ++changes_;
      break;
    case NarrowPolicy::Step::kAttachShared: {
      ++file.epoch;
      file.shared_since_ns = now_ns();
      auto link = attacher_.attach(file_path(file), target.places, shared_reach(file));
      if (link)
        target.shared = std::move(*link);
      else
        file.policy.still_narrow(options_, now);
      ++changes_;
      break;
    }
    case NarrowPolicy::Step::kNone:
      // One that needs it and cannot have its own is seen through the shared one.
      if (was_narrow && !attach_own(file, target, now)) file.policy.touch(options_, now);
      break;
  }
  if (file.own.empty() && file.policy.state() == NarrowPolicy::State::kShared) file.opened = UniqueFd();
}

}  // namespace llmtap
