// SPDX-License-Identifier: Apache-2.0
#include "protocols/websocket/response_exchanges.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace llmtap::websocket {
namespace {

bool ends_response(std::string_view type) {
  static constexpr std::string_view kLast[] = {"response.done", "response.completed", "response.failed",
                                               "response.incomplete", "response.cancelled"};
  return std::ranges::find(kLast, type) != std::end(kLast);
}

bool is_openai(std::string_view type) {
  static constexpr std::string_view kPrefixes[] = {"response.", "session.", "conversation.",
                                                   "input_audio_buffer.", "transcription_session."};
  return std::ranges::any_of(kPrefixes, [type](std::string_view prefix) { return type.starts_with(prefix); });
}

void keep_first(Defect& defect, Defect later) {
  if (defect == Defect::kNone) defect = later;
}

}  // namespace

void ResponseExchanges::learn(const MessagePeek& peek) {
  gemini_ |=
      peek.setup || peek.setup_complete || peek.client_content || peek.realtime_input || peek.server_content;
  known_ |= gemini_ || is_openai(peek.type);
  if (peek.session_model.empty()) return;
  model_ = peek.session_model;
  if (peek.setup && model_.starts_with("models/")) model_.erase(0, 7);
}

// The same head for each: that of the upgrade.
ResponseExchanges::Exchange* ResponseExchanges::begin_exchange(Defect defect, uint64_t time_ns) {
  if (open_.size() >= context_.limits->pipelined_requests) {
    context_.counters->pipeline_overflows++;
    end_all(ExchangeEnd::How::kLost, Defect::kParseError, time_ns);
  }
  context_.counters->exchanges_begun++;
  context_.books->items_in++;
  Exchange& exchange = open_.emplace_back();
  exchange.id = {context_.facts->id, context_.numbers.take()};
  exchange.defect = defect;
  exchange.last_ns = time_ns;
  std::vector<HeaderField> fields;
  fields.reserve(upgrade_->fields.size());
  for (const auto& [name, value] : upgrade_->fields) fields.push_back({name, value});
  RequestHead head;
  head.method = "GET";
  head.target = upgrade_->target;
  head.authority = upgrade_->authority;
  head.version = HttpVersion::kHttp11;
  head.headers = fields;
  head.start_ns = head.time_ns = time_ns;
  head.websocket = true;
  head.model = model_;
  sink_->on_request_head(*context_.facts, exchange.id, head);
  return &exchange;
}

void ResponseExchanges::begin_response(Exchange& exchange, uint64_t time_ns) {
  if (exchange.response_begun) return;
  if (!exchange.request_ended) {
    exchange.request_ended = true;
    sink_->on_message_end(exchange.id, Side::kRequest, {.time_ns = exchange.last_ns});
  }
  exchange.response_begun = true;
  // The messages are what a stream of the same API has as events.
  static constexpr std::array<HeaderField, 1> kFields{HeaderField{"content-type", "text/event-stream"}};
  ResponseHead head;
  head.status = 200;
  head.version = HttpVersion::kHttp11;
  head.headers = kFields;
  head.start_ns = head.time_ns = time_ns;
  sink_->on_response_head(*context_.facts, exchange.id, head);
}

void ResponseExchanges::end_front(ExchangeEnd::How how, uint64_t time_ns) {
  doubt_ = false;
  const Exchange ended = open_.front();
  open_.pop_front();
  context_.counters->exchanges_ended++;
  if (how == ExchangeEnd::How::kLost)
    context_.books->lose("lost", 1, 0);
  else
    context_.books->items_out++;
  const bool complete = how == ExchangeEnd::How::kComplete;
  sink_->on_exchange_end(ended.id, {.how = how,
                                    .time_ns = time_ns,
                                    .defect = ended.defect,
                                    .request_bytes = ended.request_ended ? 0 : ended.wire_bytes[0],
                                    .response_bytes = complete ? 0 : ended.wire_bytes[1],
                                    .connection = context_.facts});
}

void ResponseExchanges::finish_front(uint64_t time_ns) {
  Exchange& front = open_.front();
  sink_->on_message_end(front.id, Side::kResponse,
                        {time_ns, front.wire_bytes[1], front.body_bytes[1], front.defect});
  end_front(ExchangeEnd::How::kComplete, time_ns);
}

bool ResponseExchanges::begin_of_client(const MessagePeek& peek, uint64_t time_ns) {
  if (!open_.empty() && open_.front().turn_over) finish_front(open_.front().last_ns);
  const bool asks =
      peek.type == "response.create" || (open_.empty() && (peek.client_content || peek.tool_response));
  // A client asks again when it has its answer.
  if (asks && doubt_) end_all(ExchangeEnd::How::kLost, Defect::kLostSegment, time_ns);
  if (asks) begin_exchange(Defect::kNone, time_ns);
  return asks;
}

