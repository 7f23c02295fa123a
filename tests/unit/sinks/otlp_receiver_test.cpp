// SPDX-License-Identifier: Apache-2.0
// The exporter against receivers that are not ours: grpcio and Python's HTTP server, which read the
// messages by their field numbers (tests/support/otlp_receiver.py).
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>

#include "sinks/otlp_exporter.h"
#include "unit/sinks/sample_calls.h"

namespace llmtap {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using namespace llmtap::testing;
using namespace std::chrono_literals;
using Protocol = OtlpOptions::Protocol;

class Receiver {
 public:
  Receiver(Protocol protocol, const std::vector<std::string>& more = {}) {
    int out[2];
    if (pipe2(out, O_CLOEXEC) != 0) return;
    // The distribution's interpreter: its packages come with scripts/setup.
    std::vector<std::string> words{"/usr/bin/python3",
                                   std::string(LLMTAP_SOURCE_DIR) + "/tests/support/otlp_receiver.py",
                                   protocol == Protocol::kGrpc ? "grpc" : "http", file()};
    words.insert(words.end(), more.begin(), more.end());
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
      dup2(out[1], STDOUT_FILENO);
      execv(arguments[0], arguments.data());
      _exit(127);
    }
    close(out[1]);
    char piece[16];
    for (ssize_t got; port_.find('\n') == std::string::npos && (got = read(out[0], piece, sizeof piece)) > 0;)
      port_.append(piece, static_cast<size_t>(got));
    close(out[0]);
    if (!port_.empty()) port_.pop_back();
  }
  ~Receiver() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;
  std::string address() const { return "127.0.0.1:" + port_; }
  bool ready() const { return !port_.empty(); }
  std::string received() const { return read_file(file()); }

 private:
  std::string file() const { return dir_.file("received"); }
  TempDir dir_;
  pid_t pid_ = -1;
  std::string port_;
};

OtlpOptions to(const Receiver& receiver, Protocol protocol) {
  OtlpOptions options;
  options.endpoint = receiver.address();
  options.protocol = protocol;
  options.insecure = true;
  options.headers = {{"x-tenant", "blue"}};
  options.service_version = "1.2.3";
  options.first_backoff = 1ms;
  options.timeout = 60s;
  return options;
}

class OtlpReceivers : public ::testing::TestWithParam<Protocol> {};

TEST_P(OtlpReceivers, GetEveryAttributeOfTheConventions) {
  Receiver receiver(GetParam());
  ASSERT_TRUE(receiver.ready());
  auto exporter = OtlpExporter::open(to(receiver, GetParam()));
  ASSERT_TRUE(exporter.has_value());
  for (LlmCall call : sample_calls()) {
    if (call.stream) {
      call.sdk_retry_count = 1;
      call.gateway.overhead_ms = 2.5;
      call.gateway.cache_hit = true;
      call.tokens.cache_write = 5;
      call.conversation_id = "conv-1";
      call.choice_count = 2;
      call.top_p = 0.25;
    }
    (*exporter)->on_call_finished(call);
    ASSERT_TRUE((*exporter)->flush(120s));
  }
  EXPECT_EQ((*exporter)->counters().ok, 3u);
  EXPECT_EQ((*exporter)->counters().error, 0u);
  expect_golden("otlp_spans.txt", receiver.received());
}

TEST_P(OtlpReceivers, GetTheOldNamesWhenAskedFor) {
  Receiver receiver(GetParam());
  ASSERT_TRUE(receiver.ready());
  OtlpOptions options = to(receiver, GetParam());
  options.old_genai_names = true;
  auto exporter = OtlpExporter::open(options);
  ASSERT_TRUE(exporter.has_value());
  LlmCall call = streamed_call();
  call.tokens.cache_write = 5;
  (*exporter)->on_call_finished(call);
  ASSERT_TRUE((*exporter)->flush(120s));
  EXPECT_THAT(receiver.received(), HasSubstr("gen_ai.usage.cache_creation.input_tokens = 5"));
}

TEST_P(OtlpReceivers, AreAskedAgainAfterARefusal) {
  Receiver receiver(GetParam(), {"--refuse", "2"});
  ASSERT_TRUE(receiver.ready());
  auto exporter = OtlpExporter::open(to(receiver, GetParam()));
  ASSERT_TRUE(exporter.has_value());
  (*exporter)->on_call_finished(streamed_call());
  ASSERT_TRUE((*exporter)->flush(120s));
  EXPECT_EQ((*exporter)->counters().ok, 1u);
  EXPECT_THAT(receiver.received(), StartsWith("refused\nrefused\nx-tenant: blue\n"));
}

TEST_P(OtlpReceivers, ThatHangCostSpansNotTime) {
  Receiver receiver(GetParam(), {"--hang"});
  ASSERT_TRUE(receiver.ready());
  OtlpOptions options = to(receiver, GetParam());
  options.queue = 8;
  options.batch = 1;
  options.attempts = 1;
  options.timeout = 200ms;
  auto exporter = OtlpExporter::open(options);
  ASSERT_TRUE(exporter.has_value());
  constexpr uint64_t kCalls = 1000;
  for (uint64_t i = 0; i < kCalls; ++i) (*exporter)->on_call_finished(streamed_call());
  const ExportCounters now = (*exporter)->counters();
  EXPECT_GT(now.dropped, 0u);
  EXPECT_EQ(now.ok + now.error + now.dropped + now.queued, kCalls);
  ASSERT_TRUE((*exporter)->flush(120s));
  const ExportCounters after = (*exporter)->counters();
  EXPECT_EQ(after.ok, 0u);
  EXPECT_EQ(after.error + after.dropped, kCalls);
}

TEST_P(OtlpReceivers, ThatHangHoldUpTheEndByOneRequestOnly) {
  Receiver receiver(GetParam(), {"--hang"});
  ASSERT_TRUE(receiver.ready());
  OtlpOptions options = to(receiver, GetParam());
  options.batch = 1;
  options.timeout = 500ms;
  auto exporter = OtlpExporter::open(options);
  ASSERT_TRUE(exporter.has_value());
  for (int i = 0; i < 100; ++i) (*exporter)->on_call_finished(streamed_call());
  exporter->reset();
  const std::string requests = receiver.received();
  EXPECT_LE(std::ranges::count(requests, '\n'), 3);
}

INSTANTIATE_TEST_SUITE_P(Protocols, OtlpReceivers, ::testing::Values(Protocol::kGrpc, Protocol::kHttp),
                         [](const auto& test) { return test.param == Protocol::kGrpc ? "Grpc" : "Http"; });

}  // namespace
}  // namespace llmtap
