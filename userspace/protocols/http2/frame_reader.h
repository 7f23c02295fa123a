// SPDX-License-Identifier: Apache-2.0
// The bytes of one side of an HTTP/2 connection cut into frames, with what to do when bytes are
// missing. Knows nothing of streams and header blocks.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "protocols/codec.h"
#include "protocols/http2/frame.h"

namespace llmtap::http2 {

class FrameListener {
 public:
  virtual ~FrameListener() = default;
  // False: not now; feed() stops in front of this frame's payload.
  virtual bool admit(Side, const FrameHeader&) = 0;
  // `prefix`: prefix_bytes() of the payload, pad length excluded.
  virtual void on_frame(Side, const FrameHeader&, std::span<const uint8_t> prefix, uint64_t time_ns) = 0;
  virtual void on_content(Side, const FrameHeader&, std::span<const uint8_t>, uint64_t time_ns) = 0;
  // Lost inside the content; the frame goes on exactly.
  virtual void on_content_gap(Side, const FrameHeader&, uint64_t bytes, uint64_t time_ns) = 0;
  virtual void on_frame_end(Side, const FrameHeader&, uint64_t time_ns) = 0;
  // Frames are missing from here on, up to the next on_frame.
  virtual void on_lost(Side, Defect, uint64_t time_ns) = 0;
};

class FrameReader {
 public:
  // `preface`: the side begins with the connection preface.
  FrameReader(Side side, bool preface, CodecContext& context, FrameListener& listener);

  // Returns how many bytes it took: fewer only if the listener did not admit a frame.
  size_t feed(std::span<const uint8_t> bytes, uint64_t time_ns);
  void gap(uint64_t bytes, uint64_t time_ns);
  void lose(Defect defect, uint64_t time_ns);

  bool hunting() const { return state_ == State::kHunt; }
  bool between_frames() const { return state_ == State::kHeader && have_ == 0; }

 private:
  enum class State : uint8_t { kPreface, kHeader, kAdmit, kPrefix, kContent, kPadding, kHunt };

  size_t gather(std::span<const uint8_t> bytes, size_t want);
  size_t feed_preface(std::span<const uint8_t> bytes, uint64_t time_ns);
  size_t feed_hunt(std::span<const uint8_t> bytes);
  bool certain(std::span<const uint8_t> bytes, size_t at);
  void begin_frame(uint64_t time_ns);
  bool admit_frame(uint64_t time_ns);
  void end_prefix(uint64_t time_ns);
  void end_frame(uint64_t time_ns);
  void found();

  const Side side_;
  CodecContext& context_;
  FrameListener& listener_;
  State state_;
  std::array<uint8_t, 24> buffer_{};  // preface, header or prefix, when a piece ends within it
  size_t have_ = 0;
  FrameHeader frame_;
  uint32_t content_left_ = 0, padding_left_ = 0;
  uint32_t largest_frame_ = kDefaultFrameBytes;
  uint32_t on_trial_ = 0;  // frames after a hunt that must look as frames do
  // kHunt: position of the next byte, and where the next frame begins if an earlier guess was right.
  uint64_t position_ = 0;
  std::vector<uint64_t> guesses_;
};

}  // namespace llmtap::http2
