// SPDX-License-Identifier: Apache-2.0
// What the stream table knows of one connection. Of its own files only.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>

#include "streams/stream_table.h"

namespace llmtap {

struct StreamTable::Connection {
  ConnectionFacts facts;
  uint64_t touched = 0;
  std::array<uint64_t, 2> expected{};  // offset of the next byte
  std::array<bool, 2> direction_ended{};
  bool offsets_known = true;  // false: first met in the middle, the first record sets `expected`
  bool opened = false;        // the sink knows it
  bool ended = false;         // the sink was told its end; kept so that late records open nothing
  bool ciphertext = false;
  std::unique_ptr<ClientHelloReader> hello;
  Direction hello_direction = Direction::kWrite;
  // Of ciphertext:
  uint8_t turns = 0;
  Direction last_direction = Direction::kRead;
  bool judged = false;  // opaque or not
  // Of a TLS connection: the peer left, as the socket below it saw. The library may still hold
  // plaintext that the program reads later, so this is not its end.
  std::optional<EndReason> peer_left;
};

}  // namespace llmtap
