// SPDX-License-Identifier: Apache-2.0
#include "sinks/otlp_exporter.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <sys/socket.h>

#include <mutex>
#include <thread>

#include "sinks/http_transport.h"
#include "sinks/label_names.h"
#include "unit/sinks/sample_calls.h"

namespace llmtap {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using namespace llmtap::testing;
using namespace std::chrono_literals;

// A collector that reads each POST whole and answers with the given statuses in turn, then 200.
class Collector {
 public:
  explicit Collector(std::vector<int> statuses = {}) : statuses_(std::move(statuses)) {
    Result<ListeningSocket> socket = listen_on("127.0.0.1:0");
    if (!socket) return;
    socket_ = *std::move(socket);
    thread_ = std::thread([this] { run(); });
  }
  ~Collector() {
    stopping_ = true;
    thread_.join();
  }
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;
  std::string address() const { return socket_.address(); }
  std::vector<std::string> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void run() {
    while (!stopping_) {
      pollfd ready{socket_.fd.get(), POLLIN, 0};
      if (poll(&ready, 1, 10) <= 0) continue;
      const FileDescriptor fd(accept(socket_.fd.get(), nullptr, nullptr));
      std::string request;
      char piece[4096];
      while (!complete(request)) {
        const ssize_t got = recv(fd.get(), piece, sizeof piece, 0);
        if (got <= 0) break;
        request.append(piece, static_cast<size_t>(got));
      }
      const std::lock_guard lock(mutex_);
      const int status = requests_.size() < statuses_.size() ? statuses_[requests_.size()] : 200;
      requests_.push_back(request);
      const std::string reply =
          "HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
      static_cast<void>(send(fd.get(), reply.data(), reply.size(), MSG_NOSIGNAL));
    }
  }
  static bool complete(const std::string& request) {
    const size_t end = request.find("\r\n\r\n"), length = request.find("Content-Length: ");
    return end != std::string::npos && length != std::string::npos &&
           request.size() >= end + 4 + std::stoul(request.substr(length + 16));
  }

