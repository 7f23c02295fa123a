// SPDX-License-Identifier: Apache-2.0
#include "protocols/eventstream/event_stream_decoder.h"

#include <zlib.h>

#include <algorithm>

namespace llmtap {
namespace {

// What the SDKs accept: 24 MiB a message, 128 KiB of headers.
constexpr uint32_t kMaxMessageBytes = 24 << 20, kMaxHeaderBytes = 128 << 10;

uint32_t big_endian(const uint8_t* p) {
  return static_cast<uint32_t>(p[0]) << 24 | static_cast<uint32_t>(p[1]) << 16 |
         static_cast<uint32_t>(p[2]) << 8 | p[3];
}

uint32_t add_to_sum(uint32_t sum, std::span<const uint8_t> bytes) {
  return static_cast<uint32_t>(crc32_z(sum, bytes.data(), bytes.size()));
}

}  // namespace

// The prelude is whole: lengths and their checksum decide whether it is one.
bool EventStreamDecoder::begin_message() {
  const uint32_t total = big_endian(prelude_.data()), headers = big_endian(prelude_.data() + 4);
  if (total > kMaxMessageBytes || headers > kMaxHeaderBytes ||
      uint64_t{total} < kPreludeBytes + uint64_t{headers} + kChecksumBytes)
    return false;
  if (add_to_sum(0, {prelude_.data(), 8}) != big_endian(prelude_.data() + 8)) return false;
  headers_left_ = headers;
  payload_left_ = static_cast<uint32_t>(total - headers - kPreludeBytes - kChecksumBytes);
  sum_ = add_to_sum(0, prelude_);  // the message's covers the prelude's, too
  have_ = 0;
  headers_.begin(max_name_bytes_);
  cut_ = false;
  data_bytes_ = 0;
  first_byte_ns_ = 0;
  state_ = State::kHeaders;
  if (headers_left_ == 0) end_headers();
  return true;
}

bool EventStreamDecoder::end_headers() {
  if (!headers_.whole()) return false;
  // Bedrock's InvokeModelWithResponseStream and the agents' runtimes wrap bytes that way.
  is_chunk_ = !headers_.is_error() && headers_.name() == "chunk";
  if (is_chunk_) chunk_.begin();
  have_ = 0;
  sent_sum_ = 0;
  state_ = payload_left_ != 0 ? State::kPayload : State::kChecksum;
  return true;
}

size_t EventStreamDecoder::feed_prelude(std::span<const uint8_t> bytes) {
  const size_t taken = std::min(prelude_.size() - have_, bytes.size());
  std::copy_n(bytes.begin(), taken, prelude_.begin() + static_cast<std::ptrdiff_t>(have_));
  have_ += taken;
  return taken;
}

// A window of a prelude's size slides over the bytes. Text has no byte that a length begins with, so
// most of them cost one comparison.
size_t EventStreamDecoder::feed_hunt(std::span<const uint8_t> bytes) {
  size_t taken = 0;
  while (taken < bytes.size()) {
    if (have_ == 0 && bytes[taken] > kMaxMessageBytes >> 24) {
      ++taken;
      continue;
    }
    prelude_[have_++] = bytes[taken++];
    if (have_ < prelude_.size()) continue;
    if (begin_message()) return taken;
    do {
      std::copy(prelude_.begin() + 1, prelude_.end(), prelude_.begin());
      --have_;
    } while (have_ > 0 && prelude_[0] > kMaxMessageBytes >> 24);
  }
  return taken;
}

void EventStreamDecoder::feed_payload(std::span<const uint8_t> bytes, uint64_t time_ns, EventOutput& out) {
  if (first_byte_ns_ == 0) first_byte_ns_ = time_ns;
  if (cut_) return;
  const auto deliver = [&](std::span<const uint8_t> data) {
    data_bytes_ += data.size();
    out.data(data, time_ns);
  };
  if (!is_chunk_)
    deliver(bytes);
  else
    cut_ = !chunk_.feed(bytes, deliver);
}

// Nearly every message: its payload and checksum lie in this buffer. Returns their size; 0 if it is anything
// else, or its checksum is another.
size_t EventStreamDecoder::feed_whole(std::span<const uint8_t> bytes, uint64_t time_ns, EventOutput& out) {
  if (is_chunk_ || cut_ || data_bytes_ != 0 || bytes.size() < size_t{payload_left_} + kChecksumBytes)
    return 0;
  const auto payload = bytes.first(payload_left_);
  if (add_to_sum(sum_, payload) != big_endian(bytes.data() + payload.size())) return 0;
  EventEnd end{headers_.name(), time_ns, time_ns, payload.size(), true};
  end.error = headers_.is_error();
  out.whole(payload, end);
  state_ = State::kPrelude;
  have_ = 0;
  return payload.size() + kChecksumBytes;
}

void EventStreamDecoder::end_event(bool complete, uint64_t time_ns, EventOutput& out) {
  if (is_chunk_ && !chunk_.whole()) complete = false;
  EventEnd end{headers_.name(), time_ns, first_byte_ns_, data_bytes_, complete && !cut_};
  end.error = headers_.is_error();
  out.end(end);
}

bool EventStreamDecoder::feed(std::span<const uint8_t> bytes, uint64_t time_ns, EventOutput& out) {
  while (!bytes.empty()) {
    size_t taken = 0;
    switch (state_) {
      case State::kPrelude:
        taken = feed_prelude(bytes);
        if (have_ == prelude_.size() && !begin_message()) return false;
        break;
      case State::kHunt: taken = feed_hunt(bytes); break;
      case State::kHeaders: {
        taken = std::min<size_t>(headers_left_, bytes.size());
        const auto part = bytes.first(taken);
        sum_ = add_to_sum(sum_, part);
        headers_left_ -= static_cast<uint32_t>(taken);
        if (!headers_.feed(part) || (headers_left_ == 0 && !end_headers())) return false;
        break;
      }
      case State::kPayload:
        taken = feed_whole(bytes, time_ns, out);
        if (taken != 0) break;
        taken = std::min<size_t>(payload_left_, bytes.size());
        if (!cut_) sum_ = add_to_sum(sum_, bytes.first(taken));
        feed_payload(bytes.first(taken), time_ns, out);
        payload_left_ -= static_cast<uint32_t>(taken);
        if (payload_left_ == 0) state_ = State::kChecksum;
        break;
      case State::kChecksum: {
        sent_sum_ = sent_sum_ << 8 | bytes[0];
        taken = 1;
        if (++have_ < kChecksumBytes) break;
        const bool same = cut_ || sum_ == sent_sum_;
        end_event(same, time_ns, out);
        state_ = State::kPrelude;
        have_ = 0;
        if (!same) return false;
        break;
      }
    }
    bytes = bytes.subspan(taken);
  }
  return true;
}

void EventStreamDecoder::hunt(uint64_t time_ns, EventOutput& out) {
  if (state_ == State::kPayload || state_ == State::kChecksum) end_event(false, time_ns, out);
  state_ = State::kHunt;
  have_ = 0;
}

void EventStreamDecoder::gap(uint64_t bytes, uint64_t time_ns, EventOutput& out) {
  if (state_ == State::kPayload && bytes != 0 && bytes <= payload_left_) {
    payload_left_ -= static_cast<uint32_t>(bytes);
    cut_ = true;
    if (payload_left_ == 0) state_ = State::kChecksum;
    return;
  }
  hunt(time_ns, out);
}

void EventStreamDecoder::finish(uint64_t time_ns, EventOutput& out) { hunt(time_ns, out); }

}  // namespace llmtap
