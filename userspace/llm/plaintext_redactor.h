// SPDX-License-Identifier: Apache-2.0
// Overwrites credentials and content in recorded plaintext with filler of the same length, so that
// offsets, framing, numbers and JSON structure stay as they were and a replay gives the same calls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace llmtap {

// One direction of one connection, bytes in stream order, cut anywhere. HTTP/1.x heads: values of all
// fields that are not on the allow list, and query values. JSON and SSE bodies: every string value
// except those of an allow list of keys (model, id, type, role, finish_reason, …). What it does not
// understand is overwritten whole.
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

  // Bytes of this direction were lost: until the next certain head everything is overwritten.
  void gap();

 private:
  enum class State : uint8_t { kStart, kStartLine, kHeaderName, kHeaderValue, kBody, kOpaque };
  enum class Chunk : uint8_t { kNone, kSize, kExtension, kData, kDataEnd, kTrailerStart, kTrailerLine };
  enum class Framing : uint8_t { kLength, kChunked, kUntilClose };

  void start_message();
  uint8_t head_byte(uint8_t byte);
  void end_header_field();
  void end_head();
  uint8_t start_line_byte(uint8_t byte);
  // Redacts one framing-free byte of the body.
  uint8_t content_byte(uint8_t byte);
  bool body_byte(uint8_t& byte);
  uint8_t json_byte(uint8_t byte);
  void end_string();
  bool keep_value() const;

  State state_ = State::kStart;
  bool lost_ = false;  // after a gap: only a new head ends the overwriting
  // Head.
  std::string line_;         // start line up to a bound, to read method and status
  std::string name_, value_; // of the current field, bounded
  std::string query_name_;
  bool is_response_ = false, in_query_ = false, in_query_value_ = false, keep_field_ = false;
  bool in_target_ = false, blank_line_ = false, line_empty_ = true;
  int status_ = 0;
  bool json_ = false, sse_ = false, coded_ = false;
  // Body.
  Framing framing_ = Framing::kLength;
  Chunk chunk_ = Chunk::kNone;
  bool has_length_ = false, chunked_ = false, readable_ = false;
  uint64_t left_ = 0;
  // JSON.
  bool in_string_ = false, escaped_ = false, string_is_key_ = false, keep_string_ = false, after_colon_ = false;
  unsigned unicode_left_ = 0;
  std::string key_;
  std::vector<bool> object_;  // open containers, true: object; bounded
  size_t skipped_depth_ = 0;
  // SSE.
  bool sse_line_start_ = true, sse_data_ = false;
  std::string sse_field_;
};

}  // namespace llmtap
