// SPDX-License-Identifier: Apache-2.0
// Which calls become spans. Decided by what the call's trace says of itself, so that every node, and the
// caller's own SDK, decides the same of one trace without asking the others.
#pragma once

#include <chrono>
#include <cstdint>

#include "llmtap/llm_call.h"

namespace llmtap {

struct TraceSampler {
  enum class Type : uint8_t { kAlways, kNever, kProbability };
  Type type = Type::kAlways;
  // The rest is of kProbability alone.
  double rate = 0.1;  // 0 to 1; where no traceparent says
  bool keep_errors = true;
  std::chrono::nanoseconds keep_slower_than{0};  // 0: off

  bool keeps(const LlmCall& call) const;
};

}  // namespace llmtap
