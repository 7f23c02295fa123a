// SPDX-License-Identifier: Apache-2.0
// One connection read by the protocols, its bytes in pieces of a given size.
#pragma once

#include <algorithm>
#include <cstdio>
#include <span>
#include <vector>

#include "base/check.h"
#include "fuzz/protocols_trace.h"
#include "protocols/connection_readers.h"

namespace llmtap::fuzz {

class ReadConnection {
 public:
  ReadConnection(const Limits& limits, size_t step, bool first_byte_seen = true)
      : readers_(limits, trace_, trace_), step_(step) {
    facts_.id = 1;
    facts_.role = Role::kClient;
    facts_.first_byte_seen = first_byte_seen;
    readers_.on_open(facts_);
  }
  void deliver(Direction direction, std::span<const uint8_t> bytes, bool lost) {
    ++now_;
    if (lost) return readers_.on_gap(facts_, direction, bytes.size(), now_);
    for (size_t at = 0; at < bytes.size(); at += step_) {
      // A copy of its size: a read beyond it is found.
      const auto part = bytes.subspan(at, std::min(step_, bytes.size() - at));
      const std::vector<uint8_t> piece(part.begin(), part.end());
      readers_.on_chunk(facts_, direction, {piece, 0, now_});
    }
  }
  // What was read; empty when it was lost and hunted, where the end of a piece is a sign.
  std::string end() {
    readers_.on_end(facts_, EndReason::kClosed, now_ + 1);
    const StageBooks& books = readers_.books();
    LLMTAP_CHECK(books.bytes_in == books.bytes_out + books.bytes_lost);
    LLMTAP_CHECK(readers_.counters().exchanges_begun == readers_.counters().exchanges_ended);
    LLMTAP_CHECK(readers_.decoder_bytes() == 0);
    const ProtocolCounters& counters = readers_.counters();
    const uint64_t resyncs = counters.resyncs + counters.http2_resyncs + counters.websocket_resyncs;
    return resyncs == 0 ? trace_.text : std::string();
  }

 private:
  Trace trace_;
  ConnectionReaders readers_;
  ConnectionFacts facts_;
  size_t step_;
  uint64_t now_ = 0;
};

// `run(step)` reads the same input in pieces of that size.
template <typename Run>
void check_cuts(const Run& run) {
  const std::string whole = run(4096);
  for (const size_t step : {1, 3, 17}) {
    const std::string cut = run(step);
    if (whole != cut)
      std::fprintf(stderr, "--- whole\n%s\n--- pieces of %zu\n%s\n", whole.c_str(), step, cut.c_str());
    LLMTAP_CHECK(whole == cut);
  }
}

}  // namespace llmtap::fuzz
