// SPDX-License-Identifier: Apache-2.0
#include "pipeline/load_shedder.h"

#include <algorithm>
#include <utility>

namespace llmtap {

std::string_view name_of(ShedLevel level) {
  switch (level) {
    case ShedLevel::kNone: return "none";
    case ShedLevel::kNarrow: return "narrow";
    case ShedLevel::kMuteSooner: return "mute_sooner";
    case ShedLevel::kRefuseNew: return "refuse_new";
    case ShedLevel::kDetached: return "detached";
  }
  return "none";
}

std::string_view describe(ShedLevel level) {
  switch (level) {
    case ShedLevel::kNone: return "";
    case ShedLevel::kNarrow:
      return "TLS of processes without LLM calls is read in one second of 20 (as capture.narrow_share "
             "allows)";
    case ShedLevel::kMuteSooner: return "connections without LLM calls are muted sooner";
    case ShedLevel::kRefuseNew: return "new connections are not read";
    case ShedLevel::kDetached: return "the probe is detached and sees no calls";
  }
  return "";
}

Result<> LoadShedder::step(uint64_t now_ns, uint64_t own_ns, double kernel_share) {
  const uint64_t window_ns = now_ns - window_start_ns_, spent_ns = own_ns - own_ns_;
  window_start_ns_ = now_ns;
  own_ns_ = own_ns;
  if (!std::exchange(started_, true) || window_ns == 0) return Ok{};
  // What is detached does not run, whenever it was last measured.
  share_ = static_cast<double>(spent_ns) / static_cast<double>(window_ns) +
           (level_ == ShedLevel::kDetached ? 0 : kernel_share);
  over_ = share_ > options_.cpu_share ? over_ + 1 : 0;
  if (over_ >= options_.windows_over && level_ != ShedLevel::kDetached) {
    // Back too early: the load is still there.
    const bool again = came_back_ns_ != 0 && now_ns - came_back_ns_ < 2 * hold_ns_;
    if (level_ == ShedLevel::kNone || again)
      hold_ns_ = again ? std::min(2 * hold_ns_, options_.longest_hold_ns) : options_.first_hold_ns;
    came_back_ns_ = 0;
    hold_until_ns_ = now_ns + hold_ns_;
    over_ = 0;
    ++steps_up_;
    return go(static_cast<ShedLevel>(static_cast<int>(level_) + 1));
  }
  // What it costs while it is detached says nothing of the load.
  if (level_ == ShedLevel::kNone || now_ns < hold_until_ns_ ||
      (level_ != ShedLevel::kDetached && share_ > options_.back_below * options_.cpu_share))
    return Ok{};
  came_back_ns_ = now_ns;
  hold_until_ns_ = now_ns + hold_ns_;
  ++steps_down_;
  return go(static_cast<ShedLevel>(static_cast<int>(level_) - 1));
}

Result<> LoadShedder::go(ShedLevel to) {
  const ShedLevel from = std::exchange(level_, to);
  return port_.shed(from, to);
}

}  // namespace llmtap
