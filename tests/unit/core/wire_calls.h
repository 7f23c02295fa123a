// SPDX-License-Identifier: Apache-2.0
// Bytes of one connection in, finished calls out: protocols and llm together.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "llm/call_tracker.h"
#include "protocols/connection_readers.h"
#include "unit/llm/exchange_text.h"
#include "unit/protocols/recorder.h"

namespace llmtap::test {

struct WireCalls {
  std::vector<LlmCall> calls;
  size_t exchanges = 0;  // finished, calls among them
  ProtocolCounters counters;
};

// `piece`: bytes delivered at once. Each step is 10 ms behind the one before.
inline WireCalls calls_of(const Script& script, size_t piece = 1 << 20,
                          std::shared_ptr<const PriceTable> prices = nullptr) {
  RecordingSink sink;
  CallTracker tracker({}, {}, {}, sink, sink);
  if (prices) tracker.set_prices(std::move(prices));
  ConnectionReaders readers({}, tracker, sink);
  const ConnectionFacts facts = client_facts();
  readers.on_open(facts);
  uint64_t now = 0;
  for (const Step& step : script) {
    now += 10 * kMs;
    if (step.kind == Step::Kind::kGap) readers.on_gap(facts, step.direction, step.gap, now);
    if (step.kind == Step::Kind::kEnd) readers.on_end(facts, step.reason, now);
    for (size_t at = 0; at < step.bytes.size(); at += piece) {
      const std::string part = step.bytes.substr(at, piece);
      readers.on_chunk(facts, step.direction, {bytes_of(part), at, now});
    }
  }
  return {sink.finished, sink.http_finished.size(), readers.counters()};
}

}  // namespace llmtap::test
