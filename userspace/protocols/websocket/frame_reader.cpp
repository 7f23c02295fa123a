// SPDX-License-Identifier: Apache-2.0
#include "protocols/websocket/frame_reader.h"

#include <algorithm>

namespace llmtap::websocket {
namespace {

constexpr size_t kUnmaskBytes = 4096;
// No API takes or sends larger messages; a larger length is a damaged one.
constexpr uint64_t kMaxFrameBytes = uint64_t{1} << 30;

constexpr bool is_control(uint8_t opcode) { return (opcode & 8) != 0; }

}  // namespace

size_t FrameReader::header_bytes(std::span<const uint8_t> have) const {
  if (have.size() < 2) return 0;
  const uint8_t length = have[1] & 0x7f;
  return 2u + (length == 126 ? 2u : length == 127 ? 8u : 0u) + ((have[1] & 0x80) != 0 ? 4u : 0u);
}

// RFC 6455 5.2.
bool FrameReader::parse(std::span<const uint8_t> header, Frame& frame) const {
  const uint8_t opcode = header[0] & 0x0f;
  if (opcode > 10 || (opcode > 2 && opcode < 8)) return false;
  frame.opcode = static_cast<Opcode>(opcode);
  frame.final = (header[0] & 0x80) != 0;
  frame.compressed = (header[0] & 0x40) != 0;
  if ((header[0] & 0x30) != 0) return false;
  // RFC 7692 6: the bit stands on the first frame of a message.
  if (frame.compressed && (deflate_ == Deflate::kNone || opcode == 0 || is_control(opcode))) return false;
  frame.masked = (header[1] & 0x80) != 0;
  if (frame.masked != masked_) return false;
  frame.length = header[1] & 0x7f;
  if (is_control(opcode) && (!frame.final || frame.length > 125)) return false;
  const size_t extended = frame.length == 126 ? 2 : frame.length == 127 ? 8 : 0;
  if (extended != 0) {
    frame.length = 0;
    for (size_t i = 0; i < extended; ++i) frame.length = frame.length << 8 | header[2 + i];
    if (frame.length < (extended == 2 ? 126u : 65536u) || frame.length > kMaxFrameBytes) return false;
  }
  if (frame.masked)
    std::copy_n(header.begin() + static_cast<std::ptrdiff_t>(2 + extended), 4, frame.key.begin());
  return true;
}

// At least one frame that is a message's first shows by its payload that it is one: a JSON object, or
// deflated and ending where the piece does.
bool FrameReader::begins_with_frames(std::span<const uint8_t> piece) const {
  bool shown = false;
  while (!piece.empty()) {
    const size_t header = header_bytes(piece);
    Frame frame;
    if (header == 0 || header > piece.size()) return shown;
    if (!parse(piece.first(header), frame)) return false;
    const auto payload = piece.subspan(header);
    const bool whole = frame.length <= payload.size();
    if (!frame.control() && !shown) {
      const auto at = [&](uint64_t i) {
        return static_cast<uint8_t>(payload[i] ^ (frame.masked ? frame.key[i % 4] : 0));
      };
      if (frame.opcode == Opcode::kContinuation || frame.length < 2 || payload.size() < 2) return false;
      if (frame.compressed) {
        if (deflate_ != Deflate::kEachMessage || !frame.final || frame.length != payload.size()) return false;
      } else if (at(0) != '{' || (at(1) != '"' && at(1) != '\n' && at(1) != ' ' && at(1) != '\r')) {
        return false;
      } else if (whole && frame.final && at(frame.length - 1) != '}' && at(frame.length - 1) != '\n') {
        return false;
      }
      shown = true;
    }
    if (!whole) return shown;
    piece = payload.subspan(static_cast<size_t>(frame.length));
  }
  return shown;
}

void FrameReader::hunt(uint64_t time_ns) {
  in_frame_ = false;
  have_ = 0;
  hunting_ = true;
  listener_.on_lost(time_ns);
}

bool FrameReader::feed(std::span<const uint8_t> bytes, uint64_t time_ns) {
  if (hunting_) {
    if (!begins_with_frames(bytes)) {
      hunted_bytes_ += bytes.size();
      return true;
    }
    hunting_ = false;
    found_again_ = true;
  }
  while (!bytes.empty()) {
    if (!in_frame_) {
      header_[have_++] = bytes[0];
      bytes = bytes.subspan(1);
      const std::span<const uint8_t> header(header_.data(), have_);
      if (const size_t wanted = header_bytes(header); wanted == 0 || have_ < wanted) continue;
      if (!parse(header, frame_)) {
        if (!found_again_) return false;
        hunted_bytes_ += bytes.size();
        hunt(time_ns);
        return true;
      }
      have_ = 0;
      at_ = 0;
      in_frame_ = true;
      listener_.on_frame(frame_, time_ns);
    }
    while (at_ < frame_.length && !bytes.empty()) {
      std::array<uint8_t, kUnmaskBytes> plain;
      size_t taken = static_cast<size_t>(std::min<uint64_t>(frame_.length - at_, bytes.size()));
      std::span<const uint8_t> part = bytes.first(taken);
      if (frame_.masked) {
        taken = std::min(taken, plain.size());
        std::array<uint8_t, 4> key;
        for (size_t i = 0; i < 4; ++i) key[i] = frame_.key[(at_ + i) % 4];
        for (size_t i = 0; i < taken; ++i) plain[i] = static_cast<uint8_t>(part[i] ^ key[i % 4]);
        part = {plain.data(), taken};
      }
      listener_.on_payload(part, time_ns);
      at_ += taken;
      bytes = bytes.subspan(taken);
    }
    if (at_ == frame_.length) {
      in_frame_ = false;
      listener_.on_frame_end(time_ns);
    }
  }
  return true;
}

void FrameReader::gap(uint64_t bytes, uint64_t time_ns) {
  if (in_frame_ && bytes != 0 && bytes <= frame_.length - at_) {
    at_ += bytes;
    listener_.on_payload_gap(time_ns);
    if (at_ == frame_.length) {
      in_frame_ = false;
      listener_.on_frame_end(time_ns);
    }
    return;
  }
  hunt(time_ns);
}

}  // namespace llmtap::websocket
