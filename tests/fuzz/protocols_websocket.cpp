// SPDX-License-Identifier: Apache-2.0
// First byte: bit 0 permessage-deflate, bit 1 without context takeover, the rest the turn that is lost. Then
// turns of "length high, length low, bytes", the client's first. Oracle: the exchanges do not depend on
// the cuts, every exchange ends, the books balance.
#include <string>

#include "fuzz/protocols_connection.h"

namespace {

using namespace llmtap;

std::span<const uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::string run(uint8_t how, std::span<const uint8_t> input, size_t step, size_t lost_turn) {
  Limits limits;
  limits.pipelined_requests = 4;
  // More than an input of this size can become: where a bomb is found depends on the pieces.
  limits.decompress_floor_bytes = 8 << 20;
  fuzz::ReadConnection connection(limits, step);
  connection.deliver(Direction::kWrite,
                     bytes_of("GET /v1/responses HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n"), false);
  std::string reply = "HTTP/1.1 101 X\r\nUpgrade: websocket\r\n";
  if ((how & 1) != 0)
    reply += std::string("Sec-WebSocket-Extensions: permessage-deflate") +
             ((how & 2) != 0 ? "; client_no_context_takeover; server_no_context_takeover\r\n" : "\r\n");
  connection.deliver(Direction::kRead, bytes_of(reply + "\r\n"), false);
  for (size_t turn = 0; input.size() >= 2; ++turn) {
    const size_t length = std::min<size_t>(size_t{input[0]} << 8 | input[1], input.size() - 2);
    connection.deliver(turn % 2 == 0 ? Direction::kWrite : Direction::kRead, input.subspan(2, length),
                       turn == lost_turn);
    input = input.subspan(2 + length);
  }
  return connection.end();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1 || size > 4096) return 0;
  const std::span<const uint8_t> input(data + 1, size - 1);
  fuzz::check_cuts([&](size_t step) { return run(data[0], input, step, SIZE_MAX); });
  // What is looked for behind a loss depends on the pieces: nothing but the books is promised.
  run(data[0], input, 50, size_t{data[0]} >> 2);
  return 0;
}
