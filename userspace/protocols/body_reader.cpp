// SPDX-License-Identifier: Apache-2.0
#include "protocols/body_reader.h"

#include <algorithm>

#include "base/ascii.h"

namespace llmtap {

BodyFraming framing_by_content_type(std::string_view content_type) {
  static constexpr struct {
    std::string_view type;
    BodyFraming framing;
  } kTypes[] = {{"text/event-stream", BodyFraming::kSse},
                {"application/x-ndjson", BodyFraming::kNdjson},
                {"application/ndjson", BodyFraming::kNdjson},
                {"application/x-jsonlines", BodyFraming::kNdjson},
                {"application/jsonlines", BodyFraming::kNdjson},
                {"application/jsonl", BodyFraming::kNdjson},
                {"application/x-jsonl", BodyFraming::kNdjson},
                {"application/vnd.amazon.eventstream", BodyFraming::kEventStream}};
  const std::string_view type = trimmed(content_type.substr(0, content_type.find(';')));
  // application/grpc, +proto, +json; grpc-web frames its messages the same way, but for the text form.
  static constexpr std::string_view kGrpcType = "application/grpc";
  if (type.size() >= kGrpcType.size() && iequals(type.substr(0, kGrpcType.size()), kGrpcType)) {
    const std::string_view rest = type.substr(kGrpcType.size());
    if (rest.empty() || rest[0] == '+' || iequals(rest.substr(0, 5), "-web+") || iequals(rest, "-web"))
      return BodyFraming::kGrpc;
  }
  for (const auto& known : kTypes)
    if (iequals(type, known.type)) return known.framing;
  return BodyFraming::kPlain;
}

void CodingList::add(std::string_view value) {
  while (!value.empty()) {
    const size_t comma = value.find(',');
    const std::string_view token = trimmed(value.substr(0, comma));
    value = comma == std::string_view::npos ? std::string_view() : value.substr(comma + 1);
    if (token.empty()) continue;
    const Coding coding = coding_by_name(token);
    if (coding == Coding::kIdentity) continue;
    if (coding == Coding::kUnsupported || count == kMax)
      unsupported = true;
    else
      codings[count++] = coding;
  }
}

void BodyReader::begin(const CodecContext& context, ExchangeId exchange, Side side, const CodingList& codings,
                       BodyFraming framing, Coding message_coding) {
  *this = BodyReader();
  context_ = &context;
  exchange_ = exchange;
  side_ = side;
  codings_ = codings;
  if (framing == BodyFraming::kSse) events_.emplace<SseDecoder>(context.limits->sse_name_bytes);
  if (framing == BodyFraming::kNdjson) events_.emplace<NdjsonDecoder>();
  if (framing == BodyFraming::kEventStream)
    events_ = std::make_unique<EventStreamDecoder>(context.limits->sse_name_bytes);
  if (framing == BodyFraming::kGrpc)
    events_.emplace<GrpcDecoder>(message_coding, *context.limits, *context.budget);
}

void BodyReader::feed(std::span<const uint8_t> bytes, uint64_t time_ns, MessageSink& sink) {
  if (bytes.empty()) return;
  wire_bytes_ += bytes.size();
  if (stopped_) return;
  if (codings_.unsupported) return fail(Defect::kDecompressError, time_ns, sink);
  if (codings_.count == 0) return deliver(bytes, time_ns, sink);
  decoder_input_bytes_ += bytes.size();
  // The last coding applied is the first to be removed.
  if (!decode(codings_.count, bytes, time_ns, sink)) fail(Defect::kDecompressError, time_ns, sink);
}

// Removes coding number `stage` (from 1) and those below it.
bool BodyReader::decode(size_t stage, std::span<const uint8_t> bytes, uint64_t time_ns, MessageSink& sink) {
  if (stage == 0) {
    deliver(bytes, time_ns, sink);
    return true;
  }
  auto& decoder = decoders_[stage - 1];
  if (!decoder) decoder = ContentDecoder::make(codings_.codings[stage - 1], *context_->budget);
  if (!decoder) return false;
  return decoder->decode(bytes, [&](std::span<const uint8_t> out) {
    const Limits& limits = *context_->limits;
    decoder_output_bytes_ += out.size();
    if (decoder_output_bytes_ > limits.decompress_floor_bytes &&
        decoder_output_bytes_ / limits.decompress_ratio > decoder_input_bytes_)
      return false;
    return decode(stage - 1, out, time_ns, sink);
  });
}

void BodyReader::deliver(std::span<const uint8_t> bytes, uint64_t time_ns, MessageSink& sink) {
  body_bytes_ += bytes.size();
  EventOutput out(sink, exchange_, side_);
  if (auto* sse = std::get_if<SseDecoder>(&events_))
    sse->feed(bytes, time_ns, out);
  else if (auto* ndjson = std::get_if<NdjsonDecoder>(&events_))
    ndjson->feed(bytes, time_ns, out);
  else if (auto* grpc = std::get_if<GrpcDecoder>(&events_)) {
    if (grpc->feed(bytes, time_ns, out)) return;
    // How far it came in what is damaged depends on how the bytes were cut.
    body_bytes_ = grpc->whole_bytes();
    fail(Defect::kDecompressError, time_ns, sink);
  } else if (auto* messages = std::get_if<MessagesPtr>(&events_)) {
    if (!(*messages)->feed(bytes, time_ns, out)) fail(Defect::kParseError, time_ns, sink);
  } else {
    sink.on_body(exchange_, side_, bytes, time_ns);
  }
}

void BodyReader::fail(Defect defect, uint64_t time_ns, MessageSink& sink) {
  if (defect == Defect::kDecompressError || defect == Defect::kParseError)
    context_->counters->decode_errors++;
  if (defect_ == Defect::kNone) defect_ = defect;
  close_events(false, time_ns, sink);
  stopped_ = true;
  decoders_ = {};
}

void BodyReader::close_events(bool complete, uint64_t time_ns, MessageSink& sink) {
  EventOutput out(sink, exchange_, side_);
  if (auto* sse = std::get_if<SseDecoder>(&events_)) sse->finish(time_ns, out);
  if (auto* ndjson = std::get_if<NdjsonDecoder>(&events_)) ndjson->finish(complete, time_ns, out);
  if (auto* grpc = std::get_if<GrpcDecoder>(&events_)) grpc->finish(time_ns, out);
  if (auto* messages = std::get_if<MessagesPtr>(&events_)) (*messages)->finish(time_ns, out);
  events_ = std::monostate();
}

void BodyReader::gap(uint64_t bytes, uint64_t time_ns, MessageSink& sink) {
  wire_bytes_ += bytes;
  if (stopped_) return;
  if (defect_ == Defect::kNone) defect_ = Defect::kLostSegment;
  EventOutput out(sink, exchange_, side_);
  auto* sse = std::get_if<SseDecoder>(&events_);
  auto* ndjson = std::get_if<NdjsonDecoder>(&events_);
  auto* grpc = std::get_if<GrpcDecoder>(&events_);
  if (codings_.count == 0 && grpc && grpc->gap(bytes, time_ns, out)) return;
  if (auto* messages = std::get_if<MessagesPtr>(&events_); messages && codings_.count == 0)
    return (*messages)->gap(bytes, time_ns, out);
  if (codings_.count != 0 || (!sse && !ndjson)) return fail(Defect::kLostSegment, time_ns, sink);
  if (sse) sse->gap(time_ns, out);
  if (ndjson) ndjson->gap(time_ns, out);
}

Defect BodyReader::finish(uint64_t time_ns, Defect defect, MessageSink& sink) {
  if (!stopped_)
    for (const auto& decoder : decoders_)
      if (decoder && !decoder->at_end()) {
        fail(Defect::kDecompressError, time_ns, sink);
        break;
      }
  if (!stopped_) close_events(true, time_ns, sink);
  if (defect == Defect::kNone) defect = defect_;
  sink.on_message_end(exchange_, side_, {time_ns, wire_bytes_, body_bytes_, defect});
  decoders_ = {};
  stopped_ = true;
  return defect;
}

Defect BodyReader::abandon(uint64_t time_ns, MessageSink& sink) {
  if (!stopped_) close_events(false, time_ns, sink);
  decoders_ = {};
  stopped_ = true;
  return defect_;
}

}  // namespace llmtap
