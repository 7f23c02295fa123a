// SPDX-License-Identifier: Apache-2.0
#include "protocols/http2/http2_codec.h"

#include <algorithm>
#include <utility>

namespace llmtap::http2 {
namespace {

constexpr size_t kMaxHeldBytes = 64 * 1024;

uint32_t number31(std::span<const uint8_t> b) {
  return static_cast<uint32_t>((b[0] & 0x7f) << 24 | b[1] << 16 | b[2] << 8 | b[3]);
}

}  // namespace

Http2Codec::Http2Codec(CodecContext& context)
    : context_(context),
      lanes_{Lane(Side::kRequest, true, context, *this), Lane(Side::kResponse, false, context, *this)},
      confirmed_(!context.mid_connection) {
  if (context.mid_connection)
    for (Lane& lane : lanes_) lane.hpack.forget();
  if (!context.handover) return;
  // RFC 7540 3.2: the request that asked for HTTP/2 is stream 1, its client's side over.
  Stream& stream = streams_[1];
  stream.id = context.handover->exchange;
  stream.defect = context.handover->defect;
  stream.last_ns = context.handover->time_ns;
  stream.half(Side::kRequest).begun = stream.half(Side::kRequest).ended = true;
  last_request_stream_ = 1;
}

void Http2Codec::hold(std::span<const uint8_t> bytes, uint64_t time_ns) {
  held_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  held_pieces_.emplace_back(bytes.size(), time_ns);
}

void Http2Codec::release_held(bool force) {
  admit_all_ = force;
  while (!held_pieces_.empty()) {
    auto& [size, time_ns] = held_pieces_.front();
    const size_t used =
        lane(Side::kResponse).frames.feed({reinterpret_cast<const uint8_t*>(held_.data()), size}, time_ns);
    held_.erase(0, used);
    size -= used;
    if (size > 0) break;
    held_pieces_.pop_front();
  }
  admit_all_ = false;
}

void Http2Codec::feed(Side side, const StreamChunk& chunk, MessageSink& sink) {
  sink_ = &sink;
  if (sweep_ns_ != 0 && chunk.time_ns > sweep_ns_) sweep(chunk.time_ns);
  FrameReader& frames = lane(side).frames;
  if (side == Side::kRequest) {
    // Not the request of what is held: that reply has none that we saw.
    if (!held_pieces_.empty() && chunk.time_ns > held_pieces_.front().second) release_held(true);
    frames.feed(chunk.bytes, chunk.time_ns);
    if (!held_pieces_.empty()) release_held(false);
  } else if (!held_pieces_.empty()) {
    hold(chunk.bytes, chunk.time_ns);
    if (held_.size() > kMaxHeldBytes) release_held(true);
  } else {
    const size_t used = frames.feed(chunk.bytes, chunk.time_ns);
    if (used < chunk.bytes.size()) hold(chunk.bytes.subspan(used), chunk.time_ns);
    if (held_.size() > kMaxHeldBytes) release_held(true);
  }
  confirmed_ |= !frames.hunting();
}

void Http2Codec::gap(Side side, uint64_t bytes, uint64_t time_ns, MessageSink& sink) {
  sink_ = &sink;
  release_held(true);
  lane(side).frames.gap(bytes, time_ns);
}

bool Http2Codec::admit(Side side, const FrameHeader& frame) {
  if (side == Side::kRequest || admit_all_ || context_.mid_connection || lane(Side::kRequest).lost ||
      lane(Side::kRequest).over)
    return true;
  if (frame.type != FrameType::kHeaders || frame.stream % 2 == 0) return true;
  return frame.stream <= last_request_stream_ || streams_.contains(frame.stream);
}

void Http2Codec::begin_block(Side side, const FrameHeader& frame, uint64_t time_ns) {
  Lane& lane = this->lane(side);
  lane.in_block = true;
  lane.damaged = false;
  lane.promised = frame.type == FrameType::kPushPromise;
  lane.end_stream = frame.type == FrameType::kHeaders && frame.has(kEndStream);
  lane.block_stream = frame.stream;
  lane.block_start_ns = time_ns;
  lane.fields.clear();
  lane.hpack.begin_block();
}

void Http2Codec::on_frame(Side side, const FrameHeader& frame, std::span<const uint8_t> prefix,
                          uint64_t time_ns) {
  Lane& lane = this->lane(side);
  const bool continues = frame.type == FrameType::kContinuation && frame.stream == lane.block_stream;
  // RFC 9113 6.10: nothing may stand between the frames of a header block.
  if (lane.in_block && !continues) return lane.frames.lose(Defect::kParseError, time_ns);
  switch (frame.type) {
    case FrameType::kHeaders:
    case FrameType::kPushPromise: begin_block(side, frame, time_ns); break;
    case FrameType::kContinuation:
      if (lane.in_block) break;
      // The rest of a block whose begin was lost: it may have changed the table.
      lane.hpack.forget();
      if (!lane.lost && !context_.mid_connection) context_.counters->http2_frame_errors++;
      break;
    case FrameType::kRstStream: on_reset(side, frame.stream, time_ns); break;
    case FrameType::kGoaway: on_goaway(side, number31(prefix), time_ns); break;
    default: break;
  }
}

void Http2Codec::on_content(Side side, const FrameHeader& frame, std::span<const uint8_t> bytes,
                            uint64_t time_ns) {
  Lane& lane = this->lane(side);
  if (frame.type == FrameType::kData) return on_data(side, frame.stream, bytes, time_ns);
  if (!lane.in_block || lane.damaged) return;
  if (lane.hpack.feed(bytes, lane.fields)) return;
  context_.counters->http2_header_errors++;
  lane.damaged = true;
}

void Http2Codec::on_content_gap(Side side, const FrameHeader& frame, uint64_t bytes, uint64_t time_ns) {
  Lane& lane = this->lane(side);
  if (frame.type == FrameType::kData) return on_data_lost(side, frame.stream, bytes, time_ns);
  if (!lane.in_block) return;
  lane.lost = lane.damaged = true;
  lane.hpack.forget();
}

void Http2Codec::on_frame_end(Side side, const FrameHeader& frame, uint64_t time_ns) {
  if (frame.type == FrameType::kData) {
    if (frame.has(kEndStream)) on_stream_end(side, frame.stream, time_ns);
  } else if (lane(side).in_block && frame.has(kEndHeaders)) {
    end_block(side, time_ns);
  }
}

void Http2Codec::end_block(Side side, uint64_t time_ns) {
  Lane& lane = this->lane(side);
  lane.in_block = false;
  if (!lane.damaged && !lane.hpack.end_block()) {
    context_.counters->http2_header_errors++;
    lane.damaged = true;
  }
  context_.counters->http2_unknown_fields += lane.fields.unknown_fields();
  if (lane.fields.oversized()) context_.counters->oversized_heads++;
  if (lane.promised) return;
  if (side == Side::kRequest)
    on_request_fields(lane.block_stream, time_ns);
  else
    on_response_fields(lane.block_stream, time_ns);
  if (lane.end_stream) on_stream_end(side, lane.block_stream, time_ns);
}

// What was in the gap: frames of any stream, and blocks that changed the table.
void Http2Codec::on_lost(Side side, Defect defect, uint64_t time_ns) {
  Lane& lane = this->lane(side);
  lane.lost = true;
  lane.in_block = false;
  lane.hpack.forget();
  for (auto& [number, stream] : streams_) {
    Half& half = stream.half(side);
    if (half.ended) continue;
    half.doubt = true;
    if (!half.begun) continue;
    if (stream.defect == Defect::kNone) stream.defect = defect;
    if (half.pending) decide_head(side, stream, time_ns);
    half.body.gap(0, time_ns, *sink_);
  }
  for (auto& [number, tunnel] : tunnels_) tunnel->gap(side, 0, time_ns, *sink_);
  if (!streams_.empty() && sweep_ns_ == 0) sweep_ns_ = time_ns + context_.limits->http2_doubt_ns;
}

void Http2Codec::end(Side side, EndReason reason, uint64_t time_ns, MessageSink& sink) {
  sink_ = &sink;
  release_held(true);
  Lane& lane = this->lane(side);
  if (lane.over) return;
  lane.over = true;
  lane.end_reason = reason;
  if (side == Side::kRequest) {
    client_went_first_ = !this->lane(Side::kResponse).over;
    for (auto& [number, stream] : streams_) {
      Half& request = stream.half(Side::kRequest);
      if (request.ended || !request.begun) continue;
      if (request.pending) decide_head(Side::kRequest, stream, time_ns);
      if (stream.defect == Defect::kNone) stream.defect = cut_by(reason);
      request.body.abandon(time_ns, *sink_);
      request.ended = true;
    }
  }
  if (this->lane(Side::kResponse).over) end_unanswered(time_ns);
}

}  // namespace llmtap::http2
