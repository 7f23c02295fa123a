// SPDX-License-Identifier: Apache-2.0
#include "protocols/websocket/websocket_codec.h"

#include <algorithm>
#include <utility>

#include "base/ascii.h"

namespace llmtap::websocket {
namespace {

// So much of a message must say what it is; the APIs' own clients begin with it.
constexpr size_t kMaxHeldBytes = 16 * 1024;
// A connection of which so much is no LLM API's is none.
constexpr size_t kUnknownMessages = 8;
constexpr uint64_t kUnknownBytes = 256 * 1024;

// RFC 7692 7.1.1: who may keep its window from message to message.
FrameReader::Deflate deflate_of(std::string_view extensions, Side side) {
  if (!icontains(extensions, "permessage-deflate")) return FrameReader::Deflate::kNone;
  const bool none = icontains(
      extensions, side == Side::kRequest ? "client_no_context_takeover" : "server_no_context_takeover");
  return none ? FrameReader::Deflate::kEachMessage : FrameReader::Deflate::kKeepsContext;
}

std::span<const uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

}  // namespace

WebSocketCodec::Lane::Lane(Side which, WebSocketCodec& owner)
    // RFC 6455 5.1: a client masks, a server does not.
    : side(which),
      codec(owner),
      frames(which == Side::kRequest, deflate_of(owner.upgrade_->extensions, which), *this) {
  const FrameReader::Deflate deflate = deflate_of(owner.upgrade_->extensions, which);
  if (deflate != FrameReader::Deflate::kNone)
    inflater = std::make_unique<MessageInflater>(deflate == FrameReader::Deflate::kKeepsContext,
                                                 *owner.context_.limits, *owner.context_.budget);
}

WebSocketCodec::WebSocketCodec(CodecContext& context, std::shared_ptr<const WebSocketUpgrade> upgrade)
    : context_(context),
      upgrade_(std::move(upgrade)),
      exchanges_(context, upgrade_),
      lanes_{Lane(Side::kRequest, *this), Lane(Side::kResponse, *this)} {}

void WebSocketCodec::feed(Side side, const StreamChunk& chunk, MessageSink& sink) {
  if (finished_) {
    context_.upgraded_bytes += chunk.bytes.size();
    return;
  }
  exchanges_.set_sink(sink);
  Lane& lane = this->lane(side);
  if (!lane.frames.feed(chunk.bytes, chunk.time_ns)) give_up(true, chunk.time_ns);
  if (const uint64_t hunted = lane.frames.take_hunted(); hunted != 0) {
    context_.resync_bytes += hunted;
    if (!finished_) exchanges_.lost(side, Defect::kLostSegment);
  }
}

void WebSocketCodec::give_up(bool damaged, uint64_t time_ns) {
  finished_ = true;
  if (damaged) context_.counters->websocket_frame_errors++;
  if (!exchanges_.known()) context_.counters->websocket_not_read++;
  exchanges_.end_all(ExchangeEnd::How::kLost, Defect::kParseError, time_ns);
}

// RFC 6455 5.5.1: who sends a close frame sends nothing after it, and what the other side still sends is of
// no use to him.
void WebSocketCodec::closed(Side side, uint64_t time_ns) {
  exchanges_.end_unanswered(side == Side::kRequest, false, time_ns);
  finished_ = true;
}

void WebSocketCodec::gap(Side side, uint64_t bytes, uint64_t time_ns, MessageSink& sink) {
  if (finished_) return;
  exchanges_.set_sink(sink);
  if (!lane(side).frames.hunting()) context_.counters->websocket_resyncs++;
  lane(side).frames.gap(bytes, time_ns);
}

void WebSocketCodec::end(Side side, EndReason reason, uint64_t time_ns, MessageSink& sink) {
  if (finished_) return;
  exchanges_.set_sink(sink);
  for (Lane& each : lanes_) {
    if (!each.in_message) continue;
    each.in_message = false;
    if (each.delivered)
      exchanges_.end_message(each.side, each.peek,
                             {Defect::kTruncated, each.wire_bytes, each.first_ns, time_ns});
  }
  exchanges_.end_unanswered(side == Side::kRequest, reason == EndReason::kEvicted, time_ns);
  finished_ = true;
}

void WebSocketCodec::message_ended(const MessagePeek& peek, uint64_t bytes, uint64_t time_ns) {
  exchanges_.learn(peek);
  if (exchanges_.known()) return;
  unknown_bytes_ += bytes;
  if (++unknown_messages_ >= kUnknownMessages || unknown_bytes_ >= kUnknownBytes) give_up(false, time_ns);
}

void WebSocketCodec::Lane::on_frame(const Frame& next, uint64_t time_ns) {
  if (codec.finished_) return;
  frame = next;
  if (frame.control() || frame.opcode == Opcode::kContinuation) return;
  // RFC 6455 5.4: a message begins when the last one has ended.
  if (in_message) {
    damage(Defect::kParseError);
    end_message(time_ns);
  }
  begin_message();
}

void WebSocketCodec::Lane::begin_message() {
  in_message = true;
  compressed = frame.compressed;
  defect = Defect::kNone;
  decided = delivered = all_at_once = false;
  peek.begin();
  settled = false;
  held.clear();
  first_ns = 0;
  wire_bytes = 0;
}

void WebSocketCodec::Lane::damage(Defect why) {
  if (why == Defect::kDecompressError) codec.context_.counters->websocket_decode_errors++;
  if (defect == Defect::kNone) defect = why;
  if (compressed) inflater->lose();
}

// What came before the damage counts, as it does when it comes in pieces.
void WebSocketCodec::Lane::damage_inside(uint64_t time_ns) {
  if (!decided && !held.empty() && codec.exchanges_.decidable(side, peek)) decide(time_ns);
  damage(Defect::kDecompressError);
}

void WebSocketCodec::Lane::on_payload(std::span<const uint8_t> bytes, uint64_t time_ns) {
  if (frame.control() || !in_message || codec.finished_) return;
  wire_bytes += bytes.size();
  // A message without end.
  if (decided && !codec.exchanges_.known() && wire_bytes >= kUnknownBytes)
    return codec.give_up(false, time_ns);
  // Most messages come in one piece.
  const bool whole = frame.final && frame.opcode != Opcode::kContinuation && bytes.size() == frame.length;
  if (!compressed) {
    if (!whole || bytes.size() > kMaxHeldBytes) return text(bytes, time_ns);
    first_ns = time_ns;
    look(bytes);
    return end_message(time_ns, bytes);
  }
  all_at_once = whole;
  if (defect == Defect::kNone &&
      !inflater->feed(bytes, [&](std::span<const uint8_t> plain) { text(plain, time_ns); }))
    damage_inside(time_ns);
}

void WebSocketCodec::Lane::on_payload_gap(uint64_t) {
  if (!frame.control() && in_message && !codec.finished_) damage(Defect::kLostSegment);
}

void WebSocketCodec::Lane::look(std::span<const uint8_t> bytes) {
  while (!settled && !bytes.empty()) {
    bytes = bytes.subspan(peek.feed(bytes));
    settled = codec.exchanges_.settled(side, peek);
  }
}

void WebSocketCodec::Lane::text(std::span<const uint8_t> bytes, uint64_t time_ns) {
  // What lies behind a loss must not meet what lies before it in one value.
  if (defect != Defect::kNone || codec.finished_) return;
  if (first_ns == 0) first_ns = time_ns;
  if (!decided) {
    const size_t room = std::min(kMaxHeldBytes - held.size(), bytes.size());
    look(bytes.first(room));
    held.append(reinterpret_cast<const char*>(bytes.data()), room);
    bytes = bytes.subspan(room);
    const bool wait = all_at_once || !codec.exchanges_.decidable(side, peek);
    if (wait && held.size() < kMaxHeldBytes) return;
    decide(time_ns);
  }
  look(bytes);
  if (delivered) codec.exchanges_.text(side, bytes, time_ns);
}

void WebSocketCodec::Lane::decide(uint64_t time_ns) {
  decided = true;
  delivered = codec.exchanges_.begin_message(side, peek, first_ns != 0 ? first_ns : time_ns);
  if (delivered) codec.exchanges_.text(side, bytes_of(held), time_ns);
  held.clear();
}

void WebSocketCodec::Lane::on_frame_end(uint64_t time_ns) {
  if (codec.finished_) return;
  if (frame.opcode == Opcode::kClose) return codec.closed(side, time_ns);
  if (frame.control() || !in_message || !frame.final) return;
  if (compressed && defect == Defect::kNone &&
      !inflater->end_message([&](std::span<const uint8_t> plain) { text(plain, time_ns); }))
    damage_inside(time_ns);
  end_message(time_ns);
}

void WebSocketCodec::Lane::end_message(uint64_t time_ns, std::span<const uint8_t> whole) {
  in_message = false;
  if (compressed && defect != Defect::kNone) inflater->end_message([](std::span<const uint8_t>) {});
  // Of a part of a message it is not certain whose it is.
  if (!decided && defect == Defect::kNone) {
    if (whole.empty()) whole = bytes_of(held);
    delivered = codec.exchanges_.begin_message(side, peek, first_ns != 0 ? first_ns : time_ns);
  }
  if (delivered) codec.exchanges_.end_message(side, peek, {defect, wire_bytes, first_ns, time_ns, whole});
  if (defect != Defect::kNone) codec.exchanges_.lost(side, defect);
  held.clear();
  held.shrink_to_fit();
  codec.message_ended(peek, wire_bytes, time_ns);
}

void WebSocketCodec::Lane::on_lost(uint64_t time_ns) {
  if (codec.finished_) return;
  if (inflater) inflater->lose();
  if (in_message) {
    damage(Defect::kLostSegment);
    end_message(time_ns);
  }
  // Messages that end here begin a new window, if each has its own.
  if (inflater && !inflater->keeps_context()) inflater->end_message([](std::span<const uint8_t>) {});
  codec.exchanges_.lost(side, Defect::kLostSegment);
}

}  // namespace llmtap::websocket
