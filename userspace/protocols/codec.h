// SPDX-License-Identifier: Apache-2.0
// What turns one connection's two byte streams into exchanges. One interface for all protocols, so
// that nothing after it can tell them apart.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/stats.h"
#include "llmtap/facts.h"
#include "llmtap/limits.h"
#include "llmtap/message.h"
#include "llmtap/stream.h"
#include "protocols/decoder_budget.h"

namespace llmtap {

// What an exchange lacks when its connection ends first.
inline Defect cut_by(EndReason reason) {
  return reason == EndReason::kNotSeen ? Defect::kLostSegment : Defect::kTruncated;
}

struct ProtocolCounters {
  // Connections, by what their first bytes (or the first certain head) said.
  uint64_t http1_connections = 0, http2_connections = 0, websocket_connections = 0, other_connections = 0;
  // Recognised and not read: WebSockets that speak no LLM API, other upgrades and tunnels.
  uint64_t websocket_not_read = 0, tunnels_not_read = 0;
  uint64_t verdicts_wanted = 0, verdicts_muted = 0;  // connections given that verdict
  uint64_t websocket_frame_errors = 0, websocket_decode_errors = 0, websocket_resyncs = 0;
  uint64_t parse_errors = 0;     // messages that are not what HTTP allows
  uint64_t oversized_heads = 0;  // of them, heads beyond Limits::head_bytes
  uint64_t resyncs = 0;          // times a stream was lost and hunted for its next head
  uint64_t decode_errors = 0;    // bodies whose coding was damaged, unsupported or over a bound
  uint64_t pipeline_overflows = 0;
  uint64_t exchanges_begun = 0, exchanges_ended = 0;
  uint64_t http2_frame_errors = 0;    // frames that the standard does not allow
  uint64_t http2_header_errors = 0;   // header blocks, and heads in them
  uint64_t http2_resyncs = 0;         // times a direction was lost and hunted for its next frame
  uint64_t http2_unknown_fields = 0;  // references to a table whose filling was not seen
  uint64_t http2_streams_evicted = 0;
  uint64_t resamples = 0;  // muted connections looked at again
};

// The request that made an HTTP connection a WebSocket, and what its reply said of extensions.
struct WebSocketUpgrade {
  std::string target, authority, extensions;
  HttpVersion version = HttpVersion::kHttp11;
  std::vector<std::pair<std::string, std::string>> fields;
};

// A connection that changes its protocol while an exchange goes on (101): what its next codec is told.
struct Handover {
  const struct Protocol* to = nullptr;
  ExchangeId exchange;  // its request was sent; the reply comes in the new protocol
  bool is_head = false;
  Defect defect = Defect::kNone;
  std::array<std::string, 2> unread;  // by side: what came with the head that changed the protocol, behind it
  uint64_t time_ns = 0;
  std::shared_ptr<WebSocketUpgrade> websocket = nullptr;
};

// Numbers of the exchanges of one connection, from 0.
class ExchangeNumber {
 public:
  uint64_t take() { return next_++; }

 private:
  uint64_t next_ = 0;
};

// What a codec works with. Outlives the codec; `facts` is set before every call.
struct CodecContext {
  const ConnectionFacts* facts = nullptr;
  const Limits* limits = nullptr;
  DecoderBudget* budget = nullptr;
  ProtocolCounters* counters = nullptr;
  StageBooks* books = nullptr;  // of exchanges; bytes are booked from the two below
  // Bytes that no exchange is made of, not yet booked. A head that turned out to be none adds bytes of
  // earlier calls, which were booked as read: these are taken from what comes.
  uint64_t resync_bytes = 0, upgraded_bytes = 0;
  ExchangeNumber numbers;
  // The connection's first byte was not seen, or it was lost: begin by looking for a head.
  bool mid_connection = false;
  // Set by the codec that ends, read by the one that begins.
  std::optional<Handover> handover;
};

class Codec {
 public:
  virtual ~Codec() = default;
  virtual void feed(Side, const StreamChunk&, MessageSink&) = 0;
  // `bytes` of this side were lost here (0: unknown how many): finish what is certain, drop the rest,
  // resynchronise.
  virtual void gap(Side, uint64_t bytes, uint64_t time_ns, MessageSink&) = 0;
  // This side will send no more. kRequest: the asking side went first if it is ended first.
  virtual void end(Side, EndReason, uint64_t time_ns, MessageSink&) = 0;
  // Nothing more will come of this connection: it changed its protocol, or we gave up on it.
  virtual bool finished() const = 0;
  // Whether the request just begun is the only one without its reply. Then whole exchanges may be skipped
  // from here on, in both directions, until another request is fed.
  virtual bool allow_repeats() { return false; }
  // A first message was found. Until then a connection met in the middle may be anything.
  virtual bool confirmed() const = 0;
};

}  // namespace llmtap