  std::vector<int> statuses_;
  ListeningSocket socket_;
  std::atomic<bool> stopping_ = false;
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;
  std::thread thread_;
};

OtlpOptions http_to(const std::string& endpoint) {
  OtlpOptions options;
  options.endpoint = endpoint;
  options.protocol = OtlpOptions::Protocol::kHttp;
  options.insecure = true;
  options.headers = {{"x-tenant", "blue"}};
  options.first_backoff = 1ms;
  return options;
}

TEST(OtlpExporter, SendsSpansOverHttp) {
  Collector collector;
  auto exporter = OtlpExporter::open(http_to(collector.address()));
  ASSERT_TRUE(exporter.has_value());
  (*exporter)->on_call_finished(streamed_call());
  ASSERT_TRUE((*exporter)->flush(20s));
  const ExportCounters counters = (*exporter)->counters();
  EXPECT_EQ(counters.ok, 1u);
  EXPECT_EQ(counters.queued, 0u);
  ASSERT_EQ(collector.requests().size(), 1u);
  const std::string request = collector.requests().front();
  EXPECT_THAT(request, HasSubstr("POST /v1/traces HTTP/1.1\r\n"));
  EXPECT_THAT(request, HasSubstr("x-tenant: blue\r\n"));
  for (const char* text : {"service.name",
                           "chat.py",
                           "chat gpt-4o",
                           "gen_ai.operation.name",
                           "gen_ai.provider.name",
                           "gen_ai.request.model",
                           "gen_ai.response.model",
                           "gpt-4o-2024-08-06",
                           "gen_ai.response.finish_reasons",
                           "tool_calls",
                           "gen_ai.usage.input_tokens",
                           "gen_ai.usage.cache_read.input_tokens",
                           "gen_ai.response.time_to_first_chunk",
                           "server.address",
                           "api.openai.com",
                           "http.response.status_code",
                           "network.peer.address",
                           "203.0.113.9",
                           "llmtap.outcome",
                           "llmtap.cost_usd",
                           "first_token"})
    EXPECT_THAT(request, HasSubstr(text));
  EXPECT_THAT(request, HasSubstr("\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c"));
  // SERVER and CLIENT are kinds 2 and 3 of field 6; start is field 7, fixed64 little endian.
  EXPECT_THAT(request, HasSubstr("\x30\x03\x39"));
  std::string start(8, '\0');
  for (size_t i = 0; i < 8; ++i) start[i] = static_cast<char>(kWall >> (8 * i));
  EXPECT_THAT(request, HasSubstr("\x39" + start));
}

TEST(OtlpExporter, AFailedCallHasAnErrorStatus) {
  Collector collector;
  auto exporter = OtlpExporter::open(http_to("http://" + collector.address() + "/custom/path"));
  ASSERT_TRUE(exporter.has_value());
  (*exporter)->on_call_finished(broken_call());
  ASSERT_TRUE((*exporter)->flush(20s));
  ASSERT_EQ(collector.requests().size(), 1u);
  EXPECT_THAT(collector.requests().front(), HasSubstr("POST /custom/path HTTP/1.1\r\n"));
  EXPECT_THAT(collector.requests().front(), HasSubstr("error.type"));
  EXPECT_THAT(collector.requests().front(), HasSubstr("connection_error"));
  EXPECT_THAT(collector.requests().front(), Not(HasSubstr("gen_ai.usage")));
}

TEST(OtlpExporter, TriesAgainUntilTheCollectorTakesIt) {
  Collector collector({503, 503});
  auto exporter = OtlpExporter::open(http_to(collector.address()));
  ASSERT_TRUE(exporter.has_value());
  (*exporter)->on_call_finished(streamed_call());
  ASSERT_TRUE((*exporter)->flush(20s));
  EXPECT_EQ((*exporter)->counters().ok, 1u);
  EXPECT_EQ(collector.requests().size(), 3u);
}

TEST(OtlpExporter, CountsWhatNobodyTakes) {
  for (const auto protocol : {OtlpOptions::Protocol::kHttp, OtlpOptions::Protocol::kGrpc}) {
    OtlpOptions options = http_to("127.0.0.1:1");
    options.protocol = protocol;
    options.attempts = 2;
    options.timeout = 500ms;
    auto exporter = OtlpExporter::open(options);
    ASSERT_TRUE(exporter.has_value());
    (*exporter)->on_call_finished(streamed_call());
    ASSERT_TRUE((*exporter)->flush(30s));
    EXPECT_EQ((*exporter)->counters().error, 1u);
    EXPECT_EQ((*exporter)->counters().ok, 0u);
  }
}

TEST(OtlpExporter, CountsWhatTheSamplerLeavesOut) {
  Collector collector;
  OtlpOptions options = http_to(collector.address());
  options.sampler = {.type = TraceSampler::Type::kProbability, .rate = 0};
  auto exporter = OtlpExporter::open(options);
  ASSERT_TRUE(exporter.has_value());
  for (int i = 0; i < 3; ++i) (*exporter)->on_call_finished(streamed_call());
  (*exporter)->on_call_finished(broken_call());
  ASSERT_TRUE((*exporter)->flush(20s));
  const ExportCounters counters = (*exporter)->counters();
  EXPECT_EQ(counters.ok, 1u);
  EXPECT_EQ(counters.not_sampled, 3u);
  EXPECT_EQ(counters.error + counters.dropped + counters.queued, 0u);
  ASSERT_EQ(collector.requests().size(), 1u);
  EXPECT_THAT(collector.requests().front(), HasSubstr("chat local"));
  EXPECT_THAT(collector.requests().front(), Not(HasSubstr("chat gpt-4o")));
}

TEST(OtlpExporter, AFullQueueDropsAndCounts) {
  OtlpOptions options = http_to("127.0.0.1:1");
  options.queue = 2;
  options.batch = 1;
  options.first_backoff = 1h;
  auto exporter = OtlpExporter::open(options);
  ASSERT_TRUE(exporter.has_value());
  for (int i = 0; i < 10; ++i) (*exporter)->on_call_finished(streamed_call());
  const ExportCounters counters = (*exporter)->counters();
  EXPECT_GE(counters.dropped, 6u);
  EXPECT_EQ(counters.ok + counters.error + counters.dropped + counters.queued, 10u);
}

TEST(SpanIds, AreTheWiresOrMadeFromTheExchange) {
  const SpanIds wire = span_ids(streamed_call());
  EXPECT_EQ(wire.trace_id, "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(wire.parent_span_id, "b7ad6b7169203331");
  const SpanIds made = span_ids(broken_call());
  EXPECT_EQ(made.trace_id, span_ids(broken_call()).trace_id);
  EXPECT_EQ(made.trace_id.size(), 32u);
  EXPECT_EQ(made.span_id.size(), 16u);
  EXPECT_EQ(made.parent_span_id, "");
  LlmCall other = broken_call();
  ++other.exchange.number;
  EXPECT_NE(span_ids(other).span_id, made.span_id);
  other.trace_id = "not hex at all, but 32 bytes lon";
  EXPECT_EQ(span_ids(other).trace_id.find_first_not_of("0123456789abcdef"), std::string::npos);
}

}  // namespace
}  // namespace llmtap
