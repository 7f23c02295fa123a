// SPDX-License-Identifier: Apache-2.0
// One direction of a WebSocket (RFC 6455 5) cut into frames, unmasked. Knows nothing of messages' text.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>

namespace llmtap::websocket {

enum class Opcode : uint8_t {
  kContinuation = 0,
  kText = 1,
  kBinary = 2,
  kClose = 8,
  kPing = 9,
  kPong = 10,
};

struct Frame {
  Opcode opcode = Opcode::kText;
  bool final = false;
  bool compressed = false;  // RSV1 (RFC 7692 6)
  bool masked = false;
  std::array<uint8_t, 4> key{};
  uint64_t length = 0;
  bool control() const { return opcode >= Opcode::kClose; }
};

class FrameListener {
 public:
  virtual ~FrameListener() = default;
  virtual void on_frame(const Frame&, uint64_t time_ns) = 0;
  // A piece of the current frame's payload, unmasked.
  virtual void on_payload(std::span<const uint8_t>, uint64_t time_ns) = 0;
  // Bytes of the current frame's payload were lost; the frame goes on.
  virtual void on_payload_gap(uint64_t time_ns) = 0;
  virtual void on_frame_end(uint64_t time_ns) = 0;
  // The frame that this side is in, and an unknown number after it, were lost.
  virtual void on_lost(uint64_t time_ns) = 0;
};

class FrameReader {
 public:
  enum class Deflate : uint8_t { kNone, kKeepsContext, kEachMessage };
  FrameReader(bool masked, Deflate deflate, FrameListener& listener)
      : masked_(masked), deflate_(deflate), listener_(listener) {}

  // One piece as it was written or read. False: not what the standard allows; nothing more may be fed.
  bool feed(std::span<const uint8_t> bytes, uint64_t time_ns);
  // Goes on behind the lost bytes if they lie in one payload, else at the next piece that begins with
  // frames, of which one is a JSON object: frames have no mark of their own.
  void gap(uint64_t bytes, uint64_t time_ns);
  bool hunting() const { return hunting_; }
  // Bytes read while hunting, for the books; resets the count.
  uint64_t take_hunted() { return std::exchange(hunted_bytes_, 0); }

 private:
  static constexpr size_t kMaxHeaderBytes = 14;
  // Bytes of the header at `have` so far; 0: more must come first.
  size_t header_bytes(std::span<const uint8_t> have) const;
  bool parse(std::span<const uint8_t> header, Frame& frame) const;
  bool begins_with_frames(std::span<const uint8_t> piece) const;
  void hunt(uint64_t time_ns);

  bool masked_;
  Deflate deflate_;
  FrameListener& listener_;
  std::array<uint8_t, kMaxHeaderBytes> header_{};
  size_t have_ = 0;
  bool in_frame_ = false, hunting_ = false;
  bool found_again_ = false;  // what is read may be no frames: the begin of it was guessed
  Frame frame_;
  uint64_t at_ = 0;  // in the payload
  uint64_t hunted_bytes_ = 0;
};

}  // namespace llmtap::websocket
