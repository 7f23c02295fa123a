// SPDX-License-Identifier: Apache-2.0
// A WebSocket that an HTTP/1.1 connection or an HTTP/2 stream became: its messages, and of those of LLM
// APIs one exchange for each response.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "protocols/codec.h"
#include "protocols/websocket/frame_reader.h"
#include "protocols/websocket/message_inflater.h"
#include "protocols/websocket/message_peek.h"
#include "protocols/websocket/response_exchanges.h"

namespace llmtap::websocket {

class WebSocketCodec : public Codec {
 public:
  WebSocketCodec(CodecContext& context, std::shared_ptr<const WebSocketUpgrade> upgrade);

  void feed(Side, const StreamChunk&, MessageSink&) override;
  void gap(Side, uint64_t bytes, uint64_t time_ns, MessageSink&) override;
  void end(Side, EndReason, uint64_t time_ns, MessageSink&) override;
  bool finished() const override { return finished_; }
  bool confirmed() const override { return true; }

 private:
  struct Lane : FrameListener {
    Lane(Side side, WebSocketCodec& codec);
    void on_frame(const Frame&, uint64_t time_ns) override;
    void on_payload(std::span<const uint8_t>, uint64_t time_ns) override;
    void on_payload_gap(uint64_t time_ns) override;
    void on_frame_end(uint64_t time_ns) override;
    void on_lost(uint64_t time_ns) override;
    void begin_message();
    void text(std::span<const uint8_t> bytes, uint64_t time_ns);
    void look(std::span<const uint8_t> bytes);
    void decide(uint64_t time_ns);
    void end_message(uint64_t time_ns, std::span<const uint8_t> whole = {});
    void damage(Defect);
    void damage_inside(uint64_t time_ns);

    Side side;
    WebSocketCodec& codec;
    FrameReader frames;
    std::unique_ptr<MessageInflater> inflater;  // permessage-deflate was agreed on
    Frame frame;
    bool in_message = false;  // from its first frame to the end of its last; control frames may lie inside
    bool compressed = false;
    Defect defect = Defect::kNone;  // bytes of the message are missing
    bool decided = false, delivered = false;
    bool all_at_once = false;  // compressed, and all of it lies in the piece being read
    MessagePeek peek;
    bool settled = false;
    std::string held;  // of the message, until it is decided what it is
    uint64_t first_ns = 0;
    uint64_t wire_bytes = 0;
  };

  Lane& lane(Side side) { return lanes_[static_cast<size_t>(side)]; }
  void message_ended(const MessagePeek&, uint64_t bytes, uint64_t time_ns);
  void closed(Side, uint64_t time_ns);
  void give_up(bool damaged, uint64_t time_ns);

  CodecContext& context_;
  std::shared_ptr<const WebSocketUpgrade> upgrade_;
  ResponseExchanges exchanges_;
  std::array<Lane, 2> lanes_;
  size_t unknown_messages_ = 0;
  uint64_t unknown_bytes_ = 0;
  bool finished_ = false;
};

}  // namespace llmtap::websocket
