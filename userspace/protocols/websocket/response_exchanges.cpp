// SPDX-License-Identifier: Apache-2.0
// Which exchange a message belongs to. What becomes of it: exchange_ends.cpp.
#include "protocols/websocket/response_exchanges.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace llmtap::websocket {
namespace {

// What a client of the Responses API or of Realtime sends to have a response.
bool asks_for_response(std::string_view type) {
  return type == "response.create" || type == "response.append";
}

// Acknowledgements of input that was queued for a response: no part of one.
bool is_receipt(std::string_view type) {
  return type.starts_with("response.steer") || type.starts_with("response.inject");
}

// What was said to the model, written down by another one: by itself, with usage of its own.
bool is_transcription(std::string_view type) {
  constexpr std::string_view kPrefix = "conversation.item.input_audio_transcription.";
  if (!type.starts_with(kPrefix)) return false;
  type.remove_prefix(kPrefix.size());
  return type == "delta" || type == "completed" || type == "failed";
}

bool is_openai(std::string_view type) {
  static constexpr std::string_view kTypes[] = {"session.created", "session.updated", "session.update",
                                                "response.created", "response.create"};
  static constexpr std::string_view kPrefixes[] = {"conversation.item.", "input_audio_buffer.",
                                                   "transcription_session."};
  return std::ranges::find(kTypes, type) != std::end(kTypes) ||
         std::ranges::any_of(kPrefixes, [type](std::string_view prefix) { return type.starts_with(prefix); });
}

void keep_first(Defect& defect, Defect later) {
  if (defect == Defect::kNone) defect = later;
}

}  // namespace

void ResponseExchanges::learn(const MessagePeek& peek) {
  gemini_ |=
      peek.setup || peek.setup_complete || peek.client_content || peek.realtime_input || peek.generated;
  known_ |= gemini_ || is_openai(peek.type);
  if (!peek.transcription_model.empty()) transcription_model_ = peek.transcription_model;
  // A request names its own.
  if (peek.model.empty() || !peek.session_model) return;
  model_ = peek.model;
  if (peek.setup && model_.starts_with("models/")) model_.erase(0, 7);
}

ResponseExchanges::Exchange* ResponseExchanges::find(Number number) {
  if (!number) return nullptr;
  const auto found =
      std::ranges::find_if(open_, [&](const Exchange& each) { return each.id.number == *number; });
  return found == open_.end() ? nullptr : &*found;
}

template <typename Test>
ResponseExchanges::Exchange* ResponseExchanges::first(const Test& test) {
  const auto found =
      std::ranges::find_if(open_, [&](const Exchange& each) { return !each.transcription && test(each); });
  return found == open_.end() ? nullptr : &*found;
}

ResponseExchanges::Exchange* ResponseExchanges::by_id(std::string_view id) {
  return id.empty() ? nullptr : first([id](const Exchange& each) { return each.response_id == id; });
}

bool ResponseExchanges::decidable(Side side, const MessagePeek& peek) const {
  if (peek.ended || !peek.known()) return peek.ended;
  // The end of the message says whether an answer is asked for.
  if (side == Side::kRequest) return asks_for_response(peek.type);
  if ((peek.server_content || peek.usage_metadata) && !peek.generated) return peek.tool_call;
  if (peek.type == "error") return false;
  if (is_transcription(peek.type)) return !peek.item_id.empty();
  if (!peek.type.starts_with("response.")) return true;
  return settled(side, peek);
}

bool ResponseExchanges::settled(Side side, const MessagePeek& peek) const {
  if (side == Side::kRequest || !peek.type.starts_with("response.") || peek.type == "response.created")
    return false;
  // One response after the other, whose events do not name it.
  if (on_responses_ && !lanes_ && open_.size() == 1 && open_.front().response_begun) return true;
  return std::ranges::any_of(open_, [&](const Exchange& each) {
    return !each.response_id.empty() && each.response_id == peek.response_id;
  });
}

ResponseExchanges::Exchange* ResponseExchanges::of_request(const MessagePeek& peek, uint64_t time_ns) {
  finish_turn();
  // Gemini Live: content may come in parts; what a tool said goes on with the turn that asked for it.
  const bool content = (peek.client_content && (peek.turn_complete || !peek.ended)) || peek.realtime_text;
  const bool asks = asks_for_response(peek.type) || content || (open_.empty() && peek.tool_response);
  if (!asks) return nullptr;
  // One thread reads the answer before another has returned from writing the request.
  if (Exchange* const early = first([time_ns](const Exchange& each) {
        return !each.asked && !each.request_ended && time_ns < each.begin_ns;
      })) {
    early->asked = true;
    return early;
  }
  // A client asks again when it has its answer.
  if (doubt_ && !lanes_) end_all(ExchangeEnd::How::kLost, Defect::kLostSegment, time_ns);
  if (open_.empty()) doubt_ = false;
  return begin_exchange(true, time_ns);
}

