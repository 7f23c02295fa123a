// SPDX-License-Identifier: Apache-2.0
// HTTP/1.0 and 1.1: pairs the messages of both sides into exchanges (RFC 9112).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocols/codec.h"
#include "protocols/http1/framing.h"

namespace llmtap::http1 {

class Http1Codec : public Codec, private FramingListener {
 public:
  explicit Http1Codec(CodecContext& context);

  void feed(Side, const StreamChunk&, MessageSink&) override;
  void gap(Side, uint64_t bytes, uint64_t time_ns, MessageSink&) override;
  void end(Side, EndReason, uint64_t time_ns, MessageSink&) override;
  bool finished() const override { return finished_; }
  bool confirmed() const override { return confirmed_; }
  bool allow_repeats() override;

 private:
  struct Exchange {
    ExchangeId id;
    bool is_head = false, is_connect = false;
    bool request_ended = false;  // or lost: no more of it will come
    bool response_begun = false;
    bool response_ended = false;
    bool response_lost = false;  // begun, and cannot be followed
    Defect defect = Defect::kNone;
    uint64_t last_ns = 0;
    uint64_t cut_request_bytes = 0, cut_response_bytes = 0;  // of a body that never ended
  };

  BodyPlan on_head(Side, const Head&, const HeadInfo&) override;
  void on_body_bytes(Side, std::span<const uint8_t>, uint64_t time_ns) override;
  void on_body_gap(Side, uint64_t bytes, uint64_t time_ns) override;
  void on_body_end(Side, uint64_t time_ns) override;
  void on_lost(Side, Defect, uint64_t time_ns) override;

  BodyPlan on_request(const Head&, const HeadInfo&);
  BodyPlan on_response(const Head&, const HeadInfo&);
  bool choose_response_target(const HeadInfo&);
  BodyPlan upgrade(const Head&, uint64_t time_ns);
  bool hand_over(const Head&, uint64_t time_ns);

  Exchange& begin_exchange(uint64_t time_ns);
  Exchange* current(Side);  // whose message this side is in
  void end_front(ExchangeEnd::How, uint64_t time_ns);
  void end_all(ExchangeEnd::How, Defect, uint64_t time_ns);
  void end_front_if_complete(uint64_t time_ns);
  void end_unanswered(EndReason, uint64_t time_ns);
  void hold(const StreamChunk&);
  void release_held();

  CodecContext& context_;
  Framing requests_, responses_;
  BodyReader request_body_, response_body_;
  std::vector<Exchange> exchanges_;              // outstanding, oldest first
  MessageSink* sink_ = nullptr;                  // during a call
  std::shared_ptr<WebSocketUpgrade> websocket_;  // asked for by the last request
  bool finished_ = false, confirmed_ = false;
  bool pipelined_ = false;  // this client sends requests before the reply to the last
  bool request_over_ = false, response_over_ = false;
  bool client_went_first_ = false;
  bool repeats_ = false;      // whole exchanges may have been skipped since the last request
  bool skips_reply_ = false;  // and their replies, before the next
  EndReason response_end_ = EndReason::kClosed;
  // A reply read by one thread before the write of its request returned in another comes out of
  // order: kept until the request, whose entry time proves that it was earlier.
  std::string held_;
  uint64_t held_offset_ = 0, held_ns_ = 0;
};

}  // namespace llmtap::http1
