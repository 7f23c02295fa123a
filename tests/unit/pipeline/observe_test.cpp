// SPDX-License-Identifier: Apache-2.0
// Every family that is served, by name: a family that is new, or gone, is a line here.
#include "pipeline/observe.h"

#include <gmock/gmock.h>

#include "pipeline/coverage_book.h"
#include "sinks/metrics.h"
#include "unit/sinks/sample_calls.h"

namespace llmtap {
namespace {

using ::testing::ElementsAreArray;
using ::testing::Pair;
using namespace llmtap::testing;

// The probe's own: there from the first scrape on, whatever happens.
constexpr const char* kSelfFamilies[] = {
    "llmtap_attach_failures_total",
    "llmtap_attached_targets",
    "llmtap_build_info",
    "llmtap_bytes_lost_total",
    "llmtap_clock_steps_total",
    "llmtap_compat_active",
    "llmtap_connections",
    "llmtap_connections_not_seen_ending_total",
    "llmtap_coverage_connections_total",
    "llmtap_coverage_processes",
    "llmtap_events_lost_total",
    "llmtap_events_total",
    "llmtap_export_queue_length",
    "llmtap_export_total",
    "llmtap_parse_errors_total",
    "llmtap_probe_cpu_seconds_total",
    "llmtap_probe_resident_bytes",
    "llmtap_probe_skipped_runs_total",
    "llmtap_queue_length",
    "llmtap_ring_usage_ratio",
    "llmtap_sampled_targets",
    "llmtap_stage_bytes_total",
    "llmtap_stage_items_total",
    "llmtap_unfollowed_seconds_total",
};

// From the first call on.
constexpr const char* kCallFamilies[] = {
    "llmtap_backend_errors_total",
    "llmtap_capture_coverage_ratio",
    "llmtap_cost_usd_total",
    "llmtap_exchanges_incomplete_total",
    "llmtap_finish_reasons_total",
    "llmtap_http_in_flight_requests",
    "llmtap_http_request_duration_seconds",
    "llmtap_http_request_size_bytes",
    "llmtap_http_requests_total",
    "llmtap_http_response_size_bytes",
    "llmtap_in_flight_oldest_seconds",
    "llmtap_in_flight_requests",
    "llmtap_inter_token_seconds",
    "llmtap_mcp_call_duration_seconds",
    "llmtap_mcp_calls_total",
    "llmtap_output_tokens_per_second",
    "llmtap_price_missing_total",
    "llmtap_rate_limited_total",
    "llmtap_ratelimit_limit",
    "llmtap_ratelimit_remaining",
    "llmtap_ratelimit_reset_seconds",
    "llmtap_request_duration_seconds",
    "llmtap_request_size_bytes",
    "llmtap_requests_total",
    "llmtap_response_size_bytes",
    "llmtap_retry_after_seconds",
    "llmtap_series",
    "llmtap_series_dropped_total",
    "llmtap_stream_aborts_total",
    "llmtap_stream_chunks_total",
    "llmtap_stream_duration_seconds",
    "llmtap_stream_max_gap_seconds",
    "llmtap_time_per_output_token_seconds",
    "llmtap_time_to_first_byte_seconds",
    "llmtap_time_to_first_token_seconds",
    "llmtap_tokens_per_request",
    "llmtap_tokens_total",
    "llmtap_tool_calls_total",
};

// Of the OpenTelemetry conventions, when they are asked for.
constexpr const char* kGenaiFamilies[] = {
    "gen_ai_client_operation_duration_seconds",
    "gen_ai_client_operation_time_to_first_chunk_seconds",
    "gen_ai_client_token_usage",
    "gen_ai_server_request_duration_seconds",
    "gen_ai_server_time_per_output_token_seconds",
    "gen_ai_server_time_to_first_token_seconds",
};

CoreStats core_of(const CoverageBook& coverage) {
  CoreStats core;
  core.coverage = coverage.by_workload();
  return core;
}

std::vector<std::string> names(const std::vector<CollectedFamily>& families) {
  std::vector<std::string> all;
  for (const CollectedFamily& family : families) {
    all.push_back(family.family.name);
    EXPECT_FALSE(family.family.metric.empty()) << family.family.name;
  }
  std::ranges::sort(all);
  return all;
}

TEST(Families, OfAProbeThatHasSeenNothing) {
  Metrics metrics(Limits{}, {.observe = [] { return observe({}, {}, CaptureFigures{}, {}); }});
  EXPECT_THAT(names(metrics.collect()), ElementsAreArray(kSelfFamilies));
}

TEST(Families, OfAProbeThatHasSeenOneOfEach) {
  const Limits limits;
  CoverageBook coverage(limits, {});
  Metrics metrics(limits, {.genai_names = true,
                           .observe = [&] { return observe(core_of(coverage), {}, CaptureFigures{}, {}); }});
  std::vector<LlmCall> calls = sample_calls();
  LlmCall served = streamed_call();
  served.direction = CallDirection::kInbound;
  served.role = WorkloadRole::kServer;
  served.price_missing = true;
  served.abort = AbortReason::kClientClosed;
  calls.push_back(served);
  LlmCall mcp = streamed_call();
  mcp.operation = mcp.provider = "mcp";
  mcp.mcp_method = "tools/call";
  mcp.mcp_tool = "look";
  calls.push_back(mcp);
  for (const LlmCall& call : calls) {
    metrics.on_call_open(call);
    metrics.on_call_finished(call);
    coverage.on_call_finished(call);
  }
  HttpExchange http;
  http.process = process("litellm");
  http.watched = true;
  http.status = 200;
  http.start_ns = kSecond;
  http.end_ns = 2 * kSecond;
  metrics.on_http_open(http);
  metrics.on_http_finished(http);
  std::vector<std::string> want(std::begin(kSelfFamilies), std::end(kSelfFamilies));
  want.insert(want.end(), std::begin(kCallFamilies), std::end(kCallFamilies));
  want.insert(want.end(), std::begin(kGenaiFamilies), std::end(kGenaiFamilies));
  std::ranges::sort(want);
  EXPECT_THAT(names(metrics.collect()), ElementsAreArray(want));
}

TEST(Observe, ThePriceTableHasADay) {
  CoreStats core;
  core.prices_version = "2026-11-21";
  core.prices_updated_s = 1'795'219'200;
  Metrics metrics(Limits{}, {.observe = [&] { return observe(core, {}, CaptureFigures{}, {}); }});
  for (const CollectedFamily& collected : metrics.collect()) {
    if (collected.family.name != "llmtap_prices_updated_timestamp_seconds") continue;
    ASSERT_EQ(collected.family.metric.size(), 1u);
    EXPECT_EQ(collected.family.metric[0].label[0].value, "2026-11-21");
    EXPECT_EQ(collected.family.metric[0].gauge.value, 1'795'219'200);
    return;
  }
  FAIL() << "no such family";
}

TEST(Observe, OpenConnectionsAreAGauge) {
  CoreStats core;
  core.connections = {
      {{Verdict::kWanted, "http1"}, 2}, {{Verdict::kMuted, "http2"}, 3}, {{Verdict::kTimes, "http1"}, 0}};
  core.protocol_counters.http1_connections = 1000;
  std::map<std::vector<std::string>, double> open;
  for (const auto& sample : observe(core, {}, std::nullopt, {}).connections)
    open[sample.labels] = sample.value;
  EXPECT_THAT(open,
              ::testing::UnorderedElementsAre(Pair(std::vector<std::string>{"wanted", "http1"}, 2),
                                              Pair(std::vector<std::string>{"muted", "http2"}, 3),
                                              Pair(std::vector<std::string>{"times", "http1"}, 0),
                                              Pair(std::vector<std::string>{"undecided", "unknown"}, 0)));
}

TEST(CoverageBook, IsTheShareOfConnectionsThatCanBeRead) {
  Limits limits;
  CallTrackerOptions options;
  options.hosts = {{.host = "llm.corp.example", .provider = "corp"}};
  CoverageBook book(limits, options);
  book.on_call_finished(streamed_call());
  book.on_call_finished(streamed_call());  // the same connection
  ConnectionFacts opaque;
  opaque.role = Role::kClient;
  opaque.sni = "api.anthropic.com";
  book.on_opaque(opaque, "chat.py");
  EXPECT_EQ(book.by_workload().at("chat.py").ratio(), 0.5);
  opaque.sni = "www.example.com";
  book.on_opaque(opaque, "chat.py");
  EXPECT_EQ(book.by_workload().at("chat.py").opaque, 1u) << "no LLM endpoint";
  opaque.sni = "llm.corp.example";
  book.on_opaque(opaque, "java");
  EXPECT_EQ(book.by_workload().at("java").ratio(), 0);
  opaque.role = Role::kServer;
  book.on_opaque(opaque, "nginx");
  book.on_call_finished(refused_call());
  EXPECT_EQ(book.by_workload().size(), 2u) << "what a workload serves is not its endpoint";
}

TEST(CoverageBook, WorkloadsBeyondTheBoundAreOther) {
  Limits limits;
  limits.workloads = 1;
  CoverageBook book(limits, {});
  LlmCall call = streamed_call();
  for (const char* workload : {"a", "b", "c", "a"}) {
    call.process = process(workload);
    ++call.exchange.connection;
    book.on_call_finished(call);
  }
  EXPECT_EQ(book.by_workload().at("a").clear, 2u);
  EXPECT_EQ(book.by_workload().at("other").clear, 2u);
}

}  // namespace
}  // namespace llmtap
