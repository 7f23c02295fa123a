// SPDX-License-Identifier: Apache-2.0
// The arrow back: what a connection deserves, from protocols/ and llm/ to capture/. Ignored in replay.
#pragma once

#include <cstdint>

#include "llmtap/events.h"

namespace llmtap {

enum class Verdict : uint8_t {
  kUndecided = LLMTAP_VERDICT_UNDECIDED,
  kWanted = LLMTAP_VERDICT_WANTED,
  kHeads = LLMTAP_VERDICT_HEADS,
  kTimes = LLMTAP_VERDICT_TIMES,
  kMuted = LLMTAP_VERDICT_MUTED,
  kRepeats = LLMTAP_VERDICT_REPEATS,  // of an HTTP/1 request that its head alone shows to be no LLM call
};

class VerdictSink {
 public:
  virtual ~VerdictSink() = default;
  // Idempotent; an id that is gone is ignored.
  virtual void set_verdict(uint64_t connection_id, Verdict) = 0;
};

}  // namespace llmtap
