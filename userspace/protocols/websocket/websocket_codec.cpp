// SPDX-License-Identifier: Apache-2.0
#include "protocols/websocket/websocket_codec.h"

#include <algorithm>

#include "base/ascii.h"

namespace llmtap::websocket {
namespace {

// So much of a message must say what it is; the APIs' own clients begin with it.
constexpr size_t kMaxHeldBytes = 16 * 1024;
// A connection of which so much is no LLM API's is none.
constexpr size_t kUnknownMessages = 8;
constexpr uint64_t kUnknownBytes = 256 * 1024;

// RFC 7692 7.1.1: who may keep its window from message to message.
bool keeps_context(std::string_view extensions, Side side) {
  return !icontains(extensions,
                    side == Side::kRequest ? "client_no_context_takeover" : "server_no_context_takeover");
}

}  // namespace

WebSocketCodec::Lane::Lane(Side which, WebSocketCodec& owner)
    // RFC 6455 5.1: a client masks, a server does not.
    : side(which),
      codec(owner),
      frames(which == Side::kRequest, icontains(owner.upgrade_->extensions, "permessage-deflate"), *this) {
  const std::string& extensions = owner.upgrade_->extensions;
  if (icontains(extensions, "permessage-deflate"))
    inflater = std::make_unique<MessageInflater>(keeps_context(extensions, which), *owner.context_.limits,
                                                 *owner.context_.budget);
}

WebSocketCodec::WebSocketCodec(CodecContext& context)
    : context_(context),
      upgrade_(context.handover && context.handover->websocket ? context.handover->websocket
                                                               : std::make_shared<WebSocketUpgrade>()),
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
  context_.resync_bytes += lane.frames.take_hunted();
}

void WebSocketCodec::give_up(bool damaged, uint64_t time_ns) {
  finished_ = true;
  if (damaged) context_.counters->parse_errors++;
  if (!exchanges_.known()) context_.counters->websocket_not_read++;
  exchanges_.end_all(ExchangeEnd::How::kLost, Defect::kParseError, time_ns);
}

void WebSocketCodec::gap(Side side, uint64_t bytes, uint64_t time_ns, MessageSink& sink) {
  if (finished_) return;
  exchanges_.set_sink(sink);
  if (!lane(side).frames.hunting()) context_.counters->resyncs++;
  lane(side).frames.gap(bytes, time_ns);
}

void WebSocketCodec::end(Side side, EndReason reason, uint64_t time_ns, MessageSink& sink) {
  if (finished_) return;
  exchanges_.set_sink(sink);
  for (Lane& each : lanes_)
    if (each.in_message) each.on_lost(time_ns);
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
  control = frame.opcode >= Opcode::kClose;
  if (control || frame.opcode == Opcode::kContinuation) return;
  // RFC 6455 5.4: a message begins when the last one has ended.
  if (in_message) on_lost(time_ns);
  in_message = true;
  compressed = frame.compressed;
  damaged = decided = delivered = false;
  peek.begin();
  held.clear();
  first_ns = 0;
  wire_bytes = 0;
}

void WebSocketCodec::Lane::on_payload(std::span<const uint8_t> bytes, uint64_t time_ns) {
  if (control || !in_message || codec.finished_) return;
  wire_bytes += bytes.size();
  // A message without end.
  if (decided && !codec.exchanges_.known() && wire_bytes >= kUnknownBytes)
    return codec.give_up(false, time_ns);
  if (!compressed) return text(bytes, time_ns);
  if (!damaged && !inflater->feed(bytes, [&](std::span<const uint8_t> plain) { text(plain, time_ns); }))
    damaged = true;
}

void WebSocketCodec::Lane::on_payload_gap(uint64_t) {
  if (control || !in_message) return;
  codec.exchanges_.lost(side);
  damaged = true;
  if (compressed) inflater->lose();
}

void WebSocketCodec::Lane::text(std::span<const uint8_t> bytes, uint64_t time_ns) {
  // What lies behind a loss must not meet what lies before it in one value.
  if (damaged) return;
  if (first_ns == 0) first_ns = time_ns;
  peek.feed(bytes);
  if (delivered) return codec.exchanges_.text(side, bytes, time_ns);
  if (decided) return;
  const size_t room = kMaxHeldBytes - held.size();
  held.append(reinterpret_cast<const char*>(bytes.data()), std::min(room, bytes.size()));
  if (!peek.known() && held.size() < kMaxHeldBytes) return;
  const size_t rest = bytes.size() - std::min(room, bytes.size());
  decide(time_ns);
  if (delivered && rest != 0) codec.exchanges_.text(side, bytes.last(rest), time_ns);
}

void WebSocketCodec::Lane::decide(uint64_t time_ns) {
  decided = true;
  delivered = codec.exchanges_.begin_message(side, peek, first_ns != 0 ? first_ns : time_ns);
  if (delivered)
    codec.exchanges_.text(side, {reinterpret_cast<const uint8_t*>(held.data()), held.size()}, time_ns);
  held.clear();
}

void WebSocketCodec::Lane::on_frame_end(uint64_t time_ns) {
  if (control || !in_message || !frame.final || codec.finished_) return;
  if (compressed && !inflater->end_message([&](std::span<const uint8_t> plain) { text(plain, time_ns); }))
    damaged = true;
  end_message(time_ns);
}

void WebSocketCodec::Lane::end_message(uint64_t time_ns) {
  in_message = false;
  if (!decided) decide(time_ns);
  if (delivered) codec.exchanges_.end_message(side, peek, !damaged, wire_bytes, first_ns, time_ns);
  codec.message_ended(peek, wire_bytes, time_ns);
  held.clear();
  held.shrink_to_fit();
}

void WebSocketCodec::Lane::on_lost(uint64_t time_ns) {
  if (inflater) inflater->lose();
  if (in_message) {
    damaged = true;
    if (!decided) decided = true;
    end_message(time_ns);
  }
  codec.exchanges_.lost(side);
}

}  // namespace llmtap::websocket
