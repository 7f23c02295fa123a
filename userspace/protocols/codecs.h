// SPDX-License-Identifier: Apache-2.0
// The protocols that we know by their first bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "protocols/codec.h"

namespace llmtap {

enum class FirstBytes : uint8_t { kNo, kMore, kRequest, kResponse, kEither };

struct Protocol {
  std::string_view name;
  // What the first bytes of one direction are in this protocol.
  FirstBytes (*recognise)(std::string_view bytes);
  // Whether a piece from the middle of a connection can be nothing else. Null: only a head says it.
  FirstBytes (*recognise_inside)(std::string_view piece);
  std::unique_ptr<Codec> (*make)(CodecContext&);
  uint64_t ProtocolCounters::* connections;
  // The name in HTTP/1.1's Upgrade field, when the reply to that request comes in this protocol.
  std::string_view upgrade;
  // Carries many exchanges at once: wanted or muted as a whole.
  bool multiplexed;
};

// More specific ones first.
std::span<const Protocol* const> protocols();
// By the token of an Upgrade field, any case; null if none goes on with the exchange.
const Protocol* protocol_by_upgrade(std::string_view token);

// What an HTTP/1.1 connection becomes by Upgrade: websocket. It begins with no bytes of its own.
const Protocol& websocket_protocol();

// Bytes that decide for every protocol.
inline constexpr size_t kFirstBytes = 24;

}  // namespace llmtap
