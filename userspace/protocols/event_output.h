// SPDX-License-Identifier: Apache-2.0
// Where the event decoders (SSE, NDJSON) write: one message of one exchange.
#pragma once

#include "llmtap/message.h"

namespace llmtap {

class EventOutput {
 public:
  EventOutput(MessageSink& sink, ExchangeId exchange, Side side)
      : sink_(sink), exchange_(exchange), side_(side) {}
  void data(std::span<const uint8_t> bytes, uint64_t time_ns) {
    sink_.on_event_data(exchange_, side_, bytes, time_ns);
  }
  void end(const EventEnd& end) { sink_.on_event_end(exchange_, side_, end); }
  void whole(std::span<const uint8_t> bytes, const EventEnd& end) {
    sink_.on_whole_event(exchange_, side_, bytes, end);
  }

 private:
  MessageSink& sink_;
  ExchangeId exchange_;
  Side side_;
};

}  // namespace llmtap
