// SPDX-License-Identifier: Apache-2.0
// The body of one message: content codings removed, framed by content type, passed to the sink as it
// flows. Used by every codec once transfer framing is gone.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <variant>

#include "protocols/codec.h"
#include "protocols/content_decoder.h"
#include "protocols/eventstream/event_stream_decoder.h"
#include "protocols/grpc_decoder.h"
#include "protocols/ndjson_decoder.h"
#include "protocols/sse_decoder.h"

namespace llmtap {

// By media type, parameters ignored.
BodyFraming framing_by_content_type(std::string_view content_type);

// Codings in the order in which the sender applied them; at most two.
struct CodingList {
  static constexpr size_t kMax = 2;
  std::array<Coding, kMax> codings{};
  size_t count = 0;
  bool unsupported = false;  // an unknown coding, or too many
  // Adds the tokens of one field value.
  void add(std::string_view value);
};

class BodyReader {
 public:
  void begin(const CodecContext& context, ExchangeId exchange, Side side, const CodingList& codings,
             BodyFraming framing, Coding message_coding = Coding::kIdentity);
  void feed(std::span<const uint8_t> bytes, uint64_t time_ns, MessageSink& sink);
  // `bytes` of the body were lost. Events go on behind the next event's begin; decoders and plain
  // bodies end here: bytes on both sides of a gap must not meet in one number.
  void gap(uint64_t bytes, uint64_t time_ns, MessageSink& sink);
  // The body ended as HTTP says: delivers on_message_end with the earlier of the two defects.
  Defect finish(uint64_t time_ns, Defect defect, MessageSink& sink);
  // The body will not end: closes the event it is in, delivers no on_message_end.
  Defect abandon(uint64_t time_ns, MessageSink& sink);
  // Of the body that began last, coding included.
  uint64_t wire_bytes() const { return wire_bytes_; }

 private:
  bool decode(size_t stage, std::span<const uint8_t> bytes, uint64_t time_ns, MessageSink& sink);
  void deliver(std::span<const uint8_t> bytes, uint64_t time_ns, MessageSink& sink);
  void fail(Defect defect, uint64_t time_ns, MessageSink& sink);
  void close_events(bool complete, uint64_t time_ns, MessageSink& sink);

  const CodecContext* context_ = nullptr;
  ExchangeId exchange_;
  Side side_ = Side::kRequest;
  CodingList codings_;
  std::array<std::unique_ptr<ContentDecoder>, CodingList::kMax> decoders_;
  // Ten times as large as the others, and rare: every connection would carry room for two.
  using MessagesPtr = std::unique_ptr<EventStreamDecoder>;
  std::variant<std::monostate, SseDecoder, NdjsonDecoder, GrpcDecoder, MessagesPtr> events_;
  bool stopped_ = false;  // nothing more is delivered of this body
  Defect defect_ = Defect::kNone;
  uint64_t wire_bytes_ = 0;
  uint64_t body_bytes_ = 0;
  uint64_t decoder_input_bytes_ = 0;
  uint64_t decoder_output_bytes_ = 0;
};

}  // namespace llmtap
