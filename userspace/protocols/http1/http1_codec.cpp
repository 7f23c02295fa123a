// SPDX-License-Identifier: Apache-2.0
#include "protocols/http1/http1_codec.h"

#include <algorithm>

#include "base/ascii.h"
#include "base/check.h"
#include "protocols/codecs.h"
#include "protocols/websocket/upgrade.h"

namespace llmtap::http1 {
namespace {

constexpr size_t kMaxHeldBytes = 16 * 1024;  // one read of a reply that overtook its request

void keep_first(Defect& defect, Defect later) {
  if (defect == Defect::kNone) defect = later;
}

bool names_websocket(std::string_view upgrade) {
  static constexpr std::string_view kName = "websocket";
  return iequals(upgrade.substr(0, kName.size()), kName);
}

}  // namespace

Http1Codec::Http1Codec(CodecContext& context)
    : context_(context),
      requests_(Side::kRequest, context, *this),
      responses_(Side::kResponse, context, *this),
      confirmed_(!context.mid_connection) {}

void Http1Codec::hold(const StreamChunk& chunk) {
  if (held_.empty()) {
    held_offset_ = chunk.offset;
    held_ns_ = chunk.time_ns;
  }
  held_.append(reinterpret_cast<const char*>(chunk.bytes.data()), chunk.bytes.size());
}

void Http1Codec::release_held() {
  if (held_.empty()) return;
  const std::string bytes = std::exchange(held_, {});
  responses_.feed({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, held_ns_);
}

void Http1Codec::feed(Side side, const StreamChunk& chunk, MessageSink& sink) {
  sink_ = &sink;
  if (side == Side::kRequest) {
    // Not the request of what is held: that reply has none that we saw.
    if (!held_.empty() && chunk.time_ns > held_ns_) release_held();
    // What is held may end this protocol: then what comes behind the head is of the next one.
    std::span<const uint8_t> bytes = chunk.bytes;
    while (!held_.empty() && exchanges_.empty() && !bytes.empty()) {
      requests_.feed(bytes.first(1), chunk.time_ns);
      bytes = bytes.subspan(1);
      if (!exchanges_.empty() && exchanges_.back().request_ended) release_held();
    }
    requests_.feed(bytes, chunk.time_ns);
    if (!exchanges_.empty()) release_held();
    return;
  }
  if (exchanges_.empty() && responses_.between_messages() && requests_.between_messages() &&
      !context_.mid_connection && held_.size() + chunk.bytes.size() <= kMaxHeldBytes) {
    hold(chunk);
    return;
  }
  release_held();
  skips_reply_ = false;
  responses_.feed(chunk.bytes, chunk.time_ns);
}

bool Http1Codec::allow_repeats() {
  // A request in the middle of which this one's reply comes is none that stands alone.
  repeats_ = exchanges_.size() == 1 && !pipelined_ && !responses_.hunting();
  return repeats_;
}

void Http1Codec::gap(Side side, uint64_t bytes, uint64_t time_ns, MessageSink& sink) {
  sink_ = &sink;
  release_held();
  Framing& framing = side == Side::kRequest ? requests_ : responses_;
  // Were it not whole messages, what follows would be no head.
  if ((repeats_ || (skips_reply_ && side == Side::kResponse)) && framing.between_messages()) return;
  framing.gap(bytes, time_ns);
}

Http1Codec::Exchange& Http1Codec::begin_exchange(uint64_t time_ns) {
  context_.counters->exchanges_begun++;
  context_.books->items_in++;
  confirmed_ = true;
  Exchange exchange;
  exchange.id = {context_.facts->id, context_.numbers.take()};
  exchange.last_ns = time_ns;
  exchanges_.push_back(exchange);
  return exchanges_.back();
}

// Requests come one after the other: only the last can still be flowing. Replies too, in the order of
// their requests: only the first can be.
Http1Codec::Exchange* Http1Codec::current(Side side) {
  if (exchanges_.empty()) return nullptr;
  if (side == Side::kRequest) return exchanges_.back().request_ended ? nullptr : &exchanges_.back();
  Exchange& front = exchanges_.front();
  return front.response_begun && !front.response_ended && !front.response_lost ? &front : nullptr;
}

void Http1Codec::end_front(ExchangeEnd::How how, uint64_t time_ns) {
  Exchange& front = exchanges_.front();
  if (!front.request_ended && exchanges_.size() == 1) {
    keep_first(front.defect, request_body_.abandon(time_ns, *sink_));
    front.cut_request_bytes = request_body_.wire_bytes();
  }
  if (front.response_begun && !front.response_ended && !front.response_lost) {
    keep_first(front.defect, response_body_.abandon(time_ns, *sink_));
    front.cut_response_bytes = response_body_.wire_bytes();
  }
  const Exchange ended = front;
  exchanges_.erase(exchanges_.begin());
  context_.counters->exchanges_ended++;
  if (how == ExchangeEnd::How::kLost)
    context_.books->lose("lost", 1, 0);
  else
    context_.books->items_out++;
  sink_->on_exchange_end(ended.id, {.how = how,
                                    .time_ns = time_ns,
                                    .defect = ended.defect,
                                    .request_bytes = ended.cut_request_bytes,
                                    .response_bytes = ended.cut_response_bytes,
                                    .connection = context_.facts});
}

void Http1Codec::end_all(ExchangeEnd::How how, Defect defect, uint64_t time_ns) {
  while (!exchanges_.empty()) {
    keep_first(exchanges_.front().defect, defect);
    end_front(how, time_ns);
  }
}

void Http1Codec::end_front_if_complete(uint64_t time_ns) {
  if (exchanges_.empty()) return;
  const Exchange& front = exchanges_.front();
  if (front.request_ended && front.response_ended) end_front(ExchangeEnd::How::kComplete, time_ns);
}

BodyPlan Http1Codec::on_head(Side side, const Head& head, const HeadInfo& info) {
  return side == Side::kRequest ? on_request(head, info) : on_response(head, info);
}

BodyPlan Http1Codec::on_request(const Head& head, const HeadInfo& info) {
  using Kind = BodyPlan::Kind;
  skips_reply_ = repeats_;
  repeats_ = false;
  // A client asks again when it has its reply: what is still open lost its own. (A pipelining one
  // does not wait, but then nobody can tell whose reply comes next.)
  if (responses_.hunting() && confirmed_)
    end_all(ExchangeEnd::How::kLost, Defect::kLostSegment, info.start_ns);
  if (exchanges_.size() >= context_.limits->pipelined_requests) {
    context_.counters->pipeline_overflows++;
    context_.counters->parse_errors++;
    end_all(ExchangeEnd::How::kLost, Defect::kParseError, info.start_ns);
    // The replies to come cannot be told from each other: the connection is given up.
    responses_.stop();
    finished_ = true;
    return {Kind::kStop, 0};
  }
  if (!exchanges_.empty()) exchanges_.back().request_ended = true;
  Exchange& exchange = begin_exchange(info.time_ns);
  exchange.is_head = head.method == "HEAD";
  exchange.is_connect = head.method == "CONNECT";
  if (head.malformed || info.oversized) exchange.defect = Defect::kParseError;
  websocket_ = names_websocket(head.upgrade)
                   ? websocket::asked_for(head.target, head.authority, head.fields, HttpVersion::kHttp11)
                   : nullptr;
  request_body_.begin(context_, exchange.id, Side::kRequest, head.codings, head.framing);
  sink_->on_request_head(
      *context_.facts, exchange.id,
      {head.method, head.target, head.authority, head.version, head.fields, info.start_ns, info.time_ns});
  if (head.unframed) return {Kind::kUnframed, 0};
  if (head.chunked) return {Kind::kChunked, 0};
  if (head.content_length) return {Kind::kFixed, *head.content_length};
  return {Kind::kEmpty, 0};
}

// Makes exchanges_.front() the one that this response head answers. False: none, it is no head.
bool Http1Codec::choose_response_target(const HeadInfo& info) {
  const auto waiting = std::count_if(exchanges_.begin(), exchanges_.end(),
                                     [](const Exchange& exchange) { return !exchange.response_begun; });
  if (info.hunted) {
    if (waiting == 0 && !requests_.hunting()) return false;
    if (waiting > 1 && pipelined_) {
      end_all(ExchangeEnd::How::kLost, Defect::kLostSegment, info.start_ns);
      return false;
    }
    while (!exchanges_.empty() && (exchanges_.front().response_begun || exchanges_.size() > 1)) {
      keep_first(exchanges_.front().defect, Defect::kLostSegment);
      end_front(ExchangeEnd::How::kLost, info.start_ns);
    }
  } else {
    if (waiting > 1) pipelined_ = true;
    // The reply before this one has ended; its request has not, and another reply comes.
    while (!exchanges_.empty() && exchanges_.front().response_begun)
      end_front(exchanges_.front().response_ended ? ExchangeEnd::How::kComplete : ExchangeEnd::How::kLost,
                info.start_ns);
  }
  if (exchanges_.empty()) {
    Exchange& orphan = begin_exchange(info.time_ns);
    orphan.defect = context_.mid_connection ? Defect::kMidStreamAttach : Defect::kLostSegment;
    orphan.request_ended = true;
  }
  return true;
}

BodyPlan Http1Codec::on_response(const Head& head, const HeadInfo& info) {
  using Kind = BodyPlan::Kind;
  if (head.status < 200 && head.status != 101)
    return {info.hunted && exchanges_.empty() ? Kind::kRefused : Kind::kNone, 0};
  if (!choose_response_target(info)) return {Kind::kRefused, 0};
  if (head.status == 101 && hand_over(head, info.time_ns)) return {Kind::kStop, 0};
  Exchange& exchange = exchanges_.front();
  exchange.response_begun = true;
  exchange.last_ns = info.time_ns;
  if (head.malformed || info.oversized) keep_first(exchange.defect, Defect::kParseError);
  response_body_.begin(context_, exchange.id, Side::kResponse, head.codings, head.framing);
  sink_->on_response_head(*context_.facts, exchange.id,
                          {head.status, head.version, head.fields, info.start_ns, info.time_ns});
  if (head.status == 101 || (exchange.is_connect && head.status < 300)) return upgrade(head, info.time_ns);
  // RFC 9112 6.3, in its order.
  if (exchange.is_head || head.status == 204 || head.status == 304) return {Kind::kEmpty, 0};
  if (head.unframed) return {Kind::kUnframed, 0};
  if (head.chunked) return {Kind::kChunked, 0};
  if (head.has_transfer_encoding || !head.content_length) return {Kind::kUntilClose, 0};
  return {Kind::kFixed, *head.content_length};
}

// RFC 7540 3.2: the reply to the request comes in the new protocol.
bool Http1Codec::hand_over(const Head& head, uint64_t time_ns) {
  const Protocol* to = protocol_by_upgrade(head.upgrade);
  if (!to || exchanges_.size() != 1) return false;
  Exchange& front = exchanges_.front();
  if (!front.request_ended) keep_first(front.defect, request_body_.abandon(time_ns, *sink_));
  context_.handover = Handover{to, front.id, front.is_head, front.defect, {}, time_ns};
  exchanges_.clear();
  requests_.stop();
  finished_ = true;
  return true;
}

BodyPlan Http1Codec::upgrade(const Head& head, uint64_t time_ns) {
  const bool websocket = names_websocket(head.upgrade);
  const bool read = websocket && websocket_ && exchanges_.size() == 1;
  if (!read) (websocket ? context_.counters->websocket_not_read : context_.counters->tunnels_not_read)++;
  Exchange& front = exchanges_.front();
  front.response_ended = true;
  front.request_ended = true;
  end_front(ExchangeEnd::How::kUpgraded, time_ns);
  end_all(ExchangeEnd::How::kLost, Defect::kParseError, time_ns);
  requests_.stop();
  finished_ = true;
  if (read) {
    websocket::agree(*websocket_, head.fields);
    context_.handover = Handover{&websocket_protocol(), {}, false, Defect::kNone, {}, time_ns, websocket_};
  }
  return {BodyPlan::Kind::kStop, 0};
}

void Http1Codec::on_body_bytes(Side side, std::span<const uint8_t> bytes, uint64_t time_ns) {
  if (Exchange* exchange = current(side)) {
    exchange->last_ns = time_ns;
    (side == Side::kRequest ? request_body_ : response_body_).feed(bytes, time_ns, *sink_);
  }
}

void Http1Codec::on_body_gap(Side side, uint64_t bytes, uint64_t time_ns) {
  if (Exchange* exchange = current(side)) {
    keep_first(exchange->defect, Defect::kLostSegment);
    (side == Side::kRequest ? request_body_ : response_body_).gap(bytes, time_ns, *sink_);
  }
}

void Http1Codec::on_body_end(Side side, uint64_t time_ns) {
  Exchange* exchange = current(side);
  if (!exchange) return;
  (side == Side::kRequest ? exchange->request_ended : exchange->response_ended) = true;
  BodyReader& body = side == Side::kRequest ? request_body_ : response_body_;
  keep_first(exchange->defect, body.finish(time_ns, Defect::kNone, *sink_));
  end_front_if_complete(time_ns);
}

void Http1Codec::on_lost(Side side, Defect defect, uint64_t time_ns) {
  Exchange* exchange = current(side);
  if (!exchange) return;
  keep_first(exchange->defect, defect);
  if (side == Side::kRequest) {
    request_body_.abandon(time_ns, *sink_);
    exchange->cut_request_bytes = request_body_.wire_bytes();
    exchange->request_ended = true;
    end_front_if_complete(time_ns);
  } else {
    response_body_.abandon(time_ns, *sink_);
    exchange->cut_response_bytes = response_body_.wire_bytes();
    exchange->response_lost = true;
  }
}

// The answering side is over; says of each open exchange who broke it off.
void Http1Codec::end_unanswered(EndReason reason, uint64_t time_ns) {
  using How = ExchangeEnd::How;
  // Who read the other's end of file, or was reset, did not go first himself.
  const bool by_client =
      client_went_first_ && reason != EndReason::kPeerClosed && reason != EndReason::kReset;
  while (!exchanges_.empty()) {
    Exchange& front = exchanges_.front();
    How how = by_client ? How::kClientAborted : front.response_begun ? How::kServerAborted : How::kNoResponse;
    const bool hunting = responses_.hunting();
    if (front.response_ended)
      how = How::kComplete;
    else if (reason == EndReason::kEvicted || reason == EndReason::kNotSeen || front.response_lost || hunting)
      how = How::kLost;
    // The loss may be older than the exchange: its reply's head was lost before its request was read.
    keep_first(front.defect, hunting && !front.response_ended ? responses_.lost_by() : cut_by(reason));
    end_front(how, time_ns);
  }
}

void Http1Codec::end(Side side, EndReason reason, uint64_t time_ns, MessageSink& sink) {
  sink_ = &sink;
  release_held();
  if (side == Side::kRequest) {
    if (request_over_) return;
    request_over_ = true;
    client_went_first_ = !response_over_;
    if (Exchange* exchange = current(side)) {
      keep_first(exchange->defect, cut_by(reason));
      request_body_.abandon(time_ns, *sink_);
      exchange->cut_request_bytes = request_body_.wire_bytes();
      exchange->request_ended = true;
      end_front_if_complete(time_ns);
    }
    requests_.stop();
    if (response_over_) end_unanswered(response_end_, time_ns);
    return;
  }
  if (response_over_) return;
  response_over_ = true;
  response_end_ = reason;
  const bool whole =
      reason == EndReason::kPeerClosed ||
      ((reason == EndReason::kClosed || reason == EndReason::kProcessExit) && !client_went_first_);
  // The message ended with its last byte, not when we learned of it.
  if (whole && responses_.until_close() && current(side)) responses_.end_of_input(current(side)->last_ns);
  end_unanswered(reason, time_ns);
  responses_.stop();
}

}  // namespace llmtap::http1
