// SPDX-License-Identifier: Apache-2.0
// Finished calls on their way from the core thread to one sink's thread. Full means drop and count.
#pragma once

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
    {
      const std::lock_guard lock(mutex_);
      if (calls_.size() >= capacity_ || stopped_) {
        ++dropped_;
        return;
      }
      calls_.push_back(call);
      ++accepted_;
    }
    changed_.notify_one();
  }

  // Up to `most` calls; empty only when woken by wake() or stop() with nothing queued.
  std::vector<LlmCall> take(size_t most) {
    std::unique_lock lock(mutex_);
    busy_ = false;
    idle_.notify_all();
    changed_.wait(lock, [&] { return !calls_.empty() || woken_ || stopped_; });
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
  uint64_t accepted_ = 0, dropped_ = 0;
  bool busy_ = false, woken_ = false, stopped_ = false;
};

}  // namespace llmtap
