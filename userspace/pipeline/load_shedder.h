// SPDX-License-Identifier: Apache-2.0
// Bounds what the probe costs the node: above a share of a core it does less, in steps, and says so;
// when the load is gone it comes back, and the sooner it had to go again, the later.
#pragma once

#include <cstdint>
#include <string_view>

#include "llmtap/result.h"

namespace llmtap {

enum class ShedLevel : uint8_t {
  kNone = 0,
  kNarrow = 1,      // processes without LLM calls are hooked in a part of the time
  kMuteSooner = 2,  // connections without LLM calls are not read after a few exchanges
  kRefuseNew = 3,   // nor those that are new
  kDetached = 4,    // nothing is hooked but the end of what was known
};
inline constexpr int kShedLevels = 5;

// "mute_sooner" and so on.
std::string_view name_of(ShedLevel);
// For a reader of /readyz and the log; empty for kNone.
std::string_view describe(ShedLevel);

class LoadShedPort {
 public:
  virtual ~LoadShedPort() = default;
  // From one level to a neighbour.
  virtual Result<> shed(ShedLevel from, ShedLevel to) = 0;
};

class LoadShedder {
 public:
  struct Options {
    double cpu_share = 0;  // of one core; 0: no bound
    uint64_t window_ns = 1'000'000'000;
    uint32_t windows_over = 2;  // in a row, before the next step
    double back_below = 0.5;    // of the share, to come back a step
    uint64_t first_hold_ns = 5'000'000'000, longest_hold_ns = 600'000'000'000;
  };

  LoadShedder(const Options& options, LoadShedPort& port) : options_(options), port_(port) {}

  bool enabled() const { return options_.cpu_share > 0; }
  // Whether step() wants to know the CPU time now; reading it costs system calls.
  bool due(uint64_t now_ns) const { return enabled() && now_ns - window_start_ns_ >= options_.window_ns; }
  // `own_ns`: CPU time of the process so far. `kernel_share`: of the BPF programs, as last measured.
  Result<> step(uint64_t now_ns, uint64_t own_ns, double kernel_share);

  ShedLevel level() const { return level_; }
  double cpu_share() const { return share_; }  // in the last window
  uint64_t steps_up() const { return steps_up_; }
  uint64_t steps_down() const { return steps_down_; }

 private:
  Result<> go(ShedLevel to);

  const Options options_;
  LoadShedPort& port_;
  ShedLevel level_ = ShedLevel::kNone;
  bool started_ = false;
  uint64_t window_start_ns_ = 0, own_ns_ = 0;
  uint32_t over_ = 0;
  uint64_t hold_ns_ = 0, hold_until_ns_ = 0, came_back_ns_ = 0;
  double share_ = 0;
  uint64_t steps_up_ = 0, steps_down_ = 0;
};

}  // namespace llmtap
