// SPDX-License-Identifier: Apache-2.0
// Chunk framing and what bodies hold: JSON, server-sent events, or bytes that are overwritten whole.
#include "base/ascii.h"
#include "llm/plaintext_redactor.h"

namespace llmtap {

uint8_t PlaintextRedactor::chunk_byte(uint8_t byte) {
  const char c = static_cast<char>(byte);
  switch (state_) {
    case State::kChunkSize:
      if (is_hex(c)) {
        if (++size_digits_ > 15) return lose();
        left_ = left_ * 16 + static_cast<uint64_t>(hex_value(c));
        return byte;
      }
      if (size_digits_ == 0) return lose();
      state_ = State::kChunkExtension;
      [[fallthrough]];
    case State::kChunkExtension:
      if (c == '\n') {
        if (left_ == 0)
          state_ = State::kFieldName, trailers_ = true, line_start_ = true, name_.clear();
        else
          state_ = State::kChunkData;
        return byte;
      }
      return c == '\r' || c == ';' || c == ' ' ? byte : kFiller;
    case State::kChunkData: {
      const uint8_t stored = content_byte(byte);
      if (--left_ == 0) state_ = State::kChunkEnd;
      return stored;
    }
    default:
      if (c == '\n') {
        state_ = State::kChunkSize;
        size_digits_ = 0;
        return byte;
      }
      return c == '\r' ? byte : lose();
  }
}

uint8_t PlaintextRedactor::content_byte(uint8_t byte) {
  if (content_ == Content::kSniff) {
    if (byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n') return byte;
    content_ = byte == '{' || byte == '[' ? Content::kJson : Content::kOpaque;
  }
  if (content_ == Content::kJson) return json_.push(byte);
  if (content_ == Content::kSse) return sse_byte(byte);
  opaque_ = true;
  return kFiller;
}

uint8_t PlaintextRedactor::sse_byte(uint8_t byte) {
  const char c = static_cast<char>(byte);
  const bool second_of_crlf = after_cr_ && c == '\n';
  after_cr_ = c == '\r';
  if (second_of_crlf) return byte;
  if (c == '\r' || c == '\n') {
    // An empty line dispatches the event: the next one's data is another document.
    if (line_ == Line::kName && sse_name_.empty())
      json_.reset();
    else if (line_ == Line::kData)
      json_.push(' ');
    line_ = Line::kName;
    sse_name_.clear();
    return byte;
  }
  switch (line_) {
    case Line::kName:
      if (c == ':') {
        line_ = sse_name_ == "data" ? Line::kData : sse_name_ == "event" ? Line::kEvent : Line::kOther;
        sse_name_ += c;
        secret_.reset();
        return byte;
      }
      if (sse_name_.size() <= 8) sse_name_ += c;
      // Only what can still become a name of the standard.
      for (const std::string_view name : {"data", "event", "id", "retry"})
        if (name.starts_with(sse_name_)) return byte;
      line_ = Line::kOther;
      return kFiller;
    case Line::kData: return json_.push(byte);
    case Line::kEvent:
      return (is_alnum(c) || c == '.' || c == '_' || c == '-' || c == ' ') && !secret_.hides(c) ? byte
                                                                                                : kFiller;
    case Line::kOther: break;
  }
  return c == ' ' ? byte : kFiller;
}

}  // namespace llmtap
