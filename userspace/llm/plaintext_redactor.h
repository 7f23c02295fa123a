// SPDX-License-Identifier: Apache-2.0
// Overwrites credentials and content in recorded plaintext with filler of the same length, so that
// offsets, framing, numbers and JSON structure stay as they were and a replay gives the same calls
// (without identities; text estimates count bytes as characters).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "llm/json_redactor.h"
#include "llm/secret_prefix.h"
#include "llm/websocket_redactor.h"

namespace llmtap {

// One direction of one connection, bytes in stream order, cut anywhere. HTTP/1.x heads: values of all
// fields that are not on the allow list, and query values. JSON and SSE bodies: every string value
// except those of an allow list of keys (model, id, type, role, finish_reason, …); the same in the messages
// of a WebSocket. What it does not understand is overwritten whole.
class PlaintextRedactor {
 public:
  struct Range {
    size_t offset = 0, length = 0;
    bool operator==(const Range&) const = default;
  };

  // Redacts in place. Returns the ranges that could not be kept readable (compressed, multipart or
  // binary bodies, other protocols): they are overwritten, and of no use but their length; the caller
  // records them as a gap.
  std::vector<Range> redact(std::span<uint8_t> bytes);

  // Bytes of this direction were lost: until a call begins with a certain head everything is
  // overwritten.
  void gap();

 private:
  static constexpr uint8_t kFiller = 'x';

  enum class State : uint8_t {
    kMethod,
    kTarget,
    kVersion,
    kStatus,
    kReason,
    kFieldName,
    kFieldValue,
    kBody,
    kChunkSize,
    kChunkExtension,
    kChunkData,
    kChunkEnd,
    kFrames,  // of a WebSocket
    kLost,    // until a certain head
    kOpaque,  // another protocol, for good
  };
  enum class Content : uint8_t { kOpaque, kJson, kSse, kSniff };

  void start_message();
  bool starts_with_head(std::span<const uint8_t> bytes) const;
  // The byte to store; sets opaque_ when it is of a range that is no use.
  uint8_t push(uint8_t byte);
  uint8_t method_byte(uint8_t byte);
  uint8_t target_byte(uint8_t byte);
  uint8_t field_name_byte(uint8_t byte);
  uint8_t field_value_byte(uint8_t byte);
  uint8_t chunk_byte(uint8_t byte);
  uint8_t content_byte(uint8_t byte);
  uint8_t sse_byte(uint8_t byte);
  uint8_t lose();
  void end_field();
  void end_head();

  State state_ = State::kMethod;
  bool opaque_ = false;
  std::string token_;  // method or version; bounded
  std::string name_, value_;
  std::string query_name_;
  SecretPrefix secret_;
  bool upgrade_ = false;           // this head asks for a WebSocket, or agrees to one
  bool frames_may_begin_ = false;  // the last one did
  WebSocketRedactor frames_;
  bool response_ = false, connect_ = false, keep_ = false, trailers_ = false, line_start_ = false;
  enum class Target : uint8_t { kBegin, kPath, kQueryName, kQueryValue, kOther } target_ = Target::kBegin;
  size_t segment_bytes_ = 0, status_digits_ = 0;
  int status_ = 0;
  // Framing and coding, by the head's fields.
  bool has_length_ = false, chunked_ = false, coded_ = false;
  uint64_t left_ = 0;
  size_t size_digits_ = 0;
  std::string type_;
  Content content_ = Content::kOpaque;
  JsonRedactor json_;
  // SSE.
  enum class Line : uint8_t { kName, kData, kEvent, kOther } line_ = Line::kName;
  std::string sse_name_;
  bool after_cr_ = false;
};

}  // namespace llmtap
