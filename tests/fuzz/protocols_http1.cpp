// SPDX-License-Identifier: Apache-2.0
// Input: "request bytes" 0x00 "reply bytes" 0x00 "request bytes" …: turns of one connection. Oracle:
// the exchanges do not depend on the cuts, every exchange ends, the books balance; with the bytes of
// one turn lost nothing else is promised.
#include <algorithm>
#include <cstdio>
#include <vector>

#include "base/check.h"
#include "fuzz/protocols_trace.h"
#include "protocols/connection_readers.h"

namespace {

using namespace llmtap;

std::string run(std::span<const uint8_t> input, size_t step, size_t lost_turn) {
  fuzz::Trace trace;
  Limits limits;
  limits.head_bytes = 512;
  limits.header_fields = 16;
  limits.pipelined_requests = 8;
  limits.decompress_floor_bytes = 1 << 16;
  ConnectionReaders readers(limits, trace, trace);
  ConnectionFacts facts;
  facts.id = 1;
  facts.role = Role::kClient;
  facts.first_byte_seen = true;
  readers.on_open(facts);
  size_t turn = 0;
  while (!input.empty()) {
    const auto end = std::find(input.begin(), input.end(), uint8_t{0});
    const auto bytes = input.first(static_cast<size_t>(end - input.begin()));
    input = input.subspan(std::min(bytes.size() + 1, input.size()));
    const Direction direction = turn % 2 == 0 ? Direction::kWrite : Direction::kRead;
    if (turn++ == lost_turn) {
      readers.on_gap(facts, direction, bytes.size(), turn);
      continue;
    }
    for (size_t at = 0; at < bytes.size(); at += step) {
      // A copy of its size: a read beyond it is found.
      const auto part = bytes.subspan(at, std::min(step, bytes.size() - at));
      const std::vector<uint8_t> piece(part.begin(), part.end());
      readers.on_chunk(facts, direction, {piece, 0, turn});
    }
  }
  readers.on_end(facts, EndReason::kClosed, turn + 1);
  const StageBooks& books = readers.books();
  LLMTAP_CHECK(books.bytes_in == books.bytes_out + books.bytes_lost);
  LLMTAP_CHECK(readers.counters().exchanges_begun == readers.counters().exchanges_ended);
  LLMTAP_CHECK(readers.decoder_bytes() == 0);
  // In a hunt a chunk's begin is a place where a head may be: cuts matter there, and only there.
  if (readers.counters().resyncs != 0) return {};
  return trace.text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 4096) return 0;
  const std::span<const uint8_t> input(data, size);
  const std::string whole = run(input, 4096, SIZE_MAX);
  for (const size_t step : {1, 3, 17}) {
    const std::string cut = run(input, step, SIZE_MAX);
    if (whole != cut)
      std::fprintf(stderr, "--- whole\n%s\n--- pieces of %zu\n%s\n", whole.c_str(), step, cut.c_str());
    LLMTAP_CHECK(whole == cut);
  }
  for (size_t turn = 0; turn < 4; ++turn) run(input, 50, turn);
  return 0;
}
