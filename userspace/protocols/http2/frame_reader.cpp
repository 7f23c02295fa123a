// SPDX-License-Identifier: Apache-2.0
#include "protocols/http2/frame_reader.h"

#include <algorithm>
#include <cstring>

namespace llmtap::http2 {
namespace {

constexpr uint32_t kTrialFrames = 4;
constexpr size_t kMaxGuesses = 64;

}  // namespace

FrameReader::FrameReader(Side side, bool preface, CodecContext& context, FrameListener& listener)
    : side_(side),
      context_(context),
      listener_(listener),
      state_(context.mid_connection ? State::kHunt
             : preface              ? State::kPreface
                                    : State::kHeader) {}

void FrameReader::lose(Defect defect, uint64_t time_ns) {
  if (state_ == State::kHunt) return;
  context_.counters->http2_resyncs++;
  if (defect == Defect::kParseError) context_.counters->http2_frame_errors++;
  state_ = State::kHunt;
  have_ = 0;
  guesses_.clear();
  listener_.on_lost(side_, defect, time_ns);
}

size_t FrameReader::gather(std::span<const uint8_t> bytes, size_t want) {
  const size_t taken = std::min(want - have_, bytes.size());
  std::memcpy(buffer_.data() + have_, bytes.data(), taken);
  have_ += taken;
  return taken;
}

size_t FrameReader::feed(std::span<const uint8_t> bytes, uint64_t time_ns) {
  size_t at = 0;
  // An admitted frame may have no payload to wait for.
  if (state_ == State::kAdmit && !admit_frame(time_ns)) return 0;
  while (at < bytes.size()) {
    const std::span<const uint8_t> rest = bytes.subspan(at);
    size_t used = 0;
    switch (state_) {
      case State::kPreface: used = feed_preface(rest, time_ns); break;
      case State::kHeader:
        used = gather(rest, kFrameHeaderBytes);
        if (have_ == kFrameHeaderBytes) begin_frame(time_ns);
        break;
      case State::kAdmit: return at;
      case State::kPrefix:
        used = gather(rest, prefix_bytes(frame_));
        if (have_ == prefix_bytes(frame_)) end_prefix(time_ns);
        break;
      case State::kContent:
        used = std::min<size_t>(content_left_, rest.size());
        content_left_ -= static_cast<uint32_t>(used);
        listener_.on_content(side_, frame_, rest.first(used), time_ns);
        if (state_ == State::kContent && content_left_ == 0) end_frame(time_ns);
        break;
      case State::kPadding:
        used = std::min<size_t>(padding_left_, rest.size());
        padding_left_ -= static_cast<uint32_t>(used);
        if (padding_left_ == 0) end_frame(time_ns);
        break;
      case State::kHunt: used = feed_hunt(rest); break;
    }
    at += used;
  }
  return at;
}

size_t FrameReader::feed_preface(std::span<const uint8_t> bytes, uint64_t time_ns) {
  const size_t used = gather(bytes, kConnectionPreface.size());
  if (std::memcmp(buffer_.data(), kConnectionPreface.data(), have_) != 0) {
    lose(Defect::kParseError, time_ns);
  } else if (have_ == kConnectionPreface.size()) {
    have_ = 0;
    state_ = State::kHeader;
  }
  return used;
}

void FrameReader::begin_frame(uint64_t time_ns) {
  frame_ = parse_frame_header(buffer_.data());
  have_ = 0;
  if (!valid(frame_) || (on_trial_ > 0 && !plausible(frame_, largest_frame_)))
    return lose(Defect::kParseError, time_ns);
  if (on_trial_ > 0) --on_trial_;
  largest_frame_ = std::max(largest_frame_, frame_.length);
  content_left_ = frame_.length - prefix_bytes(frame_);
  padding_left_ = 0;
  state_ = State::kAdmit;
  admit_frame(time_ns);
}

bool FrameReader::admit_frame(uint64_t time_ns) {
  if (!listener_.admit(side_, frame_)) return false;
  state_ = State::kPrefix;
  if (prefix_bytes(frame_) == 0) end_prefix(time_ns);
  return true;
}

void FrameReader::end_prefix(uint64_t time_ns) {
  std::span<const uint8_t> prefix(buffer_.data(), have_);
  have_ = 0;
  const bool padded =
      frame_.has(kPadded) && (frame_.type == FrameType::kData || frame_.type == FrameType::kHeaders ||
                              frame_.type == FrameType::kPushPromise);
  if (padded) {
    padding_left_ = prefix[0];
    prefix = prefix.subspan(1);
    // RFC 9113 6.1: padding that fills the payload or more is a connection error.
    if (padding_left_ > content_left_) return lose(Defect::kParseError, time_ns);
    content_left_ -= padding_left_;
  }
  state_ = State::kContent;
  listener_.on_frame(side_, frame_, prefix, time_ns);
  if (state_ == State::kContent && content_left_ == 0) end_frame(time_ns);
}

void FrameReader::end_frame(uint64_t time_ns) {
  if (padding_left_ > 0) {
    state_ = State::kPadding;
    return;
  }
  state_ = State::kHeader;
  listener_.on_frame_end(side_, frame_, time_ns);
}

void FrameReader::found() {
  state_ = State::kHeader;
  on_trial_ = kTrialFrames;
  have_ = 0;
  guesses_.clear();
}

// Whether a frame begins at `bytes[at]`, position_ being that of bytes[0].
bool FrameReader::certain(std::span<const uint8_t> bytes, size_t at) {
  const FrameHeader frame = parse_frame_header(bytes.data() + at);
  if (!plausible(frame, largest_frame_)) return false;
  if (begins_with_frames(bytes.subspan(at), largest_frame_)) return true;
  const uint64_t here = position_ + at;
  if (std::find(guesses_.begin(), guesses_.end(), here) != guesses_.end()) return true;
  std::erase_if(guesses_, [&](uint64_t guess) { return guess < here; });
  const uint64_t next = here + kFrameHeaderBytes + frame.length;
  if (guesses_.size() < kMaxGuesses && std::find(guesses_.begin(), guesses_.end(), next) == guesses_.end())
    guesses_.push_back(next);
  return false;
}

size_t FrameReader::feed_hunt(std::span<const uint8_t> bytes) {
  // A header may lie across the end of the last piece: its bytes are in buffer_, at most one less than
  // a header.
  const size_t carried = have_;
  if (carried > 0) {
    std::array<uint8_t, 2 * kFrameHeaderBytes> joint;
    std::memcpy(joint.data(), buffer_.data(), carried);
    const size_t more = std::min(bytes.size(), joint.size() - carried);
    std::memcpy(joint.data() + carried, bytes.data(), more);
    const std::span<const uint8_t> view(joint.data(), carried + more);
    for (size_t at = 0; at < carried && at + kFrameHeaderBytes <= view.size(); ++at) {
      const FrameHeader frame = parse_frame_header(view.data() + at);
      // The frame's end counts in the whole piece.
      const bool ends_here =
          plausible(frame, largest_frame_) && ends_with(frame, carried + bytes.size() - at);
      if (ends_here || certain(view, at)) {
        context_.resync_bytes += at;
        position_ += carried;
        found();
        // The bytes that were carried are the header's begin.
        std::memcpy(buffer_.data(), joint.data() + at, carried - at);
        have_ = carried - at;
        return 0;
      }
    }
  }
  const size_t unread =
      carried + bytes.size() < kFrameHeaderBytes ? carried + bytes.size() : kFrameHeaderBytes - 1;
  if (carried + bytes.size() >= kFrameHeaderBytes) {
    position_ += carried;
    for (size_t at = 0; at + kFrameHeaderBytes <= bytes.size(); ++at)
      if (certain(bytes, at)) {
        context_.resync_bytes += carried + at;
        position_ += at;
        found();
        return at;
      }
    // Keep what may be the begin of a header.
    const size_t total = carried + bytes.size();
    std::array<uint8_t, kFrameHeaderBytes> tail;
    for (size_t i = 0; i < unread; ++i) {
      const size_t from = total - unread + i;
      tail[i] = from < carried ? buffer_[from] : bytes[from - carried];
    }
    std::memcpy(buffer_.data(), tail.data(), unread);
    position_ += bytes.size() - unread;
    context_.resync_bytes += total - unread;
    have_ = unread;
    return bytes.size();
  }
  std::memcpy(buffer_.data() + carried, bytes.data(), bytes.size());
  have_ = carried + bytes.size();
  return bytes.size();
}

void FrameReader::gap(uint64_t bytes, uint64_t time_ns) {
  if (state_ == State::kHunt) {
    context_.resync_bytes += have_;
    position_ += have_ + bytes;
    have_ = 0;
    if (bytes == 0) guesses_.clear();
    return;
  }
  const bool inside = state_ == State::kContent || state_ == State::kPadding;
  if (!inside || bytes == 0 || bytes > uint64_t{content_left_} + padding_left_)
    return lose(Defect::kLostSegment, time_ns);
  const auto content = static_cast<uint32_t>(std::min<uint64_t>(bytes, content_left_));
  content_left_ -= content;
  padding_left_ -= static_cast<uint32_t>(bytes) - content;
  if (content > 0) listener_.on_content_gap(side_, frame_, content, time_ns);
  if ((state_ == State::kContent && content_left_ == 0) || (state_ == State::kPadding && padding_left_ == 0))
    end_frame(time_ns);
}

}  // namespace llmtap::http2
