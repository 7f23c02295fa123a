// SPDX-License-Identifier: Apache-2.0
// Frames (RFC 9113 4, 6): their header, and what is certain enough to find one in the middle.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "protocols/codec.h"

namespace llmtap::http2 {

inline constexpr std::string_view kConnectionPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
inline constexpr size_t kFrameHeaderBytes = 9;
inline constexpr uint32_t kDefaultFrameBytes = 16384;  // 6.5.2, SETTINGS_MAX_FRAME_SIZE

enum class FrameType : uint8_t {
  kData = 0,
  kHeaders,
  kPriority,
  kRstStream,
  kSettings,
  kPushPromise,
  kPing,
  kGoaway,
  kWindowUpdate,
  kContinuation
};

inline constexpr uint8_t kEndStream = 0x1, kAck = 0x1, kEndHeaders = 0x4, kPadded = 0x8,
                         kPriorityFields = 0x20;

struct FrameHeader {
  uint32_t length = 0;
  FrameType type = FrameType::kData;
  uint8_t flags = 0;
  uint32_t stream = 0;
  bool reserved = false;
  bool has(uint8_t flag) const { return (flags & flag) != 0; }
};

// Of kFrameHeaderBytes bytes.
FrameHeader parse_frame_header(const uint8_t* bytes);

// What the standard demands of this frame, whatever came before. A type that nobody knows is valid (5.5).
bool valid(const FrameHeader& frame);
// Whether implementations send it: of a known type, with the flags of that type, no longer than
// `max_bytes`, on a stream that a client opened. Most bytes that are no frame header fail here.
bool plausible(const FrameHeader& frame, uint32_t max_bytes);
// Whether a plausible frame fills `bytes` bytes exactly; an empty one is too little to tell.
bool ends_with(const FrameHeader& frame, size_t bytes);
// Whether `bytes` begin with a plausible frame header and are certain to: the next frame's header
// follows and is plausible too, or the frame ends where they end.
bool begins_with_frames(std::span<const uint8_t> bytes, uint32_t max_bytes);

// Bytes of the payload before the content: pad length, priority, promised stream; all of a frame whose
// payload is numbers.
uint32_t prefix_bytes(const FrameHeader& frame);

}  // namespace llmtap::http2
