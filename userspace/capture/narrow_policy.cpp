// SPDX-License-Identifier: Apache-2.0
#include "capture/narrow_policy.h"

#include <algorithm>

namespace llmtap {
namespace {

// Taken for more than a hit costs anywhere: below the bound with this, what it costs here need not be known.
constexpr double kDearestHit_ns = 10'000;

}  // namespace

bool NarrowPolicy::touch(const Options& options, Time now) {
  hold_until_ = std::max(hold_until_, now + options.shared_for);
  if (state_ == State::kLeaving) state_ = State::kShared;
  touched_ |= state_ == State::kNarrow;
  return touched_;
}

void NarrowPolicy::still_narrow(const Options& options, Time now) {
  state_ = State::kNarrow;
  since_ = now - options.narrow_for + options.window;
}

void NarrowPolicy::stay_shared(const Options& options, Time now) {
  state_ = State::kShared;
  hold_until_ = now + options.leave_within;
}

NarrowPolicy::Step NarrowPolicy::look_at_cost(const Options& options, const Look& look) {
  if (!started_) {
    started_ = true;
    window_start_ = look.now;
    hits_ = look.hits;
    return Step::kNone;
  }
  if (const auto window = look.now - window_start_; window >= options.window) {
    const double per_ns =
        static_cast<double>(look.hits - hits_) / std::chrono::duration<double, std::nano>(window).count();
    share_ = 0;
    if (look.cpu_share > 0 && per_ns * kDearestHit_ns > look.cpu_share) share_ = per_ns * look.hit_ns();
    over_ = look.cpu_share > 0 && share_ > look.cpu_share ? over_ + 1 : 0;
    if (over_ == 0) known_dear_ = false;
    window_start_ = look.now;
    hits_ = look.hits;
  }
  if (over_ < (known_dear_ ? 1 : options.windows_over) || look.now < hold_until_ || look.others == 0 ||
      look.wanted > options.links)
    return Step::kNone;
  state_ = State::kLeaving;
  since_ = look.now;
  return Step::kLeave;
}

NarrowPolicy::Step NarrowPolicy::step(const Options& options, const Look& look) {
  switch (state_) {
    case State::kShared: return look_at_cost(options, look);
    case State::kLeaving:
      if (look.wanted > options.links || look.now - since_ >= options.leave_within) {
        stay_shared(options, look.now);
        return Step::kNone;
      }
      if (look.calls_underway()) return Step::kNone;
      state_ = State::kNarrow;
      since_ = look.now;
      return Step::kDetachShared;
    case State::kNarrow:
      if (!touched_ && look.now - since_ < options.narrow_for && look.wanted <= options.links &&
          look.others > 0 && look.cpu_share > 0)
        return Step::kNone;
      state_ = State::kShared;
      touched_ = false;
      known_dear_ = true;
      over_ = 0;
      window_start_ = look.now;
      hits_ = look.hits;
      hold_until_ = std::max(hold_until_, look.now + options.shared_for);
      return Step::kAttachShared;
  }
  return Step::kNone;
}

NarrowPolicy::Time NarrowPolicy::due(const Options& options, double cpu_share) const {
  switch (state_) {
    case State::kShared: return cpu_share > 0 ? window_start_ + options.window : Time::max();
    case State::kLeaving: return Time::min();
    case State::kNarrow: return touched_ ? Time::min() : since_ + options.narrow_for;
  }
  return Time::max();
}

}  // namespace llmtap
