// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "redaction/byte_ranges.h"
#include "redaction/connection_terms.h"
#include "redaction/deflate_rewriter.h"
#include "redaction/message_redactor.h"

namespace llmtap {

// Overwrites what the frames of one direction of a WebSocket carry (RFC 6455): of JSON messages what
// JsonRedactor does, of others all. Frames, their lengths and their masks stay as they were; what is
// compressed is compressed again into as many bytes.
class WebSocketRedactor {
 public:
  // `budgets` outlive it. Beyond them nothing is kept.
  WebSocketRedactor(std::shared_ptr<const DeflateTerms> terms, RecordingBudgets& budgets);

  // In place. Adds to `opaque` what is of no use but its length, positions counted from `offset`: what could
  // not be compressed again, or lies behind what is no frame.
  void redact(std::span<uint8_t> bytes, size_t offset, ByteRanges& opaque);
  // Bytes are missing: nothing behind them is certain.
  void lose() { state_ = State::kDamaged; }
  // Whether a WebSocket's first frame may begin so, and no message of HTTP/1.1.
  static bool may_begin(uint8_t byte);

 private:
  enum class State : uint8_t { kFirst, kLength, kExtended, kKey, kPayload, kDamaged };

  bool header_byte(uint8_t byte);
  bool begin_payload();
  uint8_t payload_byte(uint8_t plain, uint64_t at);
  bool rewrite(std::span<uint8_t> payload);
  bool in_compressed() const;

  std::shared_ptr<const DeflateTerms> terms_;
  RecordingBudgets& budgets_;
  MemoryShare memory_;
  State state_ = State::kFirst;
  MessageRedactor message_;
  std::unique_ptr<DeflateRewriter> deflate_;
  bool masked_ = false, final_ = false, compressed_ = false;
  uint8_t opcode_ = 0;
  uint64_t left_ = 0;       // of the payload
  uint64_t at_ = 0;         // in the payload
  size_t header_left_ = 0;  // of the extended length, or of the key
  std::array<uint8_t, 4> key_{};
};

}  // namespace llmtap
