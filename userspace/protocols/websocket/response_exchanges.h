// SPDX-License-Identifier: Apache-2.0
// Where on a WebSocket a response of an LLM API begins and ends: OpenAI Realtime, Responses over WebSocket,
// Gemini Live. Makes an exchange of each, as the sink knows them.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "protocols/codec.h"
#include "protocols/websocket/message_peek.h"

namespace llmtap::websocket {

class ResponseExchanges {
 public:
  ResponseExchanges(CodecContext& context, std::shared_ptr<const WebSocketUpgrade> upgrade)
      : context_(context),
        upgrade_(std::move(upgrade)),
        on_responses_(upgrade_->target.find("/responses") != std::string::npos) {
    // Met in the middle, known by what it says.
    if (!upgrade_->target.empty()) return;
    known_ = doubt_ = true;
    asks_lost_ = Defect::kMidStreamAttach;
  }

  // Before each call.
  void set_sink(MessageSink& sink) { sink_ = &sink; }

  // Nothing in the rest of a message can change what becomes of it.
  bool settled(Side, const MessagePeek&) const;
  // So much of a message was read that it can be said which exchange it belongs to.
  bool decidable(Side, const MessagePeek&) const;
  // Whether it belongs to an exchange, which has begun then. All of the message's text follows.
  bool begin_message(Side, const MessagePeek&, uint64_t time_ns);
  void text(Side, std::span<const uint8_t>, uint64_t time_ns);
  struct MessageFacts {
    Defect defect = Defect::kNone;  // not kNone: its text is not whole
    uint64_t wire_bytes = 0;
    uint64_t first_ns = 0, time_ns = 0;
    std::span<const uint8_t> text = {};  // if nothing of it came through text()
  };
  // Of a message that belongs to an exchange.
  void end_message(Side, const MessagePeek&, const MessageFacts&);
  // Every message that ended, whether it belongs to an exchange or not.
  void learn(const MessagePeek&);
  // Messages of this side were lost.
  void lost(Side, Defect);
  void end_all(ExchangeEnd::How, Defect, uint64_t time_ns);
  // The connection is over: says of each open exchange who broke it off.
  void end_unanswered(bool by_client, bool evicted, uint64_t time_ns);
  // A message of one of the APIs was seen.
  bool known() const { return known_; }

 private:
  struct Exchange {
    ExchangeId id;
    std::string lane;         // Responses: the stream_id of its request
    std::string response_id;  // once known
    std::string event_id;     // Realtime: the client's name of its request
    std::string item_id;      // of what is written down
    bool transcription = false;
    bool asked = false;  // by a message that was seen
    bool request_ended = false, response_begun = false;
    bool turn_over = false;  // Gemini: only the usage is missing
    bool usage_seen = false;
    Defect defect = Defect::kNone;
    uint64_t text_bytes[2] = {0, 0};  // of the current message
    uint64_t wire_bytes[2] = {0, 0}, body_bytes[2] = {0, 0};
    uint64_t begin_ns = 0, last_ns = 0;
  };
  using Number = std::optional<uint64_t>;

  Exchange* find(Number number);
  Exchange* by_id(std::string_view response_id);
  template <typename Test>
  Exchange* first(const Test& test);
  Exchange* of_request(const MessagePeek&, uint64_t time_ns);
  Exchange* of_reply(const MessagePeek&, uint64_t time_ns);
  Exchange* of_created(const MessagePeek&, uint64_t time_ns);
  Exchange* of_event(const MessagePeek&, uint64_t time_ns);
  Exchange* of_error(const MessagePeek&);
  Exchange* of_turn(const MessagePeek&, uint64_t time_ns);
  Exchange* of_transcription(const MessagePeek&, uint64_t time_ns);
  Exchange* begin_exchange(bool asked, uint64_t time_ns, bool transcription = false);
  void begin_response(Exchange&, int status, uint64_t time_ns);
  void end_request(Exchange&, uint64_t time_ns);
  void end(Exchange&, ExchangeEnd::How, uint64_t time_ns);
  void finish(Exchange&, uint64_t time_ns);
  void finish_turn();

  CodecContext& context_;
  std::shared_ptr<const WebSocketUpgrade> upgrade_;
  const bool on_responses_;  // that API, or Realtime
  MessageSink* sink_ = nullptr;
  std::deque<Exchange> open_;      // oldest first
  std::array<Number, 2> current_;  // whose message each side is in
  std::string model_, transcription_model_;
  bool known_ = false, gemini_ = false;
  bool lanes_ = false;                // several conversations at once
  bool doubt_ = false;                // the end of what is open may have been lost
  Defect asks_lost_ = Defect::kNone;  // a request may have been, and why
};

}  // namespace llmtap::websocket
