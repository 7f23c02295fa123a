// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "protocols/http2/http2_codec.h"
#include "protocols/websocket/upgrade.h"

namespace llmtap::http2 {
namespace {

constexpr size_t kSniffBytes = 8;
constexpr size_t kClosedKept = 256;

void keep_first(Defect& defect, Defect later) {
  if (defect == Defect::kNone) defect = later;
}

}  // namespace

Defect Http2Codec::why_unknown(Side side) const {
  if (lane(side).lost) return Defect::kLostSegment;
  return context_.mid_connection ? Defect::kMidStreamAttach : Defect::kParseError;
}

bool Http2Codec::was_closed(uint32_t number) const {
  return std::find(closed_.begin(), closed_.end(), number) != closed_.end();
}

// A reply whose request we may have missed; late frames of a stream that is over are none.
bool Http2Codec::may_be_orphan(uint32_t number) const {
  const bool missed = context_.mid_connection || lane(Side::kRequest).lost || number > last_request_stream_;
  return missed && number % 2 == 1 && !was_closed(number);
}

Http2Codec::Streams::iterator Http2Codec::open_stream(uint32_t number, uint64_t time_ns) {
  if (streams_.size() >= context_.limits->http2_streams) {
    context_.counters->http2_streams_evicted++;
    const auto oldest = streams_.begin();
    keep_first(oldest->second.defect, Defect::kParseError);
    end_stream(oldest, ExchangeEnd::How::kLost, time_ns);
  }
  context_.counters->exchanges_begun++;
  context_.books->items_in++;
  const auto opened = streams_.try_emplace(number).first;
  opened->second.id = {context_.facts->id, context_.numbers.take()};
  opened->second.last_ns = time_ns;
  return opened;
}

Http2Codec::Streams::iterator Http2Codec::open_orphan(uint32_t number, uint64_t time_ns) {
  const auto opened = open_stream(number, time_ns);
  opened->second.half(Side::kRequest).begun = opened->second.half(Side::kRequest).ended = true;
  opened->second.defect = context_.mid_connection ? Defect::kMidStreamAttach : Defect::kLostSegment;
  return opened;
}

void Http2Codec::on_request_fields(uint32_t number, uint64_t time_ns) {
  Lane& lane = this->lane(Side::kRequest);
  const auto found = streams_.find(number);
  if (found != streams_.end()) {
    if (found->second.half(Side::kRequest).begun) on_trailers(Side::kRequest, found, time_ns);
    return;
  }
  // RFC 9113 5.1.1: ids ascend. Others are trailers of a stream that is over, or never was seen.
  if (number <= last_request_stream_ || number % 2 == 0) return;
  last_request_stream_ = number;
  if (lane.fields.empty() && !lane.damaged) return;
  const auto opened = open_stream(number, time_ns);
  if (lane.damaged) keep_first(opened->second.defect, lane.lost ? Defect::kLostSegment : Defect::kParseError);
  begin_head(Side::kRequest, opened->second, lane.fields, lane.block_start_ns, time_ns, !lane.end_stream);
}

void Http2Codec::on_response_fields(uint32_t number, uint64_t time_ns) {
  Lane& lane = this->lane(Side::kResponse);
  auto found = streams_.find(number);
  const Head head = lane.fields.head();
  const bool may_be_head = lane.fields.has_unknown() || lane.damaged || head.status != 0;
  if (found == streams_.end()) {
    if (!may_be_head || !may_be_orphan(number)) return;
    found = open_orphan(number, time_ns);
  }
  Stream& stream = found->second;
  Half& half = stream.half(Side::kResponse);
  if (half.ended) return;
  if (half.begun) return on_trailers(Side::kResponse, found, time_ns);
  half.doubt = false;
  if (head.status >= 100 && head.status < 200 && !lane.end_stream) return;
  if (!may_be_head) {
    // Trailers: the head was lost.
    keep_first(stream.defect, Defect::kLostSegment);
    return;
  }
  if (lane.damaged) keep_first(stream.defect, lane.lost ? Defect::kLostSegment : Defect::kParseError);
  begin_head(Side::kResponse, stream, lane.fields, lane.block_start_ns, time_ns, !lane.end_stream);
  if (stream.is_connect && head.status >= 200 && head.status < 300) {
    open_tunnel(number, head, stream);
    half.ended = stream.half(Side::kRequest).ended = true;
    end_stream(found, ExchangeEnd::How::kUpgraded, time_ns);
  }
}

void Http2Codec::begin_head(Side side, Stream& stream, const FieldList& fields, uint64_t start_ns,
                            uint64_t time_ns, bool wait) {
  Half& half = stream.half(side);
  half.begun = true;
  half.doubt = false;
  stream.last_ns = time_ns;
  const bool unknown = fields.has_unknown() || lane(side).damaged;
  if (unknown) keep_first(stream.defect, why_unknown(side));
  if (unknown && wait)
    half.pending = std::make_unique<PendingHead>(PendingHead{fields, start_ns, time_ns, {}});
  else
    deliver_head(side, stream, fields, start_ns, time_ns, {}, nullptr);
}

void Http2Codec::deliver_head(Side side, Stream& stream, const FieldList& fields, uint64_t start_ns,
                              uint64_t time_ns, std::string_view sniffed_type, const BodyShape* sniffed) {
  Head head = fields.head();
  const bool unknown = fields.has_unknown() || sniffed != nullptr;
  head.malformed |= side == Side::kRequest && head.method.empty() && !unknown;
  if (head.malformed || fields.oversized()) {
    if (head.malformed) context_.counters->http2_header_errors++;
    keep_first(stream.defect, Defect::kParseError);
  }
  BodyShape shape = body_shape(head.fields);
  const bool typed =
      std::ranges::any_of(head.fields, [](const HeaderField& f) { return f.name == "content-type"; });
  if (sniffed) {
    if (!typed) shape.framing = sniffed->framing;
    if (shape.codings.count == 0 && !shape.codings.unsupported) shape.codings = sniffed->codings;
    if (!typed && !sniffed_type.empty()) head.fields.push_back({"content-type", sniffed_type});
  }
  stream.half(side).content_length = head.content_length;
  stream.half(side).body.begin(context_, stream.id, side, shape.codings, shape.framing, shape.message_coding);
  if (side == Side::kRequest) {
    stream.is_connect = head.method == "CONNECT";
    if (stream.is_connect && head.protocol == "websocket")
      stream.websocket = websocket::asked_for(head.path, head.authority, head.fields, HttpVersion::kHttp2);
    // RFC 9113 8.5: the authority alone, unless extended (RFC 8441).
    const std::string_view target = stream.is_connect && head.path.empty() ? head.authority : head.path;
    sink_->on_request_head(
        *context_.facts, stream.id,
        {head.method, target, head.authority, HttpVersion::kHttp2, head.fields, start_ns, time_ns, unknown});
  } else {
    sink_->on_response_head(*context_.facts, stream.id,
                            {head.status, HttpVersion::kHttp2, head.fields, start_ns, time_ns, unknown});
  }
}

void Http2Codec::decide_head(Side side, Stream& stream, uint64_t time_ns) {
  const std::unique_ptr<PendingHead> pending = std::exchange(stream.half(side).pending, nullptr);
  const SniffedBody sniffed = sniff_body(pending->first_bytes);
  deliver_head(side, stream, pending->fields, pending->start_ns, pending->time_ns, sniffed.content_type,
               &sniffed.shape);
  const std::string& bytes = pending->first_bytes;
  stream.half(side).body.feed({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, time_ns,
                              *sink_);
}

void Http2Codec::on_trailers(Side side, Streams::iterator stream, uint64_t time_ns) {
  Half& half = stream->second.half(side);
  if (half.ended) return;
  if (half.pending) decide_head(side, stream->second, time_ns);
  const Head trailers = lane(side).fields.head();
  if (lane(side).fields.has_unknown()) keep_first(stream->second.defect, why_unknown(side));
  sink_->on_trailers(stream->second.id, side, trailers.fields, time_ns);
}

void Http2Codec::on_data(Side side, uint32_t number, std::span<const uint8_t> bytes, uint64_t time_ns) {
  if (const auto tunnel = tunnels_.find(number); tunnel != tunnels_.end())
    return tunnel->second->feed(side, {bytes, 0, time_ns}, *sink_);
  auto found = streams_.find(number);
  if (found == streams_.end()) {
    // Of a reply that was under way: only events can be read from their middle.
    const bool missed = context_.mid_connection || lane(Side::kRequest).lost || lane(Side::kResponse).lost;
    if (side == Side::kRequest || !missed || !may_be_orphan(number)) return;
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (sniff_body(text).shape.framing != BodyFraming::kSse) return;
    found = open_orphan(number, time_ns);
  }
  Stream& stream = found->second;
  Half& half = stream.half(side);
  if (half.ended) return;
  stream.last_ns = time_ns;
  half.doubt = false;
  if (!half.begun) {
    // The head was lost, or sent before we came.
    if (side == Side::kRequest) return;
    half.begun = true;
    keep_first(stream.defect, context_.mid_connection ? Defect::kMidStreamAttach : Defect::kLostSegment);
    half.pending =
        std::make_unique<PendingHead>(PendingHead{FieldList(*context_.limits), time_ns, time_ns, {}});
  }
  half.content_bytes += bytes.size();
  if (half.pending) {
    std::string& first = half.pending->first_bytes;
    const size_t taken = std::min(kSniffBytes - first.size(), bytes.size());
    first.append(reinterpret_cast<const char*>(bytes.data()), taken);
    bytes = bytes.subspan(taken);
    if (first.size() < kSniffBytes) return;
    decide_head(side, stream, time_ns);
  }
  half.body.feed(bytes, time_ns, *sink_);
}

void Http2Codec::on_data_lost(Side side, uint32_t number, uint64_t bytes, uint64_t time_ns) {
  if (const auto tunnel = tunnels_.find(number); tunnel != tunnels_.end())
    return tunnel->second->gap(side, bytes, time_ns, *sink_);
  const auto found = streams_.find(number);
  if (found == streams_.end()) return;
  Stream& stream = found->second;
  Half& half = stream.half(side);
  if (!half.begun || half.ended) return;
  keep_first(stream.defect, Defect::kLostSegment);
  half.content_bytes += bytes;
  if (half.pending) decide_head(side, stream, time_ns);
  half.body.gap(bytes, time_ns, *sink_);
}

void Http2Codec::on_stream_end(Side side, uint32_t number, uint64_t time_ns) {
  if (const auto tunnel = tunnels_.find(number); tunnel != tunnels_.end())
    return end_tunnel(tunnel, side, EndReason::kClosed, time_ns);
  const auto found = streams_.find(number);
  if (found != streams_.end()) end_half(side, found, time_ns);
}

void Http2Codec::end_half(Side side, Streams::iterator found, uint64_t time_ns) {
  Stream& stream = found->second;
  Half& half = stream.half(side);
  if (half.ended) return;
  half.ended = true;
  stream.last_ns = time_ns;
  if (!half.begun) {
    keep_first(stream.defect, Defect::kLostSegment);
    return end_stream(found, ExchangeEnd::How::kLost, time_ns);
  }
  if (half.pending) decide_head(side, stream, time_ns);
  keep_first(stream.defect, half.body.finish(time_ns, Defect::kNone, *sink_));
  Half& request = stream.half(Side::kRequest);
  if (stream.half(Side::kResponse).ended && (request.ended || request.doubt))
    end_stream(found, ExchangeEnd::How::kComplete, time_ns);
}

bool Http2Codec::end_whole_response(Streams::iterator found, uint64_t time_ns) {
  Stream& stream = found->second;
  Half& response = stream.half(Side::kResponse);
  if (response.pending) decide_head(Side::kResponse, stream, time_ns);
  if (!response.ended) {
    if (!response.whole()) return false;
    response.ended = true;
    // The message ended with its last byte, not when we learned of it.
    keep_first(stream.defect, response.body.finish(stream.last_ns, Defect::kNone, *sink_));
  }
  end_stream(found, ExchangeEnd::How::kComplete, time_ns);
  return true;
}

void Http2Codec::end_stream(Streams::iterator found, ExchangeEnd::How how, uint64_t time_ns) {
  const uint32_t number = found->first;
  Stream& stream = found->second;
  uint64_t cut_request = 0, cut_response = 0;
  for (const Side side : {Side::kRequest, Side::kResponse}) {
    Half& half = stream.half(side);
    if (!half.begun || half.ended) continue;
    if (half.pending) decide_head(side, stream, time_ns);
    keep_first(stream.defect, half.body.abandon(time_ns, *sink_));
    (side == Side::kRequest ? cut_request : cut_response) = half.body.wire_bytes();
  }
  context_.counters->exchanges_ended++;
  if (how == ExchangeEnd::How::kLost)
    context_.books->lose("lost", 1, 0);
  else
    context_.books->items_out++;
  sink_->on_exchange_end(stream.id, {.how = how,
                                     .time_ns = time_ns,
                                     .defect = stream.defect,
                                     .request_bytes = cut_request,
                                     .response_bytes = cut_response,
                                     .connection = context_.facts});
  streams_.erase(found);
  closed_.push_back(number);
  if (closed_.size() > kClosedKept) closed_.pop_front();
}

void Http2Codec::on_reset(Side side, uint32_t number, uint64_t time_ns) {
  using How = ExchangeEnd::How;
  if (const auto tunnel = tunnels_.find(number); tunnel != tunnels_.end())
    return end_tunnel(tunnel, side, EndReason::kClosed, time_ns);
  const auto found = streams_.find(number);
  if (found == streams_.end()) return;
  // RFC 9113 8.1: a server that has answered may so ask for no more of the request.
  if (end_whole_response(found, time_ns)) return;
  const Half& response = found->second.half(Side::kResponse);
  const How how = side == Side::kRequest ? How::kClientAborted
                  : response.begun       ? How::kServerAborted
                                         : How::kNoResponse;
  keep_first(found->second.defect, Defect::kTruncated);
  end_stream(found, how, time_ns);
}

// RFC 9113 6.8: requests above the last that the server names were not, and will not be, processed.
void Http2Codec::on_goaway(Side side, uint32_t last_stream, uint64_t time_ns) {
  if (side == Side::kRequest) return;
  for (auto next = streams_.upper_bound(last_stream); next != streams_.end();) {
    const auto refused = next++;
    if (refused->second.half(Side::kResponse).begun) continue;
    keep_first(refused->second.defect, Defect::kTruncated);
    end_stream(refused, ExchangeEnd::How::kNoResponse, time_ns);
  }
}

// Both directions are over: says of each open exchange who broke it off.
void Http2Codec::end_unanswered(uint64_t time_ns) {
  using How = ExchangeEnd::How;
  const EndReason reason = lane(Side::kResponse).end_reason;
  // Who read the other's end of file, or was reset, did not go first himself.
  const bool by_client =
      client_went_first_ && reason != EndReason::kPeerClosed && reason != EndReason::kReset;
  while (!tunnels_.empty())
    end_tunnel(tunnels_.begin(), by_client ? Side::kRequest : Side::kResponse, reason, time_ns);
  while (!streams_.empty()) {
    const auto front = streams_.begin();
    if (end_whole_response(front, time_ns)) continue;
    const Half& response = front->second.half(Side::kResponse);
    How how = by_client ? How::kClientAborted : response.begun ? How::kServerAborted : How::kNoResponse;
    if (reason == EndReason::kEvicted || reason == EndReason::kNotSeen || response.doubt ||
        lane(Side::kResponse).frames.hunting())
      how = How::kLost;
    keep_first(front->second.defect, cut_by(reason));
    end_stream(front, how, time_ns);
  }
}

void Http2Codec::sweep(uint64_t time_ns) {
  sweep_ns_ = 0;
  for (auto next = streams_.begin(); next != streams_.end();) {
    const auto each = next++;
    Stream& stream = each->second;
    if (!stream.half(Side::kRequest).doubt && !stream.half(Side::kResponse).doubt) continue;
    if (end_whole_response(each, time_ns)) continue;
    keep_first(stream.defect, Defect::kLostSegment);
    end_stream(each, ExchangeEnd::How::kLost, time_ns);
  }
}

}  // namespace llmtap::http2
