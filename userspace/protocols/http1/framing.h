// SPDX-License-Identifier: Apache-2.0
// The bytes of one side of an HTTP/1 connection cut into heads and bodies (RFC 9112 6, 7), with what
// to do when bytes are missing. Knows nothing of exchanges.
#pragma once

#include <cstdint>
#include <span>

#include "protocols/codec.h"
#include "protocols/http1/head.h"

namespace llmtap::http1 {

// What follows a head.
struct BodyPlan {
  enum class Kind : uint8_t {
    kNone,   // nothing, and no message either (1xx)
    kEmpty,  // a message without body
    kFixed,  // `length` bytes
    kChunked,
    kUntilClose,
    kUnframed,  // unknown: look for the next head
    kRefused,   // the head was none: go on looking
    kStop,      // ignore the rest of the connection
  };
  Kind kind = Kind::kNone;
  uint64_t length = 0;
};

struct HeadInfo {
  bool hunted = false;  // found after a loss, not where the last message ended
  bool oversized = false;
  uint64_t start_ns = 0, time_ns = 0;
};

class FramingListener {
 public:
  virtual ~FramingListener() = default;
  virtual BodyPlan on_head(Side, const Head&, const HeadInfo&) = 0;
  virtual void on_body_bytes(Side, std::span<const uint8_t>, uint64_t time_ns) = 0;
  // Lost inside a body whose framing goes on exactly.
  virtual void on_body_gap(Side, uint64_t bytes, uint64_t time_ns) = 0;
  virtual void on_body_end(Side, uint64_t time_ns) = 0;
  // The message that this side is in, if any, cannot be followed further.
  virtual void on_lost(Side, Defect, uint64_t time_ns) = 0;
};

class Framing {
 public:
  Framing(Side side, CodecContext& context, FramingListener& listener);

  void feed(std::span<const uint8_t> bytes, uint64_t time_ns);
  void gap(uint64_t bytes, uint64_t time_ns);
  void stop() { enter(State::kStopped); }
  // Forgets the message it is in; looks for the next head.
  void lose(Defect defect, uint64_t time_ns);
  // The side ended where a message that lasts until then may end: that message ends.
  void end_of_input(uint64_t time_ns);

  bool until_close() const { return state_ == State::kUntilClose; }
  bool hunting() const { return state_ == State::kHunt || hunted_; }
  // Why it hunts, or last did.
  Defect lost_by() const { return lost_by_; }
  bool between_messages() const { return state_ == State::kHead && head_.empty() && !hunted_; }
  bool stopped() const { return state_ == State::kStopped; }

 private:
  enum class State : uint8_t {
    kHead,
    kFixed,
    kChunkSize,
    kChunkData,
    kChunkEnd,
    kTrailers,
    kUntilClose,
    kHunt,
    kStopped
  };

  void enter(State state);
  size_t feed_head(std::span<const uint8_t> bytes, uint64_t time_ns);
  size_t feed_hunt(std::span<const uint8_t> bytes, uint64_t time_ns);
  size_t feed_chunk_size(std::span<const uint8_t> bytes, uint64_t time_ns);
  size_t feed_chunk_end(std::span<const uint8_t> bytes, uint64_t time_ns);
  size_t feed_trailers(std::span<const uint8_t> bytes, uint64_t time_ns);
  void finish_head(uint64_t time_ns);
  void end_body(uint64_t time_ns);
  void skip(uint64_t bytes);

  const Side side_;
  CodecContext& context_;
  FramingListener& listener_;
  State state_ = State::kHead;
  HeadBuffer head_;
  Defect lost_by_ = Defect::kLostSegment;
  bool hunted_ = false;       // kHead: of a candidate that hunting found
  bool at_candidate_ = true;  // kHunt: a head may begin here
  uint64_t head_start_ns_ = 0;
  uint64_t left_ = 0;        // kFixed, kChunkData
  uint64_t line_bytes_ = 0;  // kChunkSize, kTrailers: of the current line
  uint64_t chunk_size_ = 0;
  bool size_ended_ = false;  // behind the digits: an extension, blanks
  bool saw_cr_ = false;
};

}  // namespace llmtap::http1
