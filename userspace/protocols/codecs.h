// SPDX-License-Identifier: Apache-2.0
// The protocols that we know by their first bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "protocols/codec.h"

namespace llmtap {

enum class FirstBytes : uint8_t { kNo, kMore, kRequest, kResponse };

struct Protocol {
  std::string_view name;
  // What the first bytes of one direction are in this protocol.
  FirstBytes (*recognise)(std::string_view bytes);
  // Null: known, not read.
  std::unique_ptr<Codec> (*make)(CodecContext&);
  uint64_t ProtocolCounters::* connections;
  uint64_t ProtocolCounters::* not_read;
};

// More specific ones first.
std::span<const Protocol* const> protocols();

// Bytes that decide for every protocol.
inline constexpr size_t kFirstBytes = 24;

}  // namespace llmtap
