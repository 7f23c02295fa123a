// SPDX-License-Identifier: Apache-2.0
#include "redaction/websocket_redactor.h"

#include <algorithm>

namespace llmtap {
namespace {

constexpr uint8_t kFiller = 'x';
// With all that a message's nesting and keys take, but for what is compressed.
constexpr size_t kKeptBytes = 1024;
constexpr uint8_t kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10;

}  // namespace

WebSocketRedactor::WebSocketRedactor(std::shared_ptr<const DeflateTerms> terms, RecordingBudgets& budgets)
    : terms_(std::move(terms)), budgets_(budgets), memory_(budgets.kept) {
  if (!memory_.resize(kKeptBytes)) state_ = State::kDamaged;
}

bool WebSocketRedactor::may_begin(uint8_t byte) {
  // With RSV1 and without FIN it could be a letter of a method.
  const uint8_t opcode = byte & 0x0f, flags = byte & 0xf0;
  if (opcode == kText || opcode == kBinary) return flags == 0x80 || flags == 0xc0 || flags == 0x00;
  return (opcode == kClose || opcode == kPing || opcode == kPong) && flags == 0x80;
}

bool WebSocketRedactor::in_compressed() const { return compressed_ && opcode_ < kClose; }

bool WebSocketRedactor::begin_payload() {
  at_ = 0;
  state_ = left_ > 0 ? State::kPayload : State::kFirst;
  // What did not fit has no byte left that could be missing: its end is.
  if (left_ == 0 && in_compressed() && !rewrite({})) state_ = State::kDamaged;
  return state_ != State::kDamaged;
}

void WebSocketRedactor::redact(std::span<uint8_t> bytes, size_t offset, ByteRanges& opaque) {
  for (size_t i = 0; i < bytes.size();) {
    if (state_ == State::kDamaged) {
      std::ranges::fill(bytes.subspan(i), kFiller);
      return opaque.add(offset + i, bytes.size() - i);
    }
    if (state_ != State::kPayload) {
      if (header_byte(bytes[i])) ++i;
      continue;
    }
    const auto used = static_cast<size_t>(std::min<uint64_t>(left_, bytes.size() - i));
    const std::span<uint8_t> payload = bytes.subspan(i, used);
    const auto mask = [&] {
      for (size_t k = 0; masked_ && k < used; ++k) payload[k] ^= key_[(at_ + k) % key_.size()];
    };
    mask();
    bool kept = true;
    if (in_compressed())
      kept = rewrite(payload);
    else
      for (size_t k = 0; k < used; ++k) payload[k] = payload_byte(payload[k], at_ + k);
    if (kept) {
      mask();
    } else {
      std::ranges::fill(payload, kFiller);
      opaque.add(offset + i, used);
    }
    at_ += used;
    left_ -= used;
    if (left_ == 0) state_ = State::kFirst;
    i += used;
  }
}

// False: no frame begins so, or none of its message can be kept.
bool WebSocketRedactor::header_byte(uint8_t byte) {
  switch (state_) {
    case State::kFirst:
      opcode_ = byte & 0x0f;
      if ((byte & 0x30) != 0 || (opcode_ > kBinary && opcode_ < kClose) || opcode_ > kPong) {
        state_ = State::kDamaged;
        return false;
      }
      final_ = (byte & 0x80) != 0;
      if (opcode_ == kText || opcode_ == kBinary) {
        compressed_ = (byte & 0x40) != 0;
        if (compressed_ && !deflate_) deflate_ = std::make_unique<DeflateRewriter>(budgets_);
        if (compressed_)
          deflate_->begin_message();
        else
          message_.begin();
      }
      state_ = State::kLength;
      return true;
    case State::kLength: {
      masked_ = (byte & 0x80) != 0;
      const uint8_t length = byte & 0x7f;
      left_ = length < 126 ? length : 0;
      header_left_ = length == 126 ? 2 : length == 127 ? 8 : 0;
      if (header_left_ > 0) {
        state_ = State::kExtended;
        return true;
      }
      break;
    }
    case State::kExtended:
      left_ = left_ << 8 | byte;
      if (--header_left_ > 0) return true;
      break;
    default: key_[key_.size() - header_left_] = byte; return --header_left_ > 0 || begin_payload();
  }
  if (masked_) {
    header_left_ = key_.size();
    state_ = State::kKey;
    return true;
  }
  return begin_payload();
}

uint8_t WebSocketRedactor::payload_byte(uint8_t plain, uint64_t at) {
  // Behind its code a close frame has words.
  if (opcode_ == kClose) return at < 2 ? plain : kFiller;
  if (opcode_ == kPing || opcode_ == kPong) return kFiller;
  return message_.push(plain);
}

// A piece of a compressed message, up to the end of the frame at most.
bool WebSocketRedactor::rewrite(std::span<uint8_t> payload) {
  const bool keeps = masked_ ? terms_->client_keeps : terms_->server_keeps;  // RFC 6455 5.1
  return deflate_->rewrite(payload, final_ && payload.size() == left_, keeps);
}

}  // namespace llmtap
