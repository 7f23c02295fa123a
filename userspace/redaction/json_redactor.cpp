// SPDX-License-Identifier: Apache-2.0
#include "redaction/json_redactor.h"

#include <algorithm>
#include <iterator>

namespace llmtap {

namespace {

constexpr size_t kMaxDepth = 256;
constexpr size_t kMaxKeyBytes = 64;
constexpr size_t kMaxValueBytes = 256;

// Keys whose string values are identifiers of the API, none of the user. Values still must look it.
constexpr std::string_view kKept[] = {"model",
                                      "id",
                                      "object",
                                      "type",
                                      "role",
                                      "finish_reason",
                                      "finishReason",
                                      "stop_reason",
                                      "stopReason",
                                      "status",
                                      "event",
                                      "event_id",
                                      "stream_id",
                                      "event_type",
                                      "service_tier",
                                      "serviceTier",
                                      "modelVersion",
                                      "responseId",
                                      "request_id",
                                      "previous_response_id",
                                      "conversation",
                                      "conversation_id",
                                      "call_id",
                                      "tool_call_id",
                                      "tool_use_id",
                                      "item_id",
                                      "response_id",
                                      "done_reason",
                                      "native_finish_reason",
                                      "blockReason",
                                      "jsonrpc",
                                      "method",
                                      "protocolVersion",
                                      "encoding_format",
                                      "size",
                                      "quality",
                                      "response_format",
                                      "voice",
                                      "format",
                                      "truncation",
                                      "tool_choice",
                                      "system_fingerprint",
                                      "provider",
                                      "created_at",
                                      "createTime",
                                      "processing_status",
                                      "error_code",
                                      "remote_model",
                                      "stop_type",
                                      "modality",
                                      "trafficType",
                                      "speed",
                                      "effort",
                                      "reasoning_effort",
                                      "toolUseId",
                                      "completionReason",
                                      "finish_reasons",
                                      "modalities",
                                      "responseModalities",
                                      "include",
                                      "param",
                                      "model_name",
                                      "model_version",
                                      "@type",
                                      "error_type",
                                      "severity",
                                      "completion_window",
                                      "endpoint",
                                      "inference_geo",
                                      "model_instance_id",
                                      "ttl",
                                      "tokenCount"};
// Objects under these hold what users, tools and applications wrote.
constexpr std::string_view kDenied[] = {"arguments",
                                        "args",
                                        "metadata",
                                        "properties",
                                        "input_schema",
                                        "inputSchema",
                                        "schema",
                                        "json_schema",
                                        "responseSchema",
                                        "response_schema",
                                        "functionResponse",
                                        "function_response",
                                        "labels",
                                        "requestMetadata",
                                        "structured_content",
                                        "structuredContent",
                                        "json",
                                        "toolResult",
                                        "litellm_metadata",
                                        "user_location",
                                        "location",
                                        "logit_bias",
                                        "variables",
                                        "extra_body",
                                        "output_schema",
                                        "outputSchema",
                                        "$defs",
                                        "definitions",
                                        "proxy_server_request"};
// "name" below these names a tool; elsewhere it can be a person.
constexpr std::string_view kNames[] = {"function",
                                       "tools",
                                       "tool_choice",
                                       "functionCall",
                                       "functionDeclarations",
                                       "function_declarations",
                                       "toolSpec",
                                       "toolUse",
                                       "content_block",
                                       "content",
                                       "item",
                                       "output",
                                       "params",
                                       "tool",
                                       "functions",
                                       "start",
                                       "server_tool_use"};
constexpr std::string_view kReasons[] = {"incomplete_details", "status_details", "details", "errors"};
constexpr std::string_view kNumbers[] = {
    "embedding", "embeddings", "values",    "float",      "int8",   "uint8", "binary",    "input",
    "prompt",    "context",    "input_ids", "output_ids", "tokens", "bytes", "token_ids", "prompt_token_ids"};
constexpr std::string_view kWords[] = {"true", "false", "null", "DONE"};

template <size_t N>
bool in(const std::string_view (&list)[N], std::string_view text) {
  return std::ranges::find(list, text) != std::end(list);
}

bool identifier_char(char c) {
  return is_alnum(c) || c == '_' || c == '-' || c == '.' || c == ':' || c == '/' || c == '@' || c == '$' ||
         c == '+';
}

bool is_space(uint8_t byte) { return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n'; }

}  // namespace

void JsonRedactor::reset() {
  levels_.clear();
  key_.clear();
  word_.clear();
  secret_.reset();
  in_string_ = escaped_ = is_key_ = expect_key_ = malformed_ = false;
}

uint8_t JsonRedactor::push(uint8_t byte) {
  if (malformed_) return is_space(byte) ? byte : uint8_t{'x'};
  return in_string_ ? string_byte(byte) : bare_byte(byte);
}

bool JsonRedactor::keeps_value() const {
  const Level& level = levels_.back();
  if (level.denied) return false;
  if (!level.object) return level.keep;
  return in(kKept, key_) || (key_ == "name" && level.names) || (key_ == "code" && !level.names) ||
         (key_ == "reason" && level.reasons);
}

uint8_t JsonRedactor::string_byte(uint8_t byte) {
  if (escaped_) {
    escaped_ = false;
    return 'x';
  }
  if (byte == '\\') {
    // An escape has no place in an identifier. Both its bytes go, so that what stands is plain.
    escaped_ = true;
    mode_ = Mode::kOverwrite;
    if (is_key_) key_.assign(kMaxKeyBytes + 1, '?');
    return 'x';
  }
  if (byte == '"') {
    end_string();
    return byte;
  }
  const char c = static_cast<char>(byte);
  if (is_key_ && key_.size() <= kMaxKeyBytes) key_ += c;
  const size_t bound = is_key_ ? kMaxKeyBytes : kMaxValueBytes;
  if (++string_bytes_ > bound || !identifier_char(c)) mode_ = Mode::kOverwrite;
  if (mode_ == Mode::kOverwrite) return 'x';
  return secret_.hides(c) ? uint8_t{'x'} : byte;
}

void JsonRedactor::end_string() {
  in_string_ = false;
  secret_.reset();
  if (is_key_) expect_key_ = false;
}

void JsonRedactor::open(bool object) {
  if (levels_.size() == kMaxDepth) {
    malformed_ = true;
    return;
  }
  Level next;
  next.object = object;
  if (!levels_.empty()) {
    const Level& level = levels_.back();
    if (level.object) {
      // What a tool is given; of a Realtime session, how sound comes in.
      next.denied = in(kDenied, key_) || (object && key_ == "input" && !level.audio);
      next.audio = key_ == "audio";
      next.names = in(kNames, key_);
      next.reasons = in(kReasons, key_);
      next.numbers = in(kNumbers, key_);
      next.keep = !object && in(kKept, key_);
    } else {
      next.names = level.names;
      next.reasons = level.reasons;
    }
    next.denied = next.denied || level.denied;
    // Arrays of arrays: vectors of a batch. An object starts afresh.
    if (!level.object && !object) next.numbers = level.numbers;
    if (next.denied) next.numbers = true;
  }
  levels_.push_back(next);
  key_.clear();
  expect_key_ = object;
}

void JsonRedactor::close() {
  levels_.pop_back();
  key_.clear();
  expect_key_ = false;
}

uint8_t JsonRedactor::bare_byte(uint8_t byte) {
  if (is_space(byte)) {
    word_.clear();
    return byte;
  }
  const char c = static_cast<char>(byte);
  const bool structural = std::string_view("{}[],:\"").find(c) != std::string_view::npos;
  if (structural) word_.clear();
  const auto fail = [&] {
    malformed_ = true;
    return uint8_t{'x'};
  };
  if (levels_.empty() && c != '{' && c != '[') return fail();
  switch (c) {
    case '{':
    case '[': open(c == '{'); return malformed_ ? uint8_t{'x'} : byte;
    case '}':
    case ']':
      if (levels_.back().object != (c == '}')) return fail();
      close();
      return byte;
    case ',':
      if (levels_.back().object) expect_key_ = true, key_.clear();
      return byte;
    case ':': return byte;
    case '"':
      in_string_ = true;
      is_key_ = levels_.back().object && expect_key_;
      string_bytes_ = 0;
      if (is_key_) key_.clear();
      mode_ = (is_key_ ? !levels_.back().denied : keeps_value()) ? Mode::kKeep : Mode::kOverwrite;
      return byte;
    default: break;
  }
  if (is_digit(c) || c == '-' || c == '+' || c == '.' || (word_.empty() && (c == 'e' || c == 'E'))) {
    const bool content = levels_.back().numbers && (!levels_.back().object || levels_.back().denied);
    return content && is_digit(c) ? uint8_t{'1'} : byte;
  }
  word_ += c;
  if (std::ranges::none_of(kWords, [&](std::string_view word) { return word.starts_with(word_); }))
    return fail();
  return byte;
}

}  // namespace llmtap
