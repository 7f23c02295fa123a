// SPDX-License-Identifier: Apache-2.0
// What a sink (metrics, log, traces, recent calls) receives from the core. Called on the core
// thread, must not block: a sink that may block copies the call into a bounded queue of its own.
#pragma once

#include <cstdint>

#include "llmtap/llm_call.h"

namespace llmtap {

class CallSink {
 public:
  virtual ~CallSink() = default;
  // An LLM call was recognised; provider, operation and model are as known so far. Every opened call
  // is finished once.
  virtual void on_call_open(const LlmCall&) = 0;
  virtual void on_call_finished(const LlmCall&) = 0;
  virtual void on_http_open(const HttpExchange&) {}
  virtual void on_http_finished(const HttpExchange&) {}
  // The core's now: after each clock event.
  virtual void on_clock(const ClockFacts&) {}
};

}  // namespace llmtap
