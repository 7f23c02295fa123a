// SPDX-License-Identifier: Apache-2.0
// Row (a) of scripts/bench: events of recorded traffic through streams, protocols, llm and links into
// a sink that only counts, on one core. One JSON object per row; a row whose counts of calls, chunks
// and tokens are not exact is an error, not a speed.
#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <string>

#include "bench/bare_decoder.h"
#include "bench/traffic.h"
#include "pipeline/core.h"
#include "protocols/connection_readers.h"
#include "streams/stream_table.h"

namespace {

using namespace llmtap;
using namespace llmtap::bench;

class Counting final : public CallSink, public VerdictSink {
 public:
  Expected seen;
  uint64_t incomplete = 0;
  void on_call_open(const LlmCall&) override {}
  void on_call_finished(const LlmCall& call) override {
    seen.calls++;
    seen.chunks += call.stream_chunks;
    if (call.tokens.source == TokenSource::kReported) {
      seen.input_tokens += call.tokens.input.value_or(0);
      seen.output_tokens += call.tokens.output.value_or(0);
    }
    incomplete += call.incomplete != Incomplete::kNo || call.outcome != Outcome::kOk;
  }
  void set_verdict(uint64_t, Verdict) override {}
};

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

struct Times {
  double median = 0, low = 0, high = 0;
};

// The median and an interval that holds it in at least nine of ten such series: order statistics
// whose binomial tails are below a twentieth.
Times summary(std::vector<double> seconds) {
  std::ranges::sort(seconds);
  const size_t n = seconds.size();
  double tail = 0, term = std::pow(0.5, static_cast<double>(n));
  size_t rank = 0;
  for (size_t k = 0; k < n; ++k) {
    tail += term;
    if (tail > 0.05) break;
    rank = k;
    term *= static_cast<double>(n - k) / static_cast<double>(k + 1);
  }
  return {n % 2 ? seconds[n / 2] : (seconds[n / 2 - 1] + seconds[n / 2]) / 2, seconds[rank],
          seconds[n - 1 - rank]};
}

Times measure(size_t rounds, const std::function<double()>& round) {
  round();  // warms caches and the allocator
  std::vector<double> seconds;
  for (size_t i = 0; i < rounds; ++i) seconds.push_back(round());
  return summary(std::move(seconds));
}

double replay(const Traffic& traffic, std::string_view name) {
  Counting sink;
  auto core = std::make_unique<Core>(Limits{}, CallTrackerOptions{}, std::vector<CallSink*>{&sink}, sink);
  const double start = cpu_seconds();
  traffic.for_each([&](const llmtap_event_hdr& event) { core->on_event(event); });
  core->finish();
  const double took = cpu_seconds() - start;
  const Expected& want = traffic.expected;
  if (sink.seen != want || sink.incomplete != 0) {
    fmt::print(
        stderr,
        "core_bench: {}: {} calls, {} chunks, {} + {} tokens, {} incomplete; sent were {}, {}, {} + {}\n",
        name, sink.seen.calls, sink.seen.chunks, sink.seen.input_tokens, sink.seen.output_tokens,
        sink.incomplete, want.calls, want.chunks, want.input_tokens, want.output_tokens);
    std::exit(1);
  }
  return took;
}

// Nothing to call a model with: what streams and protocols make of it.
class CountingMessages final : public MessageSink, public VerdictSink {
 public:
  uint64_t events = 0, cut = 0;
  void on_request_head(const ConnectionFacts&, ExchangeId, const RequestHead&) override {}
  void on_response_head(const ConnectionFacts&, ExchangeId, const ResponseHead&) override {}
  void on_body(ExchangeId, Side, std::span<const uint8_t>, uint64_t) override {}
  void on_event_data(ExchangeId, Side, std::span<const uint8_t>, uint64_t) override {}
  void on_event_end(ExchangeId, Side, const EventEnd& end) override {
    ++events;
    cut += !end.complete;
  }
  void on_message_end(ExchangeId, Side, const MessageEnd&) override {}
  void on_exchange_end(ExchangeId, const ExchangeEnd&) override {}
  void set_verdict(uint64_t, Verdict) override {}
};

double replay_protocols(const Traffic& traffic, std::string_view name) {
  CountingMessages sink;
  const Limits limits;
  ConnectionReaders readers(limits, sink, sink);
  StreamTable streams(limits, readers);
  const double start = cpu_seconds();
  traffic.for_each([&](const llmtap_event_hdr& event) { streams.on_event(event); });
  const double took = cpu_seconds() - start;
  if (sink.events != traffic.events || sink.cut != 0) {
    fmt::print(stderr, "core_bench: {}: {} events, {} cut; sent were {}\n", name, sink.events, sink.cut,
               traffic.events);
    std::exit(1);
  }
  return took;
}

void run_row(std::string_view name, const Traffic& traffic, size_t rounds) {
  const Times times =
      measure(rounds, [&] { return traffic.llm ? replay(traffic, name) : replay_protocols(traffic, name); });
  const auto megabytes = static_cast<double>(traffic.body_bytes) / 1e6;
  std::string row = fmt::format(
      "{{\"row\":\"{}\",\"rounds\":{},\"body_mb\":{:.1f},\"wire_mb\":{:.1f},\"calls\":{},\"output_tokens\":{}"
      ","
      "\"seconds\":{:.4f},\"seconds_low\":{:.4f},\"seconds_high\":{:.4f},\"mb_per_s\":{:.0f},\"ms_per_mb\":{:"
      ".3f}",
      name, rounds, megabytes, static_cast<double>(traffic.wire_bytes) / 1e6, traffic.expected.calls,
      traffic.expected.output_tokens, times.median, times.low, times.high, megabytes / times.median,
      times.median * 1e3 / megabytes);
  if (traffic.events) {
    const auto events = static_cast<double>(traffic.events);
    row += fmt::format(
        ",\"events\":{},\"bytes_per_event\":{:.0f},\"million_events_per_s\":{:.3f},\"low\":{:.3f},\"high\":{:"
        ".3f},\"ns_per_event\":{:.0f}",
        traffic.events, megabytes * 1e6 / events, events / times.median / 1e6, events / times.high / 1e6,
        events / times.low / 1e6, times.median * 1e9 / events);
  }
  if (traffic.coding != llmtap::bench::Coding::kNone) {
    const Times bare = measure(rounds, [&] {
      const double start = cpu_seconds();
      const uint64_t decoded = decode_bare(traffic);
      const double took = cpu_seconds() - start;
      if (decoded == 0) std::exit(1);
      return took;
    });
    row += fmt::format(",\"bare_library_seconds\":{:.4f},\"ratio_to_bare_library\":{:.2f}", bare.median,
                       times.median / bare.median);
  }
  fmt::print("{}}}\n", row);
  std::fflush(stdout);
}

void run_open_streams(uint32_t streams) {
  const Traffic traffic = open_streams(streams);
  Counting sink;
  auto core = std::make_unique<Core>(Limits{}, CallTrackerOptions{}, std::vector<CallSink*>{&sink}, sink);
  const auto allocated = [] {
    const auto info = mallinfo2();
    return static_cast<double>(info.uordblks + info.hblkhd);
  };
  const double before = allocated();
  traffic.for_each([&](const llmtap_event_hdr& event) { core->on_event(event); });
  const double grown = allocated() - before;
  if (core->stats().open_exchanges != streams) std::exit(1);
  fmt::print("{{\"row\":\"open_streams\",\"streams\":{},\"heap_mb\":{:.1f},\"bytes_per_stream\":{:.0f}}}\n",
             streams, grown / 1e6, grown / streams);
}

}  // namespace

