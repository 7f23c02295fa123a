// SPDX-License-Identifier: Apache-2.0
// Any sequence of message calls: the tracker stays in its bounds and its books balance.
#include <cstdlib>
#include <string>

#include "llm/call_tracker.h"

namespace {

using namespace llmtap;

struct Counting final : CallSink, VerdictSink {
  uint64_t opened = 0, finished = 0, http = 0;
  void on_call_open(const LlmCall& call) override {
    if (!call.process) std::abort();
    ++opened;
  }
  void on_call_finished(const LlmCall& call) override {
    if (call.finish_reasons.size() > 16 || call.tool_names.size() > 64) std::abort();
    if (call.content_chunks > call.stream_chunks) std::abort();
    ++finished;
  }
  void on_http_finished(const HttpExchange&) override { ++http; }
  void set_verdict(uint64_t, Verdict) override {}
};

std::string_view take(std::string_view& input, size_t n) {
  const std::string_view piece = input.substr(0, std::min(n, input.size()));
  input.remove_prefix(piece.size());
  return piece;
}

uint8_t byte(std::string_view& input) {
  const std::string_view piece = take(input, 1);
  return piece.empty() ? 0 : static_cast<uint8_t>(piece[0]);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static constexpr std::string_view kTargets[] = {"/v1/chat/completions",
                                                  "/v1/messages",
                                                  "/v1/responses",
                                                  "/api/chat",
                                                  "/v1beta/models/m:streamGenerateContent",
                                                  "/x",
                                                  "/v1/models"};
  static constexpr std::string_view kTypes[] = {"application/json", "text/event-stream",
                                                "application/x-ndjson", ""};
  std::string_view input(reinterpret_cast<const char*>(data), size);
  Counting sink;
  Limits limits;
  limits.open_calls = 4;
  CallTracker tracker(limits, {}, {}, sink, sink);
  ConnectionFacts connection;
  connection.id = 1;
  uint64_t now = 1;
  while (!input.empty()) {
    const uint8_t op = byte(input), what = byte(input);
    const ExchangeId id{1, static_cast<uint64_t>(op >> 4) % 6};
    const Side side = what & 1 ? Side::kResponse : Side::kRequest;
    now += what;
    const std::string piece(take(input, what));
    const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(piece.data()), piece.size());
    const HeaderField fields[] = {{"content-type", kTypes[what % 4]}, {"x-request-id", piece}};
    switch (op & 7) {
      case 0: {
        RequestHead head;
        head.method = what & 2 ? "POST" : "GET";
        head.target = what & 4 ? std::string_view(piece) : kTargets[what % std::size(kTargets)];
        head.authority = what & 8 ? "api.openai.com" : "";
        head.headers = fields;
        head.start_ns = head.time_ns = now;
        tracker.on_request_head(connection, id, head);
        break;
      }
      case 1: {
        ResponseHead head;
        head.status = what & 2 ? 200 : 400 + what;
        head.headers = fields;
        head.start_ns = head.time_ns = now;
        tracker.on_response_head(connection, id, head);
        break;
      }
      case 2: tracker.on_body(id, side, bytes, now); break;
      case 3: tracker.on_event_data(id, side, bytes, now); break;
      case 4: tracker.on_event_end(id, side, {"", now, now, bytes.size(), (what & 2) != 0}); break;
      case 5:
        tracker.on_message_end(id, side, {now, bytes.size(), bytes.size(), static_cast<Defect>(what % 6)});
        break;
      case 6:
        tracker.on_exchange_end(id, {static_cast<ExchangeEnd::How>(what % 6), now, Defect::kNone});
        break;
      default: tracker.on_clock({now, now, now}); break;
    }
  }
  tracker.finish_all(now);
  const StageBooks& books = tracker.books();
  if (books.bytes_in != books.bytes_out + books.bytes_lost ||
      books.items_in != books.items_out + books.items_lost)
    std::abort();
  if (sink.opened != sink.finished || tracker.open_exchanges() != 0) std::abort();
  return 0;
}
