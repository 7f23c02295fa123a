// SPDX-License-Identifier: Apache-2.0
#include "redaction/plaintext_redactor.h"

#include <algorithm>
#include <utility>

#include "base/ascii.h"
#include "llm/header_policy.h"

namespace llmtap {

namespace {

constexpr size_t kMaxMethodBytes = 16;
constexpr size_t kMaxNameBytes = 128;
constexpr size_t kMaxValueBytes = 128;  // of the fields that framing needs

std::string_view text_of(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// "HTTP/1.1 200", or a method, a blank and a path: nothing shorter is certain.
bool starts_with_status_line(std::string_view text) {
  return text.starts_with("HTTP/1.") && text.size() >= 12 && text[8] == ' ' && is_digit(text[9]) &&
         is_digit(text[11]);
}

bool starts_with_head(std::string_view text) {
  for (const std::string_view method :
       {"GET /", "POST /", "PUT /", "DELETE /", "PATCH /", "HEAD /", "OPTIONS /"})
    if (text.starts_with(method)) return true;
  return starts_with_status_line(text);
}

}  // namespace

std::vector<ByteRange> PlaintextRedactor::redact(std::span<uint8_t> bytes) {
  ByteRanges opaque;
  if (state_ == State::kLost ? starts_with_head(text_of(bytes))
                             : content_awaited_ && starts_with_status_line(text_of(bytes)))
    start_message();
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (state_ == State::kMethod && token_.empty()) other_protocol(bytes[i]);
    if (state_ == State::kFrames) {
      frames_->redact(bytes.subspan(i), i, opaque);
      break;
    }
    if (state_ == State::kHttp2) {
      http2_->redact(bytes.subspan(i), i, opaque);
      break;
    }
    opaque_ = false;
    bytes[i] = push(bytes[i]);
    if (opaque_) opaque.add(i);
  }
  return opaque.take();
}

void PlaintextRedactor::gap(uint64_t bytes) {
  if (state_ == State::kHttp2) return http2_->gap(bytes);
  if (state_ != State::kOpaque) state_ = State::kLost;
}

void PlaintextRedactor::start_message() {
  state_ = State::kMethod;
  token_.clear();
  name_.clear();
  value_.clear();
  type_.clear();
  secret_.reset();
  content_awaited_ = websocket_ = h2c_ = response_ = connect_ = keep_ = trailers_ = has_length_ = chunked_ =
      coded_ = false;
  target_.reset();
  status_digits_ = size_digits_ = 0;
  status_ = 0;
  left_ = 0;
}

uint8_t PlaintextRedactor::lose() {
  state_ = State::kLost;
  opaque_ = true;
  return kFiller;
}

uint8_t PlaintextRedactor::push(uint8_t byte) {
  content_awaited_ = false;
  switch (state_) {
    case State::kMethod: return method_byte(byte);
    case State::kTarget: return target_byte(byte);
    case State::kVersion:
      if (byte == '\n')
        state_ = State::kFieldName, line_start_ = true, name_.clear();
      else if (byte != '\r' &&
               std::string_view("HTP/1.0").find(static_cast<char>(byte)) == std::string_view::npos)
        return lose();
      return byte;
    case State::kStatus:
      if (is_digit(static_cast<char>(byte)) && status_digits_ < 3) {
        status_ = status_ * 10 + (byte - '0');
        ++status_digits_;
        return byte;
      }
      if (status_digits_ != 3) return lose();
      state_ = State::kReason;
      [[fallthrough]];
    case State::kReason:
      if (byte == '\n') state_ = State::kFieldName, line_start_ = true, name_.clear();
      return byte == '\r' || byte == '\n' || byte == ' ' ? byte : kFiller;
    case State::kFieldName: return field_name_byte(byte);
    case State::kFieldValue: return field_value_byte(byte);
    case State::kBody: {
      const uint8_t stored = content_byte(byte);
      if (has_length_ && --left_ == 0) start_message();
      return stored;
    }
    case State::kChunkSize:
    case State::kChunkExtension:
    case State::kChunkData:
    case State::kChunkEnd: return chunk_byte(byte);
    case State::kFrames:
    case State::kHttp2:
    case State::kLost:
    case State::kOpaque: break;
  }
  opaque_ = true;
  return kFiller;
}

// Of a direction that begins, and behind a request that asked for a WebSocket: whether the other side agreed
// is not seen here, what comes next tells.
void PlaintextRedactor::other_protocol(uint8_t byte) {
  const bool begins = !std::exchange(begun_, true);
  if (byte == '\r' || byte == '\n') return;
  if (std::exchange(frames_may_begin_, false) && WebSocketRedactor::may_begin(byte))
    begin_frames();
  else if (begins && byte == 0)
    begin_http2(false);  // its length: no method begins so
}

void PlaintextRedactor::begin_frames() {
  state_ = State::kFrames;
  frames_ = std::make_unique<WebSocketRedactor>(terms_->websocket, *terms_->budgets);
}

void PlaintextRedactor::begin_http2(bool client) {
  state_ = State::kHttp2;
  http2_ = std::make_unique<Http2Redactor>(client, terms_);
}

uint8_t PlaintextRedactor::method_byte(uint8_t byte) {
  const char c = static_cast<char>(byte);
  // Empty lines before a message (RFC 9112 2.2).
  if (token_.empty() && (c == '\r' || c == '\n')) return byte;
  if (c == ' ') {
    if (token_ == "HTTP/1.1" || token_ == "HTTP/1.0") {
      response_ = true;
      state_ = State::kStatus;
      return byte;
    }
    if (token_.size() < 3 || !std::ranges::all_of(token_, is_upper)) return lose();
    if (token_ == "PRI") {  // HTTP/2 (RFC 9113 3.4)
      begin_http2(true);
      return byte;
    }
    connect_ = token_ == "CONNECT";
    state_ = State::kTarget;
    return byte;
  }
  token_ += c;
  const bool status_line = std::string_view("HTTP/1.1").starts_with(token_) || token_ == "HTTP/1.0";
  if (!status_line && (!is_upper(c) || token_.size() > kMaxMethodBytes)) return lose();
  return byte;
}

uint8_t PlaintextRedactor::target_byte(uint8_t byte) {
  const char c = static_cast<char>(byte);
  if (c == '\n') return lose();
  if (c == ' ') {
    state_ = State::kVersion;
    secret_.reset();
    return byte;
  }
  return target_.push(byte);
}

uint8_t PlaintextRedactor::field_name_byte(uint8_t byte) {
  const char c = static_cast<char>(byte);
  if (c == '\r') return byte;
  if (c == '\n') {
    if (!line_start_ && !name_.empty()) return lose();  // a line without a colon
    if (trailers_) {
      start_message();
      return byte;
    }
    end_head();
    return byte;
  }
  if (line_start_ && (c == ' ' || c == '\t')) {
    // An obsolete line folding: goes on with the value before it (RFC 9112 5.2).
    line_start_ = false;
    state_ = State::kFieldValue;
    return byte;
  }
  if (line_start_) {
    line_start_ = false;
    name_.clear();
  }
  if (c == ':') {
    if (name_.empty()) return lose();
    state_ = State::kFieldValue;
    value_.clear();
    keep_ = is_allowed_header(name_) && !is_credential_header(name_);
    secret_.reset();
    return byte;
  }
  if (!is_token_char(c)) return lose();
  if (name_.size() > kMaxNameBytes) return kFiller;
  name_ += lower(c);
  return byte;
}

uint8_t PlaintextRedactor::field_value_byte(uint8_t byte) {
  const char c = static_cast<char>(byte);
  if (c == '\n') {
    end_field();
    state_ = State::kFieldName;
    line_start_ = true;
    return byte;
  }
  if (c == '\r' || c == ' ' || c == '\t') {
    if (!value_.empty() && c != '\r' && value_.size() <= kMaxValueBytes) value_ += c;
    secret_.reset();
    return byte;
  }
  if (value_.size() <= kMaxValueBytes) value_ += lower(c);
  return !secret_.hides(c) && keep_ && byte < 0x7F ? byte : kFiller;
}

void PlaintextRedactor::end_field() {
  if (trailers_) return;
  const std::string_view value = trimmed(value_);
  if (name_ == "content-length") {
    const auto length = parse_integer<uint64_t>(value);
    // Two different lengths, or nonsense: where the body ends is not certain.
    if (!length || (has_length_ && left_ != *length))
      chunked_ = false, coded_ = true, has_length_ = false;
    else
      has_length_ = true, left_ = *length;
  } else if (name_ == "transfer-encoding") {
    chunked_ = value.ends_with("chunked");
    if (value != "chunked" && value != "identity") coded_ = true;
  } else if (name_ == "content-encoding") {
    if (!value.empty() && value != "identity") coded_ = true;
  } else if (name_ == "upgrade") {
    websocket_ = value == "websocket";
    h2c_ = value == "h2c";
  } else if (name_ == "sec-websocket-extensions") {
    // Of more than was read nobody keeps a window: readable for those who do.
    if (response_ && value_.size() <= kMaxValueBytes) terms_->websocket->agree(value);
  } else if (name_ == "content-type") {
    type_ = trimmed(value.substr(0, value.find(';')));
  }
}

void PlaintextRedactor::end_head() {
  body_.begin(type_, coded_);
  if (response_ && status_ == 101) {
    state_ = State::kOpaque;
    if (websocket_) begin_frames();
    if (h2c_) begin_http2(false);
  } else if (response_ && (status_ < 200 || status_ == 204 || status_ == 304)) {
    start_message();
  } else if (chunked_) {
    state_ = State::kChunkSize;
    size_digits_ = 0;
    left_ = 0;
  } else if (has_length_) {
    if (left_ == 0)
      start_message();
    else
      state_ = State::kBody;
  } else if (response_) {
    state_ = State::kBody;  // until the connection ends
  } else if (connect_) {
    state_ = State::kOpaque;  // a tunnel
  } else if (coded_) {
    state_ = State::kLost;
  } else {
    frames_may_begin_ = websocket_;
    start_message();
  }
  content_awaited_ = response_ && (state_ == State::kBody || state_ == State::kChunkSize);
}

uint8_t PlaintextRedactor::content_byte(uint8_t byte) {
  const uint8_t stored = body_.push(byte);
  opaque_ = body_.opaque();
  return stored;
}

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

}  // namespace llmtap
