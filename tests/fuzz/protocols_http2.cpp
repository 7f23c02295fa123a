// SPDX-License-Identifier: Apache-2.0
// Input: pieces of one connection in order, each behind two bytes: the top bit says the answering side,
// the others its length. Oracle: as long as frames were never lost, the exchanges do not depend on the
// cuts; every exchange ends, the books balance, nothing stays allocated; also with any one piece lost, and
// met in the middle.
#include "fuzz/protocols_connection.h"

namespace {

using namespace llmtap;

std::string run(std::span<const uint8_t> input, size_t step, size_t lost_piece, bool first_byte_seen = true) {
  Limits limits;
  limits.head_bytes = 512;
  limits.header_fields = 16;
  limits.http2_streams = 8;
  limits.http2_table_bytes = 4096;
  limits.http2_doubt_ns = 3;
  limits.decompress_floor_bytes = 1 << 16;
  fuzz::ReadConnection connection(limits, step, first_byte_seen);
  for (size_t piece = 0; input.size() > 2; ++piece) {
    const Direction direction = input[0] & 0x80 ? Direction::kRead : Direction::kWrite;
    const size_t length = std::min<size_t>((input[0] & 0x7fU) << 8 | input[1], input.size() - 2);
    connection.deliver(direction, input.subspan(2, length), piece == lost_piece);
    input = input.subspan(2 + length);
  }
  return connection.end();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 4096) return 0;
  const std::span<const uint8_t> input(data, size);
  fuzz::check_cuts([input](size_t step) { return run(input, step, SIZE_MAX); });
  for (size_t piece = 0; piece < 4; ++piece) run(input, 50, piece);
  run(input, 50, SIZE_MAX, false);
  return 0;
}
