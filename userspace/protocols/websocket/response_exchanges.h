// SPDX-License-Identifier: Apache-2.0
// Where on a WebSocket a response of an LLM API begins and ends: OpenAI Realtime, Responses over WebSocket,
// Gemini Live. Makes an exchange of each, as the sink knows them.
#pragma once

#include <deque>
#include <memory>
#include <span>
#include <string>

#include "protocols/codec.h"
#include "protocols/websocket/message_peek.h"

namespace llmtap::websocket {

class ResponseExchanges {
 public:
  ResponseExchanges(CodecContext& context, std::shared_ptr<const WebSocketUpgrade> upgrade)
      : context_(context), upgrade_(std::move(upgrade)) {}

  // Before each call.
  void set_sink(MessageSink& sink) { sink_ = &sink; }

  // What a message is was found out: whether it belongs to an exchange, which has begun then. All of the
  // message's text follows.
  bool begin_message(Side, const MessagePeek&, uint64_t time_ns);
  void text(Side, std::span<const uint8_t>, uint64_t time_ns);
  // Of a message that belongs to an exchange.
  void end_message(Side, const MessagePeek&, bool complete, uint64_t wire_bytes, uint64_t first_ns,
                   uint64_t time_ns);
  // Every message that ended, whether it belongs to an exchange or not.
  void learn(const MessagePeek&);
  // Messages of this side were lost.
  void lost(Side);
  void end_all(ExchangeEnd::How, Defect, uint64_t time_ns);
  // The connection is over; `how` for an exchange by whether its response had begun.
  void end_unanswered(bool by_client, bool evicted, uint64_t time_ns);
  // A message of one of the APIs was seen.
  bool known() const { return known_; }

 private:
  struct Exchange {
    ExchangeId id;
    bool request_ended = false, response_begun = false;
    bool turn_over = false;  // Gemini: only the usage is missing
    bool usage_seen = false;
    Defect defect = Defect::kNone;
    uint64_t text_bytes = 0;  // of the current message
    uint64_t wire_bytes[2] = {0, 0}, body_bytes[2] = {0, 0};
    uint64_t last_ns = 0;
  };

  bool begin_of_client(const MessagePeek&, uint64_t time_ns);
  bool begin_of_server(const MessagePeek&, uint64_t time_ns);
  Exchange* begin_exchange(Defect, uint64_t time_ns);
  void begin_response(Exchange&, uint64_t time_ns);
  void end_front(ExchangeEnd::How, uint64_t time_ns);
  void finish_front(uint64_t time_ns);

  CodecContext& context_;
  std::shared_ptr<const WebSocketUpgrade> upgrade_;
  MessageSink* sink_ = nullptr;
  std::deque<Exchange> open_;  // oldest first; only the first has a response
  std::string model_;
  bool known_ = false, gemini_ = false;
  bool doubt_ = false;  // the end of what is open may have been lost
};

}  // namespace llmtap::websocket
