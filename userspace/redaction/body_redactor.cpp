// SPDX-License-Identifier: Apache-2.0
#include "redaction/body_redactor.h"

#include "base/ascii.h"

namespace llmtap {
namespace {

constexpr uint8_t kFiller = 'x';

bool is_json_type(std::string_view type) {
  // gRPC's messages are framed, whatever is in them.
  if (type.starts_with("application/grpc")) return false;
  return type == "application/json" || type == "application/x-ndjson" || type == "application/ndjson" ||
         type == "application/jsonl" || type.ends_with("+json");
}

}  // namespace

void BodyRedactor::begin(std::string_view type, bool coded) {
  if (coded)
    content_ = Content::kOpaque;
  else if (is_json_type(type))
    content_ = Content::kJson;
  else if (type == "text/event-stream")
    content_ = Content::kSse;
  else if (type.empty() || type == "text/plain")
    content_ = Content::kSniff;
  else
    content_ = Content::kOpaque;
  json_.reset();
  secret_.reset();
  line_ = Line::kName;
  sse_name_.clear();
  after_cr_ = false;
}

uint8_t BodyRedactor::push(uint8_t byte) {
  if (content_ == Content::kSniff) {
    if (byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n') return byte;
    content_ = byte == '{' || byte == '[' ? Content::kJson : Content::kOpaque;
  }
  if (content_ == Content::kJson) return json_.push(byte);
  if (content_ == Content::kSse) return sse_byte(byte);
  return kFiller;
}

uint8_t BodyRedactor::sse_byte(uint8_t byte) {
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
      return !secret_.hides(c) && (is_alnum(c) || c == '.' || c == '_' || c == '-' || c == ' ') ? byte
                                                                                                : kFiller;
    case Line::kOther: break;
  }
  return c == ' ' ? byte : kFiller;
}

}  // namespace llmtap
