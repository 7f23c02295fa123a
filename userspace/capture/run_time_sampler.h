// SPDX-License-Identifier: Apache-2.0
// What the BPF programs cost, estimated: the kernel reads the clock twice in every run while it adds up
// run times, which is dear, so it does that for one second of every minute.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include "capture/unique_fd.h"

namespace llmtap {

struct RunTime {
  uint64_t ns = 0, runs = 0;
};

class RunTimeSampler {
 public:
  static constexpr uint64_t kWindow_ns = 1'000'000'000;
  static constexpr uint64_t kPeriod_ns = 60 * kWindow_ns;

  // What the kernel has added up for each program so far; always the same programs in the same order.
  using Read = std::function<std::vector<RunTime>()>;
  // Switches the kernel's adding up on for as long as the descriptor is open.
  using Enable = std::function<UniqueFd()>;

  RunTimeSampler(Read read, Enable enable) : read_(std::move(read)), enable_(std::move(enable)) {}

  // One thread. The first window begins with the first call.
  void tick(uint64_t now_ns);
  // Any thread: of each program, the time and runs of all windows scaled to the time they stand for.
  std::vector<RunTime> estimate() const;

 private:
  Read read_;
  Enable enable_;
  UniqueFd enabled_;
  bool in_window_ = false;
  uint64_t window_start_ns_ = 0;
  std::vector<RunTime> at_start_;
  mutable std::mutex mutex_;
  std::vector<RunTime> estimate_;
};

}  // namespace llmtap
