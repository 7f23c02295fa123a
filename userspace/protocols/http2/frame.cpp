// SPDX-License-Identifier: Apache-2.0
#include "protocols/http2/frame.h"

namespace llmtap::http2 {
namespace {

constexpr uint32_t kMaxSettingsBytes = 16 * 6;
constexpr uint32_t kMaxGoawayBytes = 1024;  // its debug text is a line
// Ids count up by two from 1: no connection comes this far, and four bytes of text are beyond it.
constexpr uint32_t kMaxPlausibleStream = 1 << 28;

// Flags that the type defines.
uint8_t known_flags(FrameType type) {
  switch (type) {
    case FrameType::kData: return kEndStream | kPadded;
    case FrameType::kHeaders: return kEndStream | kEndHeaders | kPadded | kPriorityFields;
    case FrameType::kSettings:
    case FrameType::kPing: return kAck;
    case FrameType::kPushPromise: return kEndHeaders | kPadded;
    case FrameType::kContinuation: return kEndHeaders;
    default: return 0;
  }
}

}  // namespace

FrameHeader parse_frame_header(const uint8_t* b) {
  FrameHeader frame;
  frame.length = static_cast<uint32_t>(b[0] << 16 | b[1] << 8 | b[2]);
  frame.type = static_cast<FrameType>(b[3]);
  frame.flags = b[4];
  frame.reserved = (b[5] & 0x80) != 0;
  frame.stream = static_cast<uint32_t>((b[5] & 0x7f) << 24 | b[6] << 16 | b[7] << 8 | b[8]);
  return frame;
}

uint32_t prefix_bytes(const FrameHeader& frame) {
  const uint32_t pad = frame.has(kPadded) ? 1 : 0;
  switch (frame.type) {
    case FrameType::kData: return pad;
    case FrameType::kHeaders: return pad + (frame.has(kPriorityFields) ? 5 : 0);
    case FrameType::kPushPromise: return pad + 4;
    case FrameType::kRstStream: return 4;
    case FrameType::kGoaway: return 8;
    default: return 0;
  }
}

bool valid(const FrameHeader& frame) {
  const bool connection = frame.stream == 0;
  switch (frame.type) {
    case FrameType::kData:
    case FrameType::kHeaders:
    case FrameType::kPushPromise: return !connection && frame.length >= prefix_bytes(frame);
    case FrameType::kContinuation: return !connection;
    case FrameType::kPriority: return !connection && frame.length == 5;
    case FrameType::kRstStream: return !connection && frame.length == 4;
    case FrameType::kSettings:
      return connection && frame.length % 6 == 0 && (!frame.has(kAck) || frame.length == 0);
    case FrameType::kPing: return connection && frame.length == 8;
    case FrameType::kGoaway: return connection && frame.length >= 8;
    case FrameType::kWindowUpdate: return frame.length == 4;
    default: return true;
  }
}

bool plausible(const FrameHeader& frame, uint32_t max_bytes) {
  if (frame.type > FrameType::kContinuation || frame.reserved || frame.length > max_bytes) return false;
  if ((frame.flags & ~known_flags(frame.type)) != 0 || !valid(frame)) return false;
  if (frame.stream != 0 && (frame.stream % 2 == 0 || frame.stream > kMaxPlausibleStream)) return false;
  switch (frame.type) {
    // Empty ones end a stream; a run of zeros is none.
    case FrameType::kData: return frame.length > prefix_bytes(frame) || frame.has(kEndStream);
    case FrameType::kHeaders:
    case FrameType::kContinuation: return frame.length > prefix_bytes(frame);
    case FrameType::kSettings: return frame.length <= kMaxSettingsBytes;
    case FrameType::kGoaway: return frame.length <= kMaxGoawayBytes;
    default: return true;
  }
}

bool ends_with(const FrameHeader& frame, size_t bytes) {
  return kFrameHeaderBytes + frame.length == bytes &&
         (frame.length > 0 || frame.type == FrameType::kSettings);
}

bool begins_with_frames(std::span<const uint8_t> bytes, uint32_t max_bytes) {
  if (bytes.size() < kFrameHeaderBytes) return false;
  const FrameHeader frame = parse_frame_header(bytes.data());
  if (!plausible(frame, max_bytes)) return false;
  const size_t end = kFrameHeaderBytes + frame.length;
  if (ends_with(frame, bytes.size())) return true;
  return end + kFrameHeaderBytes <= bytes.size() &&
         plausible(parse_frame_header(bytes.data() + end), max_bytes);
}

}  // namespace llmtap::http2
