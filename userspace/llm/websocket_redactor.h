// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "llm/json_redactor.h"

namespace llmtap {

// Overwrites what the frames of one direction of a WebSocket carry (RFC 6455), pushed byte by byte: of JSON
// messages what JsonRedactor does, of others all. Frames, their lengths and their masks stay as they were.
class WebSocketRedactor {
 public:
  // The byte to store.
  uint8_t push(uint8_t byte);
  // The last byte is of no use but its length: compressed, or behind what is no frame.
  bool opaque() const { return opaque_; }
  // Whether a WebSocket's first frame may begin so, and no message of HTTP/1.1.
  static bool may_begin(uint8_t byte);

 private:
  enum class State : uint8_t { kFirst, kLength, kExtended, kKey, kPayload, kDamaged };
  enum class Content : uint8_t { kSniff, kJson, kOther };

  uint8_t damaged();
  void begin_payload();
  uint8_t payload_byte(uint8_t plain);

  State state_ = State::kFirst;
  Content content_ = Content::kSniff;
  JsonRedactor json_;
  bool opaque_ = false, masked_ = false, compressed_ = false;
  uint8_t opcode_ = 0;
  uint64_t left_ = 0;       // of the payload
  uint64_t at_ = 0;         // in the payload
  size_t header_left_ = 0;  // of the extended length, or of the key
  std::array<uint8_t, 4> key_{};
};

}  // namespace llmtap
