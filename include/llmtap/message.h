// SPDX-License-Identifier: Apache-2.0
// HTTP exchanges, whatever carried them (HTTP/1.1, HTTP/2, WebSocket). Made by protocols/,
// read by llm/. Bodies are delivered decoded (transfer and content coding removed), in pieces of any
// size, as they flow; nothing is buffered. All views are valid during the call only.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "llmtap/facts.h"
#include "llmtap/stream.h"

namespace llmtap {

// One request and its reply. `number` counts from 0 on a connection.
struct ExchangeId {
  uint64_t connection = 0;
  uint64_t number = 0;
  bool operator==(const ExchangeId&) const = default;
};

// Name in lower case, value with surrounding blanks removed; repeated fields appear repeatedly.
struct HeaderField {
  std::string_view name;
  std::string_view value;
};

enum class HttpVersion : uint8_t { kUnknown, kHttp10, kHttp11, kHttp2 };

struct RequestHead {
  std::string_view method;
  std::string_view target;     // as sent: path and query, or absolute form, or authority (CONNECT)
  std::string_view authority;  // Host or :authority; empty if absent
  HttpVersion version = HttpVersion::kUnknown;
  std::span<const HeaderField> headers;
  uint64_t start_ns = 0;  // first byte of the head
  uint64_t time_ns = 0;   // last byte of the head
  // Fields were sent that could not be read (HTTP/2 met in the middle): absent does not mean not sent,
  // and method, target and authority may be empty.
  bool fields_unknown = false;
  // One response on a WebSocket: the head is that of the upgrade, the body the message that asked for the
  // response (none: the server began it); `model` is what the connection was told before, or empty.
  bool websocket = false;
  std::string_view model = {};
  // On a WebSocket, too: no response, but what was said to the model, written down by `model`.
  bool transcription = false;
  // First value of a field, or empty.
  std::string_view header(std::string_view lower_name) const {
    for (const HeaderField& field : headers)
      if (field.name == lower_name) return field.value;
    return {};
  }
};

struct ResponseHead {
  int status = 0;  // final status; 1xx are not delivered. 0: sent, not known
  HttpVersion version = HttpVersion::kUnknown;
  std::span<const HeaderField> headers;
  uint64_t start_ns = 0;
  uint64_t time_ns = 0;
  // As above. Its content type is then what the body's first bytes look like, if it was not read.
  bool fields_unknown = false;
  std::string_view model = {};  // on a WebSocket: what the connection was told by now, or empty
  std::string_view header(std::string_view lower_name) const {
    for (const HeaderField& field : headers)
      if (field.name == lower_name) return field.value;
    return {};
  }
};

// How the body's inside is framed, by content type. Events (SSE, NDJSON, gRPC messages, AWS
// event-stream messages, decompressed) come through on_event_data/on_event_end; everything else through
// on_body.
enum class BodyFraming : uint8_t { kPlain, kSse, kNdjson, kGrpc, kEventStream };

// One SSE event dispatched, one NDJSON line, gRPC or event-stream message ended. Its data came before in
// pieces.
struct EventEnd {
  std::string_view name;       // SSE `event:`, the type of an event-stream message; empty when absent
  uint64_t time_ns = 0;        // of the byte that dispatched it
  uint64_t first_byte_ns = 0;  // of its first data byte
  uint64_t data_bytes = 0;
  bool complete = true;  // false: the stream ended, or bytes were lost, inside it: discard it
  bool error = false;    // the framing itself says that this is one: `name` is the error's type
};

enum class Defect : uint8_t {
  kNone,
  kLostSegment,      // a gap inside the exchange
  kMidStreamAttach,  // the exchange began before the first byte that we saw
  kTruncated,        // the connection ended before the message did
  kParseError,       // not what HTTP, chunked or the coding allow
  kDecompressError,  // damaged or unsupported coding, or over the decoders' bound
};

// End of one side's message.
struct MessageEnd {
  uint64_t time_ns = 0;     // last byte of the body (of the head, if there is none)
  uint64_t wire_bytes = 0;  // body bytes on the wire, coding included, chunk framing excluded
  uint64_t body_bytes = 0;  // after decoding
  Defect defect = Defect::kNone;
};

// How the exchange as a whole ended.
struct ExchangeEnd {
  enum class How : uint8_t {
    kComplete,       // request and response ended as HTTP says
    kNoResponse,     // connection ended before a response head
    kClientAborted,  // the asking side closed or reset before the response was complete
    kServerAborted,  // the answering side did
    kLost,           // we cannot tell: a gap, or the probe gave up
    kUpgraded,       // 101 or CONNECT 2xx: the connection changed its protocol
  };
  How how = How::kComplete;
  uint64_t time_ns = 0;
  Defect defect = Defect::kNone;  // the first of either side
  // Body bytes seen on the wire of a side that began and got no on_message_end.
  uint64_t request_bytes = 0, response_bytes = 0;
  // The connection as it is known by now: addresses may have come after the heads. Null: nothing new.
  const ConnectionFacts* connection = nullptr;
};

// What llm/ (and the plain-HTTP accounting) implements. Order per exchange: on_request_head,
// {request body or events}*, on_request_end, on_response_head, {…}*, on_response_end,
// on_exchange_end. A server may answer before the request has ended: response calls can come before
// on_request_end. After a mid-connection attach an exchange may begin with on_response_head. A side
// that never ended gets no on_*_end; on_exchange_end always comes exactly once.
class MessageSink {
 public:
  virtual ~MessageSink() = default;
  virtual void on_request_head(const ConnectionFacts&, ExchangeId, const RequestHead&) = 0;
  virtual void on_response_head(const ConnectionFacts&, ExchangeId, const ResponseHead&) = 0;
  virtual void on_body(ExchangeId, Side, std::span<const uint8_t> bytes, uint64_t time_ns) = 0;
  // A piece of the current event's data (SSE lines joined by LF, as the standard says).
  virtual void on_event_data(ExchangeId, Side, std::span<const uint8_t> bytes, uint64_t time_ns) = 0;
  virtual void on_event_end(ExchangeId, Side, const EventEnd&) = 0;
  // Fields behind the body, before on_message_end (gRPC's status is one). Those of HTTP/1 are not read.
  virtual void on_trailers(ExchangeId, Side, std::span<const HeaderField>, uint64_t /*time_ns*/) {}
  // An event whose data lies in one piece; as the two calls, which it makes unless overridden.
  virtual void on_whole_event(ExchangeId exchange, Side side, std::span<const uint8_t> bytes,
                              const EventEnd& end) {
    if (!bytes.empty()) on_event_data(exchange, side, bytes, end.first_byte_ns);
    on_event_end(exchange, side, end);
  }
  virtual void on_message_end(ExchangeId, Side, const MessageEnd&) = 0;
  virtual void on_exchange_end(ExchangeId, const ExchangeEnd&) = 0;
};

}  // namespace llmtap
