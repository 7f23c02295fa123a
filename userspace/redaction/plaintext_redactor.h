// SPDX-License-Identifier: Apache-2.0
// Overwrites credentials and content in recorded plaintext with filler of the same length, so that
// offsets, framing, numbers and JSON structure stay as they were and a replay gives the same calls
// (without identities; text estimates count bytes as characters).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "llm/secret_prefix.h"
#include "redaction/body_redactor.h"
#include "redaction/byte_ranges.h"
#include "redaction/connection_terms.h"
#include "redaction/http2_redactor.h"
#include "redaction/target_redactor.h"
#include "redaction/websocket_redactor.h"

namespace llmtap {

// One direction of one connection, bytes in stream order, cut anywhere. HTTP heads: values of all
// fields that are not on the allow list, and query values. JSON and SSE bodies: every string value
// except those of an allow list of keys (model, id, type, role, finish_reason, …); the same in the messages
// of a WebSocket. What it does not understand is overwritten whole.
class PlaintextRedactor {
 public:
  // `terms`: shared by both directions. Without them nothing is known of what the other side agreed to.
  explicit PlaintextRedactor(std::shared_ptr<ConnectionTerms> terms = std::make_shared<ConnectionTerms>())
      : terms_(std::move(terms)) {}

  // Redacts in place. Returns the ranges that could not be kept readable (bodies that are compressed,
  // multipart or binary, other protocols): they are overwritten, and of no use but their length; the caller
  // records them as a gap.
  std::vector<ByteRange> redact(std::span<uint8_t> bytes);

  // `bytes` of this direction were lost, 0: unknown how many. Until a call begins with a certain head
  // everything is overwritten.
  void gap(uint64_t bytes = 0);

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
    kHttp2,
    kLost,    // until a certain head
    kOpaque,  // another protocol, for good
  };

  void start_message();
  void other_protocol(uint8_t first);
  void begin_frames();
  void begin_http2(bool client);
  // The byte to store; sets opaque_ when it is of a range that is no use.
  uint8_t push(uint8_t byte);
  uint8_t method_byte(uint8_t byte);
  uint8_t target_byte(uint8_t byte);
  uint8_t field_name_byte(uint8_t byte);
  uint8_t field_value_byte(uint8_t byte);
  uint8_t chunk_byte(uint8_t byte);
  uint8_t content_byte(uint8_t byte);
  uint8_t lose();
  void end_field();
  void end_head();

  std::shared_ptr<ConnectionTerms> terms_;
  State state_ = State::kMethod;
  bool opaque_ = false;
  bool begun_ = false;
  // A reply's head is over: to HEAD no content comes, whatever the head says of it, but the next reply.
  bool content_awaited_ = false;
  std::string token_;  // method or version; bounded
  std::string name_, value_;
  SecretPrefix secret_;
  // This head asks for a WebSocket or for HTTP/2, or agrees to it.
  bool websocket_ = false, h2c_ = false;
  bool frames_may_begin_ = false;  // the last one asked for a WebSocket
  std::unique_ptr<WebSocketRedactor> frames_;
  std::unique_ptr<Http2Redactor> http2_;
  bool response_ = false, connect_ = false, keep_ = false, trailers_ = false, line_start_ = false;
  TargetRedactor target_;
  size_t status_digits_ = 0;
  int status_ = 0;
  // Framing and coding, by the head's fields.
  bool has_length_ = false, chunked_ = false, coded_ = false;
  uint64_t left_ = 0;
  size_t size_digits_ = 0;
  std::string type_;
  BodyRedactor body_;
};

}  // namespace llmtap
