// SPDX-License-Identifier: Apache-2.0
// Where the core thread leaves a copy of its counters for scrapes on other threads.
#pragma once

#include <mutex>

#include "pipeline/core.h"

namespace llmtap {

class StatsBoard {
 public:
  // Core thread. Copies at most ten times a second: a scrape needs no more.
  void publish(const Core& core, std::chrono::steady_clock::time_point now) {
    if (now < next_) return;
    next_ = now + std::chrono::milliseconds(100);
    CoreStats stats = core.stats();
    const std::lock_guard lock(mutex_);
    stats_ = std::move(stats);
  }
  CoreStats read() const {
    const std::lock_guard lock(mutex_);
    return stats_;
  }

 private:
  std::chrono::steady_clock::time_point next_{};
  mutable std::mutex mutex_;
  CoreStats stats_;
};

}  // namespace llmtap