ResponseExchanges::Exchange* ResponseExchanges::of_created(const MessagePeek& peek, uint64_t time_ns) {
  if (Exchange* const named = by_id(peek.response_id)) return named;
  const auto in_lane = [&](const Exchange& each) { return each.lane == peek.stream_id; };
  // A lane's responses come one after the other: the end of the last one was lost.
  if (doubt_)
    while (Exchange* const stale =
               first([&](const Exchange& each) { return in_lane(each) && each.response_begun; }))
      end(*stale, ExchangeEnd::How::kLost, time_ns);
  Exchange* exchange = first([&](const Exchange& each) { return in_lane(each) && !each.response_begun; });
  // Realtime's server begins one itself when the speaker pauses; a steered response has a successor.
  if (!exchange) exchange = begin_exchange(false, time_ns);
  exchange->response_id = peek.response_id;
  return exchange;
}

ResponseExchanges::Exchange* ResponseExchanges::of_event(const MessagePeek& peek, uint64_t time_ns) {
  if (Exchange* const named = by_id(peek.response_id)) return named;
  // Without its response's id an event is of the lane's; with one that nobody has, of a response whose
  // begin was lost.
  const bool has_id = !peek.response_id.empty();
  const auto may_be = [&](const Exchange& each) {
    return each.lane == peek.stream_id && (!has_id || each.response_id.empty());
  };
  Exchange* exchange = first([&](const Exchange& each) { return may_be(each) && each.response_begun; });
  if (!exchange) exchange = first(may_be);
  if (!exchange) {
    // Late events of a response that is over are no new one.
    if (!known_ || !doubt_) return nullptr;
    exchange = begin_exchange(false, time_ns);
    keep_first(exchange->defect, Defect::kLostSegment);
  }
  if (has_id) exchange->response_id = peek.response_id;
  return exchange;
}

// OpenAI's Realtime reports any refused message so: it ends what has not begun, and not that if it names
// another message. Of a response that has begun it says nothing there; elsewhere there is no other request
// that it could be of.
ResponseExchanges::Exchange* ResponseExchanges::of_error(const MessagePeek& peek) {
  const bool responses = on_responses_;
  return first([&](const Exchange& each) {
    if (each.lane != peek.stream_id || (each.response_begun && !responses)) return false;
    return peek.fault_id.empty() || responses || each.event_id == peek.fault_id;
  });
}

ResponseExchanges::Exchange* ResponseExchanges::of_turn(const MessagePeek& peek, uint64_t time_ns) {
  const bool content = peek.generated || peek.tool_call;
  if (content) finish_turn();
  if (!open_.empty()) return &open_.front();
  // The speaker paused.
  return content ? begin_exchange(false, time_ns) : nullptr;
}

ResponseExchanges::Exchange* ResponseExchanges::of_transcription(const MessagePeek& peek, uint64_t time_ns) {
  const auto found = std::ranges::find_if(
      open_, [&](const Exchange& each) { return each.transcription && each.item_id == peek.item_id; });
  if (found != open_.end()) return &*found;
  Exchange* const exchange = begin_exchange(false, time_ns, true);
  exchange->item_id = peek.item_id;
  return exchange;
}

ResponseExchanges::Exchange* ResponseExchanges::of_reply(const MessagePeek& peek, uint64_t time_ns) {
  Exchange* exchange = nullptr;
  if (peek.server_content || peek.tool_call || (gemini_ && peek.usage_metadata))
    exchange = of_turn(peek, time_ns);
  else if (peek.type == "error")
    exchange = of_error(peek);
  else if (is_transcription(peek.type))
    exchange = of_transcription(peek, time_ns);
  else if (peek.type == "response.created")
    exchange = of_created(peek, time_ns);
  else if (peek.type.starts_with("response.") && !is_receipt(peek.type))
    exchange = of_event(peek, time_ns);
  if (exchange) {
    const bool refused = peek.type == "error" && peek.status >= 400 && peek.status < 600;
    begin_response(*exchange, refused ? peek.status : 200, time_ns);
  }
  return exchange;
}

bool ResponseExchanges::begin_message(Side side, const MessagePeek& peek, uint64_t time_ns) {
  Exchange* const exchange = side == Side::kRequest ? of_request(peek, time_ns) : of_reply(peek, time_ns);
  Number& current = current_[static_cast<size_t>(side)];
  current.reset();
  if (!exchange) return false;
  current = exchange->id.number;
  exchange->text_bytes[static_cast<size_t>(side)] = 0;
  return true;
}

void ResponseExchanges::text(Side side, std::span<const uint8_t> bytes, uint64_t time_ns) {
  Exchange* const exchange = find(current_[static_cast<size_t>(side)]);
  if (!exchange || bytes.empty()) return;
  exchange->text_bytes[static_cast<size_t>(side)] += bytes.size();
  exchange->last_ns = time_ns;
  sink_->on_event_data(exchange->id, side, bytes, time_ns);
}

}  // namespace llmtap::websocket