bool ResponseExchanges::begin_of_server(const MessagePeek& peek, uint64_t time_ns) {
  const bool live = peek.server_content || peek.tool_call;
  const bool event = peek.type.starts_with("response.");
  if (!open_.empty() && open_.front().turn_over && live) finish_front(open_.front().last_ns);
  if (peek.type == "error") {
    // OpenAI's Realtime reports any refused message so: it ends what has not begun. Of a response that
    // has, it says nothing there; elsewhere there is no other request that it could be of.
    const bool responses = upgrade_->target.find("/responses") != std::string::npos;
    if (open_.empty() || (open_.front().response_begun && !responses)) return false;
  } else if (peek.type == "response.created") {
    // One response after the other: the end of the last one was lost.
    if (!open_.empty() && open_.front().response_begun) {
      keep_first(open_.front().defect, Defect::kLostSegment);
      end_front(ExchangeEnd::How::kLost, time_ns);
    }
    // Realtime's server begins one itself when the speaker pauses.
    if (open_.empty()) begin_exchange(Defect::kNone, time_ns);
  } else if (event || live) {
    if (open_.empty()) begin_exchange(event ? Defect::kLostSegment : Defect::kNone, time_ns);
  } else if (!peek.usage_metadata || open_.empty()) {
    return false;
  }
  begin_response(open_.front(), time_ns);
  return true;
}

bool ResponseExchanges::begin_message(Side side, const MessagePeek& peek, uint64_t time_ns) {
  const bool ours = side == Side::kRequest ? begin_of_client(peek, time_ns) : begin_of_server(peek, time_ns);
  if (ours) (side == Side::kRequest ? open_.back() : open_.front()).text_bytes = 0;
  return ours;
}

void ResponseExchanges::text(Side side, std::span<const uint8_t> bytes, uint64_t time_ns) {
  if (open_.empty() || bytes.empty()) return;
  Exchange& exchange = side == Side::kRequest ? open_.back() : open_.front();
  exchange.text_bytes += bytes.size();
  exchange.last_ns = time_ns;
  sink_->on_event_data(exchange.id, side, bytes, time_ns);
}

void ResponseExchanges::end_message(Side side, const MessagePeek& peek, bool complete, uint64_t wire_bytes,
                                    uint64_t first_ns, uint64_t time_ns) {
  if (open_.empty()) return;
  Exchange& exchange = side == Side::kRequest ? open_.back() : open_.front();
  const auto at = static_cast<size_t>(side);
  exchange.wire_bytes[at] += wire_bytes;
  exchange.body_bytes[at] += exchange.text_bytes;
  exchange.last_ns = time_ns;
  if (!complete) keep_first(exchange.defect, Defect::kLostSegment);
  sink_->on_event_end(exchange.id, side, {{}, time_ns, first_ns, exchange.text_bytes, complete});
  if (side == Side::kRequest) {
    if (exchange.request_ended) return;  // the response came before the last of it
    exchange.request_ended = true;
    sink_->on_message_end(exchange.id, side,
                          {time_ns, exchange.wire_bytes[0], exchange.body_bytes[0], exchange.defect});
    return;
  }
  exchange.usage_seen |= peek.usage_metadata;
  exchange.turn_over |= peek.turn_complete;
  if (ends_response(peek.type) || peek.type == "error" || (exchange.turn_over && exchange.usage_seen))
    finish_front(time_ns);
}

void ResponseExchanges::lost(Side side) {
  // What is lost of a request is said where its message ends.
  if (side == Side::kRequest) return;
  doubt_ = !open_.empty();
  for (Exchange& exchange : open_) keep_first(exchange.defect, Defect::kLostSegment);
}

void ResponseExchanges::end_all(ExchangeEnd::How how, Defect defect, uint64_t time_ns) {
  while (!open_.empty()) {
    keep_first(open_.front().defect, defect);
    end_front(how, time_ns);
  }
}

void ResponseExchanges::end_unanswered(bool by_client, bool evicted, uint64_t time_ns) {
  using How = ExchangeEnd::How;
  while (!open_.empty()) {
    if (open_.front().turn_over) {
      finish_front(open_.front().last_ns);
      continue;
    }
    keep_first(open_.front().defect, Defect::kTruncated);
    end_front(evicted                        ? How::kLost
              : by_client                    ? How::kClientAborted
              : open_.front().response_begun ? How::kServerAborted
                                             : How::kNoResponse,
              time_ns);
  }
}

}  // namespace llmtap::websocket
