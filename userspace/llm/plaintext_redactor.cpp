// SPDX-License-Identifier: Apache-2.0
#include "llm/plaintext_redactor.h"

#include <algorithm>
#include <utility>

#include "base/ascii.h"
#include "llm/header_policy.h"

namespace llmtap {

namespace {

constexpr size_t kMaxMethodBytes = 16;
constexpr size_t kMaxNameBytes = 128;
constexpr size_t kMaxValueBytes = 128;    // of the fields that framing needs
constexpr size_t kMaxSegmentBytes = 256;  // beyond it a path segment is a blob, not a name

bool is_query_kept(std::string_view name) {
  for (const std::string_view kept :
       {"api-version", "alt", "beta", "model", "deployment", "version", "stream"})
    if (name == kept) return true;
  return false;
}

bool is_json_type(std::string_view type) {
  return type == "application/json" || type == "application/x-ndjson" || type == "application/ndjson" ||
         type == "application/jsonl" || type.ends_with("+json");
}

}  // namespace

std::vector<PlaintextRedactor::Range> PlaintextRedactor::redact(std::span<uint8_t> bytes) {
  std::vector<Range> ranges;
  if (state_ == State::kLost && starts_with_head(bytes)) start_message();
  for (size_t i = 0; i < bytes.size(); ++i) {
    opaque_ = false;
    bytes[i] = push(bytes[i]);
    if (!opaque_) continue;
    if (!ranges.empty() && ranges.back().offset + ranges.back().length == i)
      ++ranges.back().length;
    else
      ranges.push_back({i, 1});
  }
  return ranges;
}

void PlaintextRedactor::gap() {
  if (state_ != State::kOpaque) state_ = State::kLost;
}

// "HTTP/1.1 200", or a method, a blank and a path: nothing shorter is certain.
bool PlaintextRedactor::starts_with_head(std::span<const uint8_t> bytes) const {
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), std::min<size_t>(bytes.size(), 32));
  if (text.starts_with("HTTP/1."))
    return text.size() >= 12 && text[8] == ' ' && is_digit(text[9]) && is_digit(text[11]);
  for (const std::string_view method :
       {"GET /", "POST /", "PUT /", "DELETE /", "PATCH /", "HEAD /", "OPTIONS /"})
    if (text.starts_with(method)) return true;
  return false;
}

void PlaintextRedactor::start_message() {
  state_ = State::kMethod;
  token_.clear();
  name_.clear();
  value_.clear();
  type_.clear();
  secret_.reset();
  upgrade_ = response_ = connect_ = keep_ = trailers_ = has_length_ = chunked_ = coded_ = false;
  target_ = Target::kBegin;
  segment_bytes_ = status_digits_ = size_digits_ = 0;
  status_ = 0;
  left_ = 0;
}

uint8_t PlaintextRedactor::lose() {
  state_ = State::kLost;
  opaque_ = true;
  return kFiller;
}

uint8_t PlaintextRedactor::push(uint8_t byte) {
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
    case State::kFrames: {
      const uint8_t stored = frames_.push(byte);
      opaque_ = frames_.opaque();
      return stored;
    }
    case State::kLost:
    case State::kOpaque: break;
  }
  opaque_ = true;
  return kFiller;
}

uint8_t PlaintextRedactor::method_byte(uint8_t byte) {
  const char c = static_cast<char>(byte);
  // Empty lines before a message (RFC 9112 2.2).
  if (token_.empty() && (c == '\r' || c == '\n')) return byte;
  // Whether the other side agreed is not seen here: what comes next tells.
  if (std::exchange(frames_may_begin_, false) && WebSocketRedactor::may_begin(byte)) {
    state_ = State::kFrames;
    return push(byte);
  }
  if (c == ' ') {
    if (token_ == "HTTP/1.1" || token_ == "HTTP/1.0") {
      response_ = true;
      state_ = State::kStatus;
      return byte;
    }
    if (token_.size() < 3 || !std::ranges::all_of(token_, is_upper)) return lose();
    if (token_ == "PRI") {  // HTTP/2 (RFC 9113 3.4)
      state_ = State::kOpaque;
      opaque_ = true;
      return kFiller;
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
  if (target_ == Target::kBegin) {
    // Absolute and authority form can hold userinfo: overwritten up to the path or whole.
    target_ = c == '/' ? Target::kPath : Target::kOther;
    segment_bytes_ = 0;
    return c == '/' || c == '*' ? byte : kFiller;
  }
  if (c == '?' && (target_ == Target::kPath || target_ == Target::kOther)) {
    target_ = Target::kQueryName;
    query_name_.clear();
    secret_.reset();
    return byte;
  }
  switch (target_) {
    case Target::kPath:
      if (c == '/') {
        segment_bytes_ = 0;
        secret_.reset();
        return byte;
      }
      return secret_.hides(c) || ++segment_bytes_ > kMaxSegmentBytes || byte >= 0x7F || byte < 0x20 ? kFiller
                                                                                                    : byte;
    case Target::kQueryName:
      if (c == '=') {
        target_ = Target::kQueryValue;
        keep_ = is_query_kept(query_name_);
        secret_.reset();
        return byte;
      }
      if (c == '&' || c == ';') {
        query_name_.clear();
        return byte;
      }
      if (query_name_.size() <= kMaxNameBytes) query_name_ += c;
      // A query without '=' is a value in disguise when it is long or no name.
      return query_name_.size() <= 20 && (is_lower(c) || c == '-' || c == '_') ? byte : kFiller;
    case Target::kQueryValue:
      if (c == '&' || c == ';') {
        target_ = Target::kQueryName;
        query_name_.clear();
        return byte;
      }
      return keep_ && !secret_.hides(c) ? byte : kFiller;
    case Target::kOther:
    case Target::kBegin: break;
  }
  return c == '/' || c == ':' ? byte : kFiller;
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
  return keep_ && byte < 0x7F && !secret_.hides(c) ? byte : kFiller;
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
    upgrade_ = value == "websocket";
  } else if (name_ == "content-type") {
    type_ = trimmed(value.substr(0, value.find(';')));
  }
}

void PlaintextRedactor::end_head() {
  if (coded_)
    content_ = Content::kOpaque;
  else if (is_json_type(type_))
    content_ = Content::kJson;
  else if (type_ == "text/event-stream")
    content_ = Content::kSse;
  else if (type_.empty() || type_ == "text/plain")
    content_ = Content::kSniff;
  else
    content_ = Content::kOpaque;
  json_.reset();
  line_ = Line::kName;
  sse_name_.clear();
  after_cr_ = false;

  if (response_ && status_ == 101) {
    state_ = upgrade_ ? State::kFrames : State::kOpaque;
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
    frames_may_begin_ = upgrade_;
    start_message();
  }
}

}  // namespace llmtap
