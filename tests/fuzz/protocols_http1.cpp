// SPDX-License-Identifier: Apache-2.0
// Input: "request bytes" 0x00 "reply bytes" 0x00 "request bytes" …: turns of one connection. Oracle:
// the exchanges do not depend on the cuts, every exchange ends, the books balance; with the bytes of
// one turn lost nothing else is promised.
#include "fuzz/protocols_connection.h"

namespace {

using namespace llmtap;

std::string run(std::span<const uint8_t> input, size_t step, size_t lost_turn) {
  Limits limits;
  limits.head_bytes = 512;
  limits.header_fields = 16;
  limits.pipelined_requests = 8;
  limits.decompress_floor_bytes = 1 << 16;
  fuzz::ReadConnection connection(limits, step);
  for (size_t turn = 0; !input.empty(); ++turn) {
    const auto end = std::find(input.begin(), input.end(), uint8_t{0});
    const auto bytes = input.first(static_cast<size_t>(end - input.begin()));
    input = input.subspan(std::min(bytes.size() + 1, input.size()));
    connection.deliver(turn % 2 == 0 ? Direction::kWrite : Direction::kRead, bytes, turn == lost_turn);
  }
  return connection.end();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 4096) return 0;
  const std::span<const uint8_t> input(data, size);
  fuzz::check_cuts([input](size_t step) { return run(input, step, SIZE_MAX); });
  for (size_t turn = 0; turn < 4; ++turn) run(input, 50, turn);
  return 0;
}
