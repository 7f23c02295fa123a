// SPDX-License-Identifier: Apache-2.0
#include "llm/websocket_redactor.h"

namespace llmtap {
namespace {

constexpr uint8_t kFiller = 'x';
constexpr uint8_t kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10;

bool is_space(uint8_t byte) { return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n'; }

}  // namespace

bool WebSocketRedactor::may_begin(uint8_t byte) {
  // With RSV1 and without FIN it could be a letter of a method.
  const uint8_t opcode = byte & 0x0f, flags = byte & 0xf0;
  if (opcode == kText || opcode == kBinary) return flags == 0x80 || flags == 0xc0 || flags == 0x00;
  return (opcode == kClose || opcode == kPing || opcode == kPong) && flags == 0x80;
}

uint8_t WebSocketRedactor::damaged() {
  state_ = State::kDamaged;
  opaque_ = true;
  return kFiller;
}

void WebSocketRedactor::begin_payload() {
  at_ = 0;
  state_ = left_ > 0 ? State::kPayload : State::kFirst;
}

uint8_t WebSocketRedactor::push(uint8_t byte) {
  opaque_ = false;
  switch (state_) {
    case State::kFirst:
      opcode_ = byte & 0x0f;
      if ((byte & 0x30) != 0 || (opcode_ > kBinary && opcode_ < kClose) || opcode_ > kPong) return damaged();
      if (opcode_ == kText || opcode_ == kBinary) {
        compressed_ = (byte & 0x40) != 0;
        content_ = Content::kSniff;
        json_.reset();
      }
      state_ = State::kLength;
      return byte;
    case State::kLength: {
      masked_ = (byte & 0x80) != 0;
      const uint8_t length = byte & 0x7f;
      left_ = length < 126 ? length : 0;
      header_left_ = length == 126 ? 2 : length == 127 ? 8 : 0;
      if (header_left_ > 0) {
        state_ = State::kExtended;
      } else if (masked_) {
        header_left_ = key_.size();
        state_ = State::kKey;
      } else {
        begin_payload();
      }
      return byte;
    }
    case State::kExtended:
      left_ = left_ << 8 | byte;
      if (--header_left_ > 0) return byte;
      if (masked_) {
        header_left_ = key_.size();
        state_ = State::kKey;
      } else {
        begin_payload();
      }
      return byte;
    case State::kKey:
      key_[key_.size() - header_left_] = byte;
      if (--header_left_ == 0) begin_payload();
      return byte;
    case State::kPayload: {
      const uint8_t mask = masked_ ? key_[at_ % key_.size()] : uint8_t{0};
      const uint8_t stored = payload_byte(byte ^ mask) ^ mask;
      ++at_;
      if (--left_ == 0) state_ = State::kFirst;
      return opaque_ ? kFiller : stored;
    }
    case State::kDamaged: break;
  }
  return damaged();
}

uint8_t WebSocketRedactor::payload_byte(uint8_t plain) {
  // Behind its code a close frame has words.
  if (opcode_ == kClose) return at_ < 2 ? plain : kFiller;
  if (opcode_ == kPing || opcode_ == kPong) return kFiller;
  if (compressed_) {
    opaque_ = true;
    return kFiller;
  }
  if (content_ == Content::kSniff) {
    if (is_space(plain)) return plain;
    content_ = plain == '{' || plain == '[' ? Content::kJson : Content::kOther;
  }
  return content_ == Content::kJson ? json_.push(plain) : kFiller;
}

}  // namespace llmtap
