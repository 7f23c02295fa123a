// SPDX-License-Identifier: Apache-2.0
// An exchange as text: "METHOD target", lines "field: value", a blank line, the request's body, a NUL,
// "status type", fields, a blank line, the reply's body. The corpus is an exchange of every dialect. Bodies
// go through the decoders that their types name, and into the call. Oracle: the finished call does not
// depend on the cuts; with bytes of the reply lost anywhere it says so, the call ends, the books balance.
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <string>
#include <vector>

#include "base/check.h"
#include "llm/call_tracker.h"
#include "protocols/body_reader.h"
#include "unit/llm/call_text.h"

namespace {

using namespace llmtap;

struct Message {
  std::string_view start;
  std::vector<HeaderField> fields;
  std::string_view body;
};

std::string_view take_line(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

Message parse(std::string_view text) {
  Message message;
  message.start = take_line(text);
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    const size_t colon = line.find(": ");
    if (colon == std::string_view::npos) break;
    message.fields.push_back({line.substr(0, colon), line.substr(colon + 2)});
  }
  message.body = text;
  return message;
}

std::string_view field(const Message& message, std::string_view name) {
  for (const HeaderField& each : message.fields)
    if (each.name == name) return each.value;
  return {};
}

struct Kept final : CallSink, VerdictSink {
  std::vector<LlmCall> opened, finished;
  void on_call_open(const LlmCall& call) override { opened.push_back(call); }
  void on_call_finished(const LlmCall& call) override { finished.push_back(call); }
  void set_verdict(uint64_t, Verdict) override {}
};

struct Played {
  std::string text;
  std::vector<LlmCall> finished;
};

Played play(const Message& request, const Message& reply, size_t step, size_t gap_at = SIZE_MAX) {
  Kept sink;
  Limits limits;
  CallTracker tracker(limits, {}, {}, sink, sink);
  tracker.on_clock({.monotonic_ns = 0, .boottime_ns = 0, .realtime_ns = 1'700'000'000'000'000'000});
  ConnectionFacts facts;
  facts.id = 1;
  facts.role = Role::kClient;
  ProtocolCounters counters;
  StageBooks books;
  DecoderBudget budget(limits.decoder_bytes);
  CodecContext context;
  context.facts = &facts;
  context.limits = &limits;
  context.budget = &budget;
  context.counters = &counters;
  context.books = &books;
  const ExchangeId id{1, 0};
  const auto body = [&](Side side, const Message& message, std::string_view type, uint64_t now, size_t lost) {
    BodyReader reader;
    reader.begin(context, id, side, {}, framing_by_content_type(type));
    for (size_t at = 0; at < message.body.size();) {
      const size_t n = std::min({step, message.body.size() - at, lost > at ? lost - at : SIZE_MAX});
      if (at == lost) {
        const size_t gone = std::min<size_t>(3, message.body.size() - at);
        reader.gap(gone, now, tracker);
        at += gone;
        continue;
      }
      const std::string_view part = message.body.substr(at, n);
      const std::vector<uint8_t> piece(part.begin(), part.end());
      reader.feed(piece, now, tracker);
      at += n;
    }
    return reader.finish(now, Defect::kNone, tracker);
  };
  RequestHead asked;
  const size_t space = std::min(request.start.find(' '), request.start.size());
  asked.method = request.start.substr(0, space);
  asked.target = request.start.substr(std::min(space + 1, request.start.size()));
  asked.headers = request.fields;
  asked.authority = field(request, "host");
  asked.start_ns = asked.time_ns = 1000;
  tracker.on_request_head(facts, id, asked);
  Defect defect = body(Side::kRequest, request, field(request, "content-type"), 2000, SIZE_MAX);
  ResponseHead answered;
  const size_t blank = std::min(reply.start.find(' '), reply.start.size());
  std::from_chars(reply.start.data(), reply.start.data() + blank, answered.status);
  answered.status = std::clamp(answered.status, 200, 599);
  const std::string_view type = reply.start.substr(std::min(blank + 1, reply.start.size()));
  std::vector<HeaderField> fields = reply.fields;
  fields.push_back({"content-type", type});
  answered.headers = fields;
  answered.start_ns = answered.time_ns = 3000;
  tracker.on_response_head(facts, id, answered);
  const Defect later = body(Side::kResponse, reply, type, 4000, gap_at);
  if (defect == Defect::kNone) defect = later;
  tracker.on_exchange_end(id, {ExchangeEnd::How::kComplete, 5000, defect});
  tracker.finish_all(6000);
  LLMTAP_CHECK(budget.used() == 0 && tracker.open_exchanges() == 0);
  LLMTAP_CHECK(sink.opened.size() == sink.finished.size() && sink.finished.size() <= 1);
  const StageBooks& b = tracker.books();
  LLMTAP_CHECK(b.bytes_in == b.bytes_out + b.bytes_lost && b.items_in == b.items_out + b.items_lost);
  Played played;
  for (const LlmCall& call : sink.finished) played.text += test::call_text(call);
  played.finished = std::move(sink.finished);
  return played;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // Of a longer body the begin decides whether the rest is read.
  if (size > 4096) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t split = std::min(input.find('\0'), input.size());
  const Message request = parse(input.substr(0, split));
  const Message reply = parse(input.substr(std::min(split + 1, input.size())));
  const Played whole = play(request, reply, SIZE_MAX);
  for (const size_t step : {1, 7, 61}) {
    const Played pieces = play(request, reply, step);
    if (pieces.text != whole.text)
      std::fprintf(stderr, "--- whole\n%s--- pieces of %zu\n%s", whole.text.c_str(), step,
                   pieces.text.c_str());
    LLMTAP_CHECK(pieces.text == whole.text);
  }
  const size_t at = reply.body.empty() ? 0 : (size * 31 + reply.body.back()) % reply.body.size();
  const Played lossy = play(request, reply, SIZE_MAX, at);
  if (!reply.body.empty())
    for (const LlmCall& call : lossy.finished) LLMTAP_CHECK(call.incomplete != Incomplete::kNo);
  return 0;
}
