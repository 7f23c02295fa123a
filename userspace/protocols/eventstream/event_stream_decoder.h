// SPDX-License-Identifier: Apache-2.0
// application/vnd.amazon.eventstream: one event per message. Data is passed on in pieces and never
// kept; the checksum behind it decides whether the event is complete.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "protocols/event_output.h"
#include "protocols/eventstream/chunk_bytes.h"
#include "protocols/eventstream/message_headers.h"

namespace llmtap {

class EventStreamDecoder {
 public:
  explicit EventStreamDecoder(size_t max_name_bytes) : max_name_bytes_(max_name_bytes) {}

  // False: damaged; nothing more may be fed.
  bool feed(std::span<const uint8_t> bytes, uint64_t time_ns, EventOutput& out);
  // `bytes` were lost here (0: unknown how many): goes on behind them if they lie in one payload, else
  // at the next prelude whose checksum says that it is one.
  void gap(uint64_t bytes, uint64_t time_ns, EventOutput& out);
  // The body is over: a message that it is in is incomplete.
  void finish(uint64_t time_ns, EventOutput& out);

 private:
  enum class State : uint8_t { kPrelude, kHunt, kHeaders, kPayload, kChecksum };
  static constexpr size_t kPreludeBytes = 12, kChecksumBytes = 4;

  size_t feed_prelude(std::span<const uint8_t> bytes);
  size_t feed_hunt(std::span<const uint8_t> bytes);
  bool begin_message();
  bool end_headers();
  size_t feed_whole(std::span<const uint8_t> bytes, uint64_t time_ns, EventOutput& out);
  void feed_payload(std::span<const uint8_t> bytes, uint64_t time_ns, EventOutput& out);
  void end_event(bool complete, uint64_t time_ns, EventOutput& out);
  void hunt(uint64_t time_ns, EventOutput& out);

  size_t max_name_bytes_;
  State state_ = State::kPrelude;
  std::array<uint8_t, kPreludeBytes> prelude_{};
  size_t have_ = 0;  // of the prelude or the checksum
  uint32_t headers_left_ = 0, payload_left_ = 0;
  uint32_t sum_ = 0, sent_sum_ = 0;  // CRC-32 of the message so far; the one that it ends with
  MessageHeaders headers_;
  ChunkBytes chunk_;
  bool is_chunk_ = false;
  bool cut_ = false;  // bytes of the payload were lost, or are not what they should be
  uint64_t data_bytes_ = 0, first_byte_ns_ = 0;
};

}  // namespace llmtap
