// SPDX-License-Identifier: Apache-2.0
// What a run delivered, as one text that must not depend on how the bytes were cut: adjacent pieces
// of one body are merged, times left out.
#pragma once

#include <string>

#include "llmtap/message.h"
#include "llmtap/verdict.h"

namespace llmtap::fuzz {

class Trace : public MessageSink, public VerdictSink {
 public:
  std::string text;

  void on_request_head(const ConnectionFacts&, ExchangeId id, const RequestHead& head) override {
    begin(id, Side::kRequest, 'h');
    text.append(head.method).append(head.target).append(head.authority);
    fields(head.headers);
  }
  void on_response_head(const ConnectionFacts&, ExchangeId id, const ResponseHead& head) override {
    begin(id, Side::kResponse, 'h');
    text += std::to_string(head.status);
    fields(head.headers);
  }
  void on_body(ExchangeId id, Side side, std::span<const uint8_t> bytes, uint64_t) override {
    piece(id, side, 'b', bytes);
  }
  void on_event_data(ExchangeId id, Side side, std::span<const uint8_t> bytes, uint64_t) override {
    piece(id, side, 'd', bytes);
  }
  void on_event_end(ExchangeId id, Side side, const EventEnd& end) override {
    begin(id, side, 'e');
    text.append(end.name).append(std::to_string(end.data_bytes)).append(end.complete ? "" : "incomplete");
  }
  void on_trailers(ExchangeId id, Side side, std::span<const HeaderField> trailers, uint64_t) override {
    begin(id, side, 't');
    fields(trailers);
  }
  void on_message_end(ExchangeId id, Side side, const MessageEnd& end) override {
    begin(id, side, 'm');
    text += std::to_string(end.wire_bytes) + "/" + std::to_string(end.body_bytes) + "/" +
            std::to_string(static_cast<int>(end.defect));
  }
  void on_exchange_end(ExchangeId id, const ExchangeEnd& end) override {
    begin(id, Side::kRequest, 'x');
    text += std::to_string(static_cast<int>(end.how)) + "/" + std::to_string(static_cast<int>(end.defect));
  }
  void set_verdict(uint64_t, Verdict) override {}

 private:
  void begin(ExchangeId id, Side side, char kind) {
    piece_ = {};
    text += "\n" + std::to_string(id.number) + (side == Side::kRequest ? ">" : "<") + kind + " ";
  }
  void fields(std::span<const HeaderField> headers) {
    for (const HeaderField& field : headers)
      text.append("{").append(field.name).append("|").append(field.value).append("}");
  }
  void piece(ExchangeId id, Side side, char kind, std::span<const uint8_t> bytes) {
    const std::string key = std::to_string(id.number) + (side == Side::kRequest ? ">" : "<") + kind;
    if (piece_ != key) begin(id, side, kind);
    piece_ = key;
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  std::string piece_;
};

}  // namespace llmtap::fuzz
