// SPDX-License-Identifier: Apache-2.0
// Input: pieces of one connection in order, each behind two bytes: the top bit says the answering side,
// the others its length. Oracle: as long as frames were never lost, the exchanges do not depend on the
// cuts; every exchange ends, the books balance, nothing stays allocated; also with any one piece lost, and
// met in the middle.
#include <algorithm>
#include <cstdio>
#include <vector>

#include "base/check.h"
#include "fuzz/protocols_trace.h"
#include "protocols/connection_readers.h"

namespace {

using namespace llmtap;

std::string run(std::span<const uint8_t> input, size_t step, size_t lost_piece, bool first_byte_seen = true) {
  fuzz::Trace trace;
  Limits limits;
  limits.head_bytes = 512;
  limits.header_fields = 16;
  limits.http2_streams = 8;
  limits.http2_table_bytes = 4096;
  limits.http2_doubt_ns = 3;
  limits.decompress_floor_bytes = 1 << 16;
  ConnectionReaders readers(limits, trace, trace);
  ConnectionFacts facts;
  facts.id = 1;
  facts.role = Role::kClient;
  facts.first_byte_seen = first_byte_seen;
  readers.on_open(facts);
  size_t piece = 0;
  while (input.size() > 2) {
    const Direction direction = input[0] & 0x80 ? Direction::kRead : Direction::kWrite;
    const size_t length = std::min<size_t>((input[0] & 0x7fU) << 8 | input[1], input.size() - 2);
    const auto bytes = input.subspan(2, length);
    input = input.subspan(2 + length);
    if (piece++ == lost_piece) {
      readers.on_gap(facts, direction, bytes.size(), piece);
      continue;
    }
    for (size_t at = 0; at < bytes.size(); at += step) {
      // A copy of its size: a read beyond it is found.
      const auto part = bytes.subspan(at, std::min(step, bytes.size() - at));
      const std::vector<uint8_t> copy(part.begin(), part.end());
      readers.on_chunk(facts, direction, {copy, 0, piece});
    }
  }
  readers.on_end(facts, EndReason::kClosed, piece + 1);
  const StageBooks& books = readers.books();
  LLMTAP_CHECK(books.bytes_in == books.bytes_out + books.bytes_lost);
  LLMTAP_CHECK(readers.counters().exchanges_begun == readers.counters().exchanges_ended);
  LLMTAP_CHECK(readers.decoder_bytes() == 0);
  // In a hunt the end of a piece is a sign: cuts matter there, and only there.
  if (readers.counters().http2_resyncs + readers.counters().resyncs != 0) return {};
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
  for (size_t piece = 0; piece < 4; ++piece) run(input, 50, piece);
  run(input, 50, SIZE_MAX, false);
  return 0;
}
