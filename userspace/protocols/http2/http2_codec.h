// SPDX-License-Identifier: Apache-2.0
// HTTP/2 (RFC 9113): frames to header blocks and data (http2_codec.cpp), those to exchanges
// (http2_streams.cpp), one per stream that a client opened. Pushed responses are not read.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "protocols/codec.h"
#include "protocols/http2/field_list.h"
#include "protocols/http2/frame_reader.h"
#include "protocols/http2/hpack_decoder.h"

namespace llmtap::http2 {

class Http2Codec : public Codec, private FrameListener {
 public:
  explicit Http2Codec(CodecContext& context);

  void feed(Side, const StreamChunk&, MessageSink&) override;
  void gap(Side, uint64_t bytes, uint64_t time_ns, MessageSink&) override;
  void end(Side, EndReason, uint64_t time_ns, MessageSink&) override;
  bool finished() const override { return false; }
  bool confirmed() const override { return confirmed_; }

 private:
  // A head that lacks fields waits for the first bytes of its body, which say what it is.
  struct PendingHead {
    FieldList fields;
    uint64_t start_ns, time_ns;
    std::string first_bytes;
  };
  struct Half {
    bool begun = false, ended = false;
    bool doubt = false;  // more of it, its end among that, may be in a gap
    std::unique_ptr<PendingHead> pending;
    std::optional<uint64_t> content_length;
    uint64_t content_bytes = 0;
    BodyReader body;
    // Every byte came that the head promised: clients leave then, before the frame that ends the stream.
    bool whole() const { return begun && content_length == content_bytes; }
  };
  struct Stream {
    ExchangeId id;
    std::array<Half, 2> halves;
    bool is_connect = false;                                // RFC 9113 8.5
    std::shared_ptr<WebSocketUpgrade> websocket = nullptr;  // RFC 8441
    Defect defect = Defect::kNone;
    uint64_t last_ns = 0;
    Half& half(Side side) { return halves[static_cast<size_t>(side)]; }
  };
  using Streams = std::map<uint32_t, Stream>;
  // Streams that became WebSockets.
  using Tunnels = std::map<uint32_t, std::unique_ptr<Codec>>;
  // A header block (4.3), and what is kept per direction.
  struct Lane {
    Lane(Side side, bool preface, CodecContext& context, Http2Codec& codec)
        : frames(side, preface, context, codec),
          hpack(context.limits->http2_table_bytes, context.limits->head_bytes),
          fields(*context.limits) {}
    FrameReader frames;
    HpackDecoder hpack;
    FieldList fields;
    bool in_block = false, damaged = false, promised = false, end_stream = false;
    uint32_t block_stream = 0;
    uint64_t block_start_ns = 0;
    bool lost = false;  // bytes of this direction were lost at some time
    bool over = false;
    EndReason end_reason = EndReason::kClosed;
  };

  bool admit(Side, const FrameHeader&) override;
  void on_frame(Side, const FrameHeader&, std::span<const uint8_t> prefix, uint64_t time_ns) override;
  void on_content(Side, const FrameHeader&, std::span<const uint8_t>, uint64_t time_ns) override;
  void on_content_gap(Side, const FrameHeader&, uint64_t bytes, uint64_t time_ns) override;
  void on_frame_end(Side, const FrameHeader&, uint64_t time_ns) override;
  void on_lost(Side, Defect, uint64_t time_ns) override;

  void begin_block(Side, const FrameHeader&, uint64_t time_ns);
  void end_block(Side, uint64_t time_ns);
  void hold(std::span<const uint8_t> bytes, uint64_t time_ns);
  void release_held(bool force);

  void on_request_fields(uint32_t number, uint64_t time_ns);
  void on_response_fields(uint32_t number, uint64_t time_ns);
  void on_trailers(Side, Streams::iterator, uint64_t time_ns);
  void on_data(Side, uint32_t number, std::span<const uint8_t>, uint64_t time_ns);
  void on_data_lost(Side, uint32_t number, uint64_t bytes, uint64_t time_ns);
  void on_stream_end(Side, uint32_t number, uint64_t time_ns);
  void open_tunnel(uint32_t number, const Head& reply, Stream&);
  void end_tunnel(Tunnels::iterator, Side, EndReason, uint64_t time_ns);
  void on_reset(Side, uint32_t number, uint64_t time_ns);
  void on_goaway(Side, uint32_t last_stream, uint64_t time_ns);

  Streams::iterator open_stream(uint32_t number, uint64_t time_ns);
  Streams::iterator open_orphan(uint32_t number, uint64_t time_ns);
  void begin_head(Side, Stream&, const FieldList&, uint64_t start_ns, uint64_t time_ns, bool wait);
  void deliver_head(Side, Stream&, const FieldList&, uint64_t start_ns, uint64_t time_ns,
                    std::string_view sniffed_type, const BodyShape* sniffed);
  void decide_head(Side, Stream&, uint64_t time_ns);
  void end_half(Side, Streams::iterator, uint64_t time_ns);
  void end_stream(Streams::iterator, ExchangeEnd::How, uint64_t time_ns);
  bool end_whole_response(Streams::iterator, uint64_t time_ns);
  void end_unanswered(uint64_t time_ns);
  void sweep(uint64_t time_ns);
  Defect why_unknown(Side) const;
  bool may_be_orphan(uint32_t number) const;
  bool was_closed(uint32_t number) const;
  Lane& lane(Side side) { return lanes_[static_cast<size_t>(side)]; }
  const Lane& lane(Side side) const { return lanes_[static_cast<size_t>(side)]; }

  CodecContext& context_;
  std::array<Lane, 2> lanes_;  // by Side
  Streams streams_;
  Tunnels tunnels_;
  uint32_t last_request_stream_ = 0;
  std::deque<uint32_t> closed_;  // the latest
  MessageSink* sink_ = nullptr;  // during a call
  bool confirmed_ = false;
  bool client_went_first_ = false;
  uint64_t sweep_ns_ = 0;  // when streams in doubt are ended; 0: none is
  // A reply read by one thread before the write of its request returned in another comes out of order:
  // kept until the request, whose entry time proves that it was earlier.
  std::string held_;
  std::deque<std::pair<size_t, uint64_t>> held_pieces_;  // sizes, times
  bool admit_all_ = false;
};

}  // namespace llmtap::http2
