// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "protocols/websocket/response_exchanges.h"

namespace llmtap::websocket {
namespace {

bool ends_response(std::string_view type) {
  static constexpr std::string_view kLast[] = {"response.done",
                                               "response.completed",
                                               "response.failed",
                                               "response.incomplete",
                                               "response.cancelled",
                                               "error",
                                               "conversation.item.input_audio_transcription.completed",
                                               "conversation.item.input_audio_transcription.failed"};
  return std::ranges::find(kLast, type) != std::end(kLast);
}

}  // namespace

// The same head for each: that of the upgrade.
ResponseExchanges::Exchange* ResponseExchanges::begin_exchange(bool asked, uint64_t time_ns,
                                                               bool transcription) {
  if (open_.size() >= context_.limits->pipelined_requests) {
    context_.counters->pipeline_overflows++;
    end_all(ExchangeEnd::How::kLost, Defect::kParseError, time_ns);
  }
  context_.counters->exchanges_begun++;
  context_.books->items_in++;
  Exchange& exchange = open_.emplace_back();
  exchange.id = {context_.facts->id, context_.numbers.take()};
  exchange.asked = asked;
  exchange.transcription = transcription;
  if (!asked && !transcription) exchange.defect = std::exchange(asks_lost_, Defect::kNone);
  exchange.begin_ns = exchange.last_ns = time_ns;
  std::vector<HeaderField> fields;
  fields.reserve(upgrade_->fields.size());
  for (const auto& [name, value] : upgrade_->fields) fields.push_back({name, value});
  RequestHead head;
  head.method = "GET";
  head.target = upgrade_->target;
  head.authority = upgrade_->authority;
  head.version = upgrade_->version;
  head.headers = fields;
  head.start_ns = head.time_ns = time_ns;
  head.websocket = true;
  head.model = transcription ? transcription_model_ : model_;
  head.transcription = transcription;
  sink_->on_request_head(*context_.facts, exchange.id, head);
  return &exchange;
}

void ResponseExchanges::begin_response(Exchange& exchange, int status, uint64_t time_ns) {
  if (exchange.response_begun) return;
  exchange.response_begun = true;
  // The messages are what a stream of the same API has as events.
  static constexpr std::array<HeaderField, 1> kFields{HeaderField{"content-type", "text/event-stream"}};
  ResponseHead head;
  head.status = status;
  head.version = upgrade_->version;
  head.headers = kFields;
  head.start_ns = head.time_ns = time_ns;
  head.model = exchange.transcription ? transcription_model_ : model_;
  sink_->on_response_head(*context_.facts, exchange.id, head);
}

void ResponseExchanges::end_request(Exchange& exchange, uint64_t time_ns) {
  if (std::exchange(exchange.request_ended, true)) return;
  const Defect defect = exchange.asked ? exchange.defect : Defect::kNone;
  sink_->on_message_end(exchange.id, Side::kRequest,
                        {time_ns, exchange.wire_bytes[0], exchange.body_bytes[0], defect});
}

void ResponseExchanges::end_message(Side side, const MessagePeek& peek, const MessageFacts& facts) {
  const auto at = static_cast<size_t>(side);
  Exchange* const exchange = find(std::exchange(current_[at], std::nullopt));
  if (!exchange) return;
  exchange->wire_bytes[at] += facts.wire_bytes;
  exchange->text_bytes[at] += facts.text.size();
  exchange->body_bytes[at] += exchange->text_bytes[at];
  exchange->last_ns = facts.time_ns;
  if (exchange->defect == Defect::kNone) exchange->defect = facts.defect;
  const EventEnd end{
      {}, facts.time_ns, facts.first_ns, exchange->text_bytes[at], facts.defect == Defect::kNone};
  if (facts.text.empty())
    sink_->on_event_end(exchange->id, side, end);
  else
    sink_->on_whole_event(exchange->id, side, facts.text, end);
  if (side == Side::kRequest) {
    exchange->lane = peek.stream_id;
    exchange->event_id = peek.event_id;
    lanes_ |= !peek.stream_id.empty();
    // An answer that was read first began the exchange.
    return end_request(*exchange, std::max(facts.time_ns, exchange->begin_ns));
  }
  exchange->usage_seen |= peek.usage_metadata;
  exchange->turn_over |= peek.server_content && peek.turn_complete;
  if (ends_response(peek.type) || (exchange->turn_over && exchange->usage_seen))
    finish(*exchange, facts.time_ns);
}

void ResponseExchanges::end(Exchange& exchange, ExchangeEnd::How how, uint64_t time_ns) {
  const bool complete = how == ExchangeEnd::How::kComplete;
  context_.counters->exchanges_ended++;
  if (how == ExchangeEnd::How::kLost)
    context_.books->lose("lost", 1, 0);
  else
    context_.books->items_out++;
  const Exchange ended = std::move(exchange);
  std::erase_if(open_, [&](const Exchange& each) { return each.id == ended.id; });
  if (open_.empty()) doubt_ = false;
  sink_->on_exchange_end(ended.id, {.how = how,
                                    .time_ns = time_ns,
                                    .defect = ended.defect,
                                    .request_bytes = ended.request_ended ? 0 : ended.wire_bytes[0],
                                    .response_bytes = complete ? 0 : ended.wire_bytes[1],
                                    .connection = context_.facts});
}

void ResponseExchanges::finish(Exchange& exchange, uint64_t time_ns) {
  // A server began it: nothing was asked.
  end_request(exchange, exchange.begin_ns);
  sink_->on_message_end(exchange.id, Side::kResponse,
                        {time_ns, exchange.wire_bytes[1], exchange.body_bytes[1], exchange.defect});
  end(exchange, ExchangeEnd::How::kComplete, time_ns);
}

// The usage comes with the end of a turn, or behind it, or not at all.
void ResponseExchanges::finish_turn() {
  if (!open_.empty() && open_.front().turn_over) finish(open_.front(), open_.front().last_ns);
}

void ResponseExchanges::lost(Side side, Defect defect) {
  if (side == Side::kRequest) {
    // What is lost of a request that was seen is said where its message ends.
    if (asks_lost_ == Defect::kNone) asks_lost_ = defect;
    return;
  }
  doubt_ = true;
  for (Exchange& exchange : open_)
    if (exchange.defect == Defect::kNone) exchange.defect = defect;
}

void ResponseExchanges::end_all(ExchangeEnd::How how, Defect defect, uint64_t time_ns) {
  while (!open_.empty()) {
    if (open_.front().defect == Defect::kNone) open_.front().defect = defect;
    end(open_.front(), how, time_ns);
  }
}

void ResponseExchanges::end_unanswered(bool by_client, bool evicted, uint64_t time_ns) {
  using How = ExchangeEnd::How;
  while (!open_.empty()) {
    Exchange& front = open_.front();
    if (front.turn_over) {
      finish(front, front.last_ns);
      continue;
    }
    if (front.defect == Defect::kNone) front.defect = Defect::kTruncated;
    end(front,
        evicted || doubt_      ? How::kLost
        : by_client            ? How::kClientAborted
        : front.response_begun ? How::kServerAborted
                               : How::kNoResponse,
        time_ns);
  }
}

}  // namespace llmtap::websocket
