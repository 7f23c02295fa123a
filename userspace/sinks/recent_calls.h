// SPDX-License-Identifier: Apache-2.0
// The last finished calls, for `llmtap calls` and the API. Written by the core thread, read by any.
#pragma once

#include <cstddef>
#include <deque>
#include <mutex>
#include <string>

#include "llmtap/limits.h"
#include "llmtap/sink.h"

namespace llmtap {

class RecentCalls : public CallSink {
 public:
  explicit RecentCalls(const Limits& limits) : capacity_(limits.recent_calls) {}

  void on_call_open(const LlmCall&) override {}
  void on_call_finished(const LlmCall& call) override;

  // {"calls":[…]}, newest first, each as in the call log; at most `most`.
  std::string to_json(size_t most = static_cast<size_t>(-1)) const;

 private:
  const size_t capacity_;
  mutable std::mutex mutex_;
  std::deque<LlmCall> calls_;  // oldest first
};

}  // namespace llmtap
