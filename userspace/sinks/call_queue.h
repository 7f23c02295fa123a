// SPDX-License-Identifier: Apache-2.0
// Finished calls on their way from the core thread to one sink's thread. Full means drop and count.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

#include "llmtap/llm_call.h"

namespace llmtap {

class CallQueue {
 public:
  explicit CallQueue(size_t capacity) : capacity_(capacity) {}

  // Never blocks longer than the other side's swap.
  void push(const LlmCall& call) {
    bool awaited = false;
    {
      const std::lock_guard lock(mutex_);
      if (calls_.size() >= capacity_ || stopped_) {
        ++dropped_;
        return;
      }
      calls_.push_back(call);
      ++accepted_;
      awaited = calls_.size() >= awaited_;
    }
    if (awaited) changed_.notify_one();
  }

  // Up to `most` calls; empty only when woken by wake() or stop() with nothing queued. Behind the first
  // one it waits so long for others: to be woken for each costs more than to deal with it.
  std::vector<LlmCall> take(size_t most, std::chrono::milliseconds gather = {}) {
    std::unique_lock lock(mutex_);
    busy_ = false;
    idle_.notify_all();
    const auto comes = [&] { return calls_.size() >= awaited_ || woken_ || stopped_; };
    changed_.wait(lock, comes);
    if (gather.count() > 0) {
      awaited_ = std::min(most, capacity_);
      changed_.wait_for(lock, gather, comes);
      awaited_ = 1;
    }
    woken_ = false;
    busy_ = true;
    std::vector<LlmCall> batch;
    while (!calls_.empty() && batch.size() < most) {
      batch.push_back(std::move(calls_.front()));
      calls_.pop_front();
    }
    return batch;
  }

  void wake() {
    {
      const std::lock_guard lock(mutex_);
      woken_ = true;
    }
    changed_.notify_one();
  }
  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    changed_.notify_all();
  }
  bool stopped() const {
    const std::lock_guard lock(mutex_);
    return stopped_;
  }
  // Everything pushed so far was taken and dealt with.
  template <typename Duration>
  bool wait_idle(Duration timeout) {
    std::unique_lock lock(mutex_);
    return idle_.wait_for(lock, timeout, [&] { return calls_.empty() && !busy_ && !woken_; });
  }
  // For the taking side: waits like a sleep that stop() ends.
  template <typename Duration>
  void pause(Duration time) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, time, [&] { return stopped_; });
  }

  // All that ever entered; less what the taking side has dealt with, it is what waits.
  uint64_t accepted() const {
    const std::lock_guard lock(mutex_);
    return accepted_;
  }
  uint64_t dropped() const {
    const std::lock_guard lock(mutex_);
    return dropped_;
  }

 private:
  const size_t capacity_;
  mutable std::mutex mutex_;
  std::condition_variable changed_, idle_;
  std::deque<LlmCall> calls_;
  size_t awaited_ = 1;  // so many are worth waking the taking side
  uint64_t accepted_ = 0, dropped_ = 0;
  bool busy_ = false, woken_ = false, stopped_ = false;
};

}  // namespace llmtap