int main(int argc, char** argv) {
  size_t rounds = 11;
  uint64_t megabytes = 64;
  std::string only;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view option = argv[i];
    if (option == "--rounds") rounds = std::strtoull(argv[i + 1], nullptr, 10);
    if (option == "--megabytes") megabytes = std::strtoull(argv[i + 1], nullptr, 10);
    if (option == "--row") only = argv[i + 1];
  }
  using llmtap::bench::Coding;
  const uint64_t bytes = megabytes << 20;
  struct Row {
    std::string_view name;
    std::function<Traffic()> make;
  };
  const auto streams = [&](StreamKind kind) { return [=] { return stream_traffic(kind, bytes); }; };
  const auto bodies = [&](BodyKind kind, Coding coding = Coding::kNone) {
    return [=] { return body_traffic(kind, coding, bytes); };
  };
  const Row rows[] = {
      {"openai_chat_sse", streams({"openai_chat"})},
      {"anthropic_sse", streams({"anthropic"})},
      {"openai_responses_sse", streams({"openai_responses"})},
      {"gemini_sse", streams({"gemini"})},
      {"ollama_ndjson", streams({"ollama"})},
      {"openai_chat_sse_1000_streams", streams({"openai_chat", 1000, 200})},
      {"bedrock_converse_event_stream", streams({"bedrock_converse"})},
      {"openai_chat_sse_http2", [=] { return http2_traffic("openai_chat", 8, 8, 500, bytes); }},
      {"anthropic_sse_http2", [=] { return http2_traffic("anthropic", 8, 8, 500, bytes); }},
      {"openai_responses_websocket", [=] { return websocket_traffic(64, 500, Deflate::kNo, bytes); }},
      {"openai_responses_websocket_deflated",
       [=] { return websocket_traffic(64, 500, Deflate::kYes, bytes); }},
      {"grpc_messages_200", [=] { return grpc_traffic(16, 200, bytes); }},
      {"grpc_messages_8k", [=] { return grpc_traffic(16, 8192, bytes); }},
      {"agent_requests_64k", bodies(BodyKind::kAgentRequests)},
      {"image_requests_1m", bodies(BodyKind::kImageRequests)},
      {"replies_64k", bodies(BodyKind::kReplies)},
      {"openai_chat_sse_gzip", streams({"openai_chat", 64, 500, Coding::kGzip})},
      {"openai_chat_sse_br", streams({"openai_chat", 64, 500, Coding::kBrotli})},
      {"openai_chat_sse_zstd", streams({"openai_chat", 64, 500, Coding::kZstd})},
      {"agent_requests_64k_zstd", bodies(BodyKind::kAgentRequests, Coding::kZstd)},
      {"replies_64k_gzip", bodies(BodyKind::kReplies, Coding::kGzip)},
      {"replies_64k_br", bodies(BodyKind::kReplies, Coding::kBrotli)},
      {"replies_64k_zstd", bodies(BodyKind::kReplies, Coding::kZstd)},
  };
  for (const Row& row : rows)
    if (only.empty() || row.name == only) run_row(row.name, row.make(), rounds);
  if (only.empty() || only == "open_streams") run_open_streams(10'000);
  return 0;
}
