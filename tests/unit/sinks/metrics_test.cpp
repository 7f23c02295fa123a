// SPDX-License-Identifier: Apache-2.0
#include "sinks/metrics.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "unit/sinks/sample_calls.h"

namespace llmtap {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using namespace llmtap::testing;

SelfObservation everything_observed() {
  SelfObservation self;
  self.version = "0.1.0";
  self.revision = "abc";
  self.kernel = "6.1.0";
  self.btf = true;
  self.attached_targets = {{{"openssl"}, 3}};
  self.attach_failures = {{{"openssl", "symbol_missing"}, 1}};
  self.capture_coverage = {{{"", "chat.py", "client"}, 0.5}};
  self.events = {{{"openssl"}, 100}, {{"socket"}, 40}};
  self.events_lost = {{{"socket", "ring_full"}, 2}};
  StageBooks books;
  books.items_in = books.items_out = 10;
  books.bytes_in = 1000;
  books.bytes_out = 900;
  books.lose("gap", 0, 100);
  self.stages = {{"streams", books}};
  self.connections = {{{"wanted", "http1"}, 4}};
  self.sampled_targets = 1;
  self.unfollowed_seconds = 312.5;
  self.skipped_runs = 3;
  self.queues = {{{"discovery"}, 0}};
  self.coverage_processes = {{{"go_tls", "opaque", "unsupported"}, 1}};
  self.coverage_connections = {{{"openssl", "clear"}, 9}};
  self.parse_errors = {{{"http1", "protocols"}, 1}};
  self.cpu_user_seconds = 1.5;
  self.cpu_kernel_seconds = 0.25;
  self.resident_bytes = 1 << 26;
  self.ring_usage = {{{"events"}, 0.125}};
  self.exports = {{"logs", 5, 1, 2, 0}, {"traces", 3, 0, 1, 2, 4}};
  self.compat_active = {{{"relay", "", "litellm"}, 1}, {{"litellm", "", ""}, 0}};
  return self;
}

HttpExchange page_view() {
  HttpExchange http;
  http.exchange = {8, 3};
  http.process = process("litellm");
  http.role = WorkloadRole::kGateway;
  http.watched = true;
  http.method = "POST";
  http.route = "/v1/messages";
  http.status = 429;
  http.request_bytes = 90;
  http.response_bytes = 60;
  http.start_ns = 200 * kSecond;
  http.end_ns = 200 * kSecond + 4 * kMillisecond;
  return http;
}

void feed(Metrics& metrics) {
  for (const LlmCall& call : sample_calls()) {
    metrics.on_call_open(call);
    metrics.on_call_finished(call);
  }
  metrics.on_http_open(page_view());
  metrics.on_http_finished(page_view());
  LlmCall open = streamed_call();
  open.exchange = {70, 0};
  open.request_start_ns = 398 * kSecond;
  metrics.on_call_open(open);
  metrics.on_clock({.monotonic_ns = 400 * kSecond});
}

std::string text_of(const Metrics& metrics) { return metrics.expose(ExpositionFormat::kText); }

double sample(const std::string& text, const std::string& series) {
  const size_t at = text.find("\n" + series + " ");
  return at == std::string::npos ? -1 : std::stod(text.substr(at + series.size() + 2));
}

TEST(Metrics, WritesPrometheusText) {
  Metrics metrics(Limits{}, {});
  feed(metrics);
  expect_golden("metrics.txt", text_of(metrics));
}

TEST(Metrics, WritesOpenMetricsWithExemplars) {
  Metrics metrics(Limits{}, {});
  feed(metrics);
  expect_golden("metrics.openmetrics", metrics.expose(ExpositionFormat::kOpenMetrics));
}

TEST(Metrics, WritesNamesOfTheGenaiConventions) {
  Metrics metrics(Limits{}, {.genai_names = true});
  feed(metrics);
  std::vector<CollectedFamily> families = metrics.collect();
  std::erase_if(families, [](const auto& family) { return !family.family.name.starts_with("gen_ai_"); });
  expect_golden("metrics_genai.txt", expose(families, ExpositionFormat::kText));
}

TEST(Metrics, WritesWhatTheProbeSaysOfItself) {
  expect_golden("self_observation.txt",
                expose(self_observation_families(everything_observed()), ExpositionFormat::kText));
}

TEST(Metrics, PromtoolFindsNothing) {
  Metrics metrics(Limits{}, {.genai_names = true, .observe = everything_observed});
  feed(metrics);
  TempDir dir;
  const CommandResult check = run("promtool check metrics < " + dir.write("metrics.txt", text_of(metrics)));
  EXPECT_EQ(check.status, 0);
  EXPECT_EQ(check.output, "");
}

// Prometheus' own client reads the whole exposition, exemplars and units included, or raises.
TEST(Metrics, AnOpenMetricsParserReadsItAll) {
  Metrics metrics(Limits{}, {.genai_names = true, .observe = everything_observed});
  feed(metrics);
  TempDir dir;
  dir.write("metrics", metrics.expose(ExpositionFormat::kOpenMetrics));
  dir.write(
      "parse.py",
      "import sys\nfrom prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\n"
      "print(len(list(parse(open(sys.argv[1]).read()))))\n");
  const CommandResult parsed = run("/usr/bin/python3 " + dir.file("parse.py") + " " + dir.file("metrics"));
  EXPECT_EQ(parsed.output, std::to_string(metrics.collect().size()) + "\n");
}

TEST(Metrics, PrometheusInterfaceGivesTheSameFamilies) {
  Metrics metrics(Limits{}, {});
  feed(metrics);
  EXPECT_EQ(metrics.Collect().size(), metrics.collect().size());
}

TEST(Metrics, ModelsBeyondTheCapBecomeOther) {
  Limits limits;
  limits.models_per_workload = 2;
  Metrics metrics(limits, {});
  for (const char* model : {"a", "b", "c", "d", "a"}) {
    LlmCall call = streamed_call();
    call.response_model = model;
    metrics.on_call_finished(call);
  }
  const std::string text = text_of(metrics);
  const std::string before =
      "llmtap_stream_chunks_total{namespace=\"\",workload=\"chat.py\",role=\"client\",direction=\"outbound\","
      "provider="
      "\"openai\",operation=\"chat\",model=\"";
  EXPECT_EQ(sample(text, before + "a\"}"), 24);
  EXPECT_EQ(sample(text, before + "b\"}"), 12);
  EXPECT_EQ(sample(text, before + "other\"}"), 24);
}

TEST(Metrics, ModelsThatNobodyServesGetNoSeries) {
  Metrics metrics(Limits{}, {});
  LlmCall call = broken_call();
  call.requested_model = "no-such-model";
  call.status = 404;
  call.outcome = Outcome::kNotFound;
  metrics.on_call_finished(call);
  EXPECT_THAT(text_of(metrics), Not(HasSubstr("no-such-model")));
  call.status = 200;
  call.outcome = Outcome::kOk;
  metrics.on_call_finished(call);
  call.status = 404;
  metrics.on_call_finished(call);
  const std::string text = text_of(metrics);
  EXPECT_THAT(text, HasSubstr("model=\"no-such-model\",stream=\"false\",status_code=\"404\""));
  EXPECT_THAT(text, HasSubstr("model=\"other\",stream=\"false\",status_code=\"404\""));
}

TEST(Metrics, LabelValuesAreCleanAndShort) {
  Metrics metrics(Limits{}, {});
  LlmCall call = streamed_call();
  call.response_model = "evil\"\n\x01\xff\\";
  metrics.on_call_finished(call);
  call.response_model = std::string(129, 'x');
  metrics.on_call_finished(call);
  const std::string text = text_of(metrics);
  EXPECT_THAT(text, HasSubstr("model=\"evil\\\"___\\\\\""));
  EXPECT_THAT(text, HasSubstr("model=\"other\""));
  EXPECT_THAT(text, Not(HasSubstr("xxxx")));
}

TEST(Metrics, TheSeriesBudgetRefusesAndCounts) {
  Limits limits;
  limits.series = 100;
  Metrics metrics(limits, {});
  for (int i = 0; i < 50; ++i) {
    LlmCall call = streamed_call();
    call.response_model = "m" + std::to_string(i);
    metrics.on_call_finished(call);
  }
  const std::string text = text_of(metrics);
  EXPECT_GT(sample(text, "llmtap_series_dropped_total{family=\"llmtap_requests_total\"}"), 0);
  double live = 0;
  for (const auto& collected : metrics.collect())
    if (collected.family.name == "llmtap_series")
      for (const auto& metric : collected.family.metric) live += metric.gauge.value;
  EXPECT_GT(live, 0);
  EXPECT_LE(live, 100);
}

TEST(Metrics, IdleSeriesEndAndMakeRoom) {
  Metrics metrics(Limits{}, {.series_ttl = std::chrono::hours(1)});
  metrics.on_clock({.monotonic_ns = 100 * kSecond});
  metrics.on_call_finished(streamed_call());
  metrics.on_clock({.monotonic_ns = 200 * kSecond});
  EXPECT_THAT(text_of(metrics), HasSubstr("llmtap_requests_total"));
  metrics.on_clock({.monotonic_ns = 200 * kSecond + 3600 * kSecond});
  EXPECT_THAT(text_of(metrics), Not(HasSubstr("llmtap_requests_total")));
}

TEST(Metrics, CostCountsOnlyWhereItIsBooked) {
  Metrics metrics(Limits{}, {});
  LlmCall call = streamed_call();
  call.cost_booked = false;
  metrics.on_call_finished(call);
  EXPECT_THAT(text_of(metrics), Not(HasSubstr("llmtap_cost_usd_total")));
}

TEST(Metrics, CountsOpenCalls) {
  Metrics metrics(Limits{}, {});
  const std::string labels =
      "{namespace=\"\",workload=\"chat.py\",role=\"client\",direction=\"outbound\",provider=\"openai\"";
  LlmCall call = streamed_call();
  metrics.on_call_open(call);
  call.role = WorkloadRole::kGateway;  // the role rises while the call is open
  metrics.on_clock({.monotonic_ns = 103 * kSecond});
  EXPECT_EQ(sample(text_of(metrics), "llmtap_in_flight_requests" + labels + ",operation=\"chat\"}"), 1);
  EXPECT_EQ(sample(text_of(metrics), "llmtap_in_flight_oldest_seconds" + labels + "}"), 3);
  metrics.on_call_finished(call);
  EXPECT_EQ(sample(text_of(metrics), "llmtap_in_flight_requests" + labels + ",operation=\"chat\"}"), 0);
  EXPECT_EQ(sample(text_of(metrics), "llmtap_in_flight_oldest_seconds" + labels + "}"), 0);
}

TEST(Metrics, PlainHttpCountsWatchedInboundOnly) {
  Metrics metrics(Limits{}, {});
  HttpExchange http = page_view();
  http.watched = false;
  metrics.on_http_finished(http);
  http.watched = true;
  http.direction = CallDirection::kOutbound;
  metrics.on_http_finished(http);
  EXPECT_THAT(text_of(metrics), Not(HasSubstr("llmtap_http_")));
}

TEST(Metrics, ARateLimitIsTheGatewaysUnlessItPassedOneOn) {
  Metrics metrics(Limits{}, {});
  LlmCall call = refused_call();
  metrics.on_call_finished(call);
  call.refused_upstream = true;
  metrics.on_call_finished(call);
  call.direction = CallDirection::kOutbound;
  metrics.on_call_finished(call);
  const std::string series =
      "llmtap_rate_limited_total{namespace=\"\",workload=\"litellm\",role=\"gateway\",origin=\"";
  const std::string rest = "\",provider=\"anthropic\",model=\"claude-sonnet-4\",limit_type=\"rpm\"}";
  const std::string text = text_of(metrics);
  EXPECT_EQ(sample(text, series + "gateway" + rest), 1);
  EXPECT_EQ(sample(text, series + "provider" + rest), 2);
}

TEST(Metrics, ExcludedFamiliesAreNotExposed) {
  Metrics metrics(Limits{}, {.exclude = {"llmtap_requests_total", "llmtap_series"}});
  metrics.on_call_finished(streamed_call());
  EXPECT_THAT(text_of(metrics), Not(HasSubstr("# TYPE llmtap_requests_total")));
  EXPECT_THAT(text_of(metrics), Not(HasSubstr("# TYPE llmtap_series ")));
  EXPECT_THAT(text_of(metrics), HasSubstr("# TYPE llmtap_request_duration_seconds"));
}

TEST(Metrics, WithoutExemplarsNoneAreWritten) {
  Metrics metrics(Limits{}, {.exemplars = false});
  metrics.on_call_finished(streamed_call());
  EXPECT_THAT(metrics.expose(ExpositionFormat::kOpenMetrics), Not(HasSubstr("# {trace_id")));
}

TEST(Exposition, NegotiatesTheFormat) {
  using enum ExpositionFormat;
  EXPECT_EQ(negotiate_format(""), kText);
  EXPECT_EQ(negotiate_format("*/*"), kText);
  EXPECT_EQ(negotiate_format("text/plain"), kText);
  EXPECT_EQ(negotiate_format(
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q="
                "0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"),
            kOpenMetrics);
  EXPECT_EQ(negotiate_format("application/openmetrics-text;version=2.0.0"), kText);
  EXPECT_EQ(negotiate_format("application/openmetrics-text;q=0"), kText);
  EXPECT_EQ(negotiate_format("text/plain, application/openmetrics-text;q=0.1"), kText);
}

TEST(Exposition, WritesBoundsAsGoDoes) {
  CollectedFamily collected;
  collected.family.name = "f";
  collected.family.help = "h\\ \"x\"\n";
  collected.family.type = prometheus::MetricType::Histogram;
  prometheus::ClientMetric metric;
  for (double bound : {0.00005, 0.0005, 0.1, 1.0, 100000.0, 1e6, 1048576.0})
    metric.histogram.bucket.push_back({1, bound});
  collected.family.metric.push_back(metric);
  const std::string text = expose({&collected, 1}, ExpositionFormat::kText);
  for (const char* bound :
       {"\"5e-05\"", "\"0.0005\"", "\"0.1\"", "\"1\"", "\"100000\"", "\"1e+06\"", "\"1.048576e+06\""})
    EXPECT_THAT(text, HasSubstr(bound));
  EXPECT_THAT(text, HasSubstr("# HELP f h\\\\ \"x\"\\n\n"));
  EXPECT_THAT(expose({&collected, 1}, ExpositionFormat::kOpenMetrics), HasSubstr("le=\"1.0\""));
}

}  // namespace
}  // namespace llmtap
