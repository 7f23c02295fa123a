// SPDX-License-Identifier: Apache-2.0
// From the configuration to what the parts take.
#include <gmock/gmock.h>

#include "pipeline/options.h"
#include "pipeline/web.h"
#include "unit/sinks/sample_calls.h"

namespace llmtap {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using namespace llmtap::testing;

TEST(OtlpOptionsOfConfig, BothProtocols) {
  Config config;
  config.otlp_endpoint = "collector:4317";
  EXPECT_EQ(otlp_options(config, Limits{}).protocol, OtlpOptions::Protocol::kGrpc);
  ASSERT_TRUE(apply_setting(config, {"otlp.protocol", "http/protobuf", "--set"}).has_value());
  EXPECT_EQ(otlp_options(config, Limits{}).protocol, OtlpOptions::Protocol::kHttp);
}

TEST(OtlpOptionsOfConfig, EverySpanUnlessASamplerIsAskedFor) {
  const TraceSampler sampler = otlp_options(Config{}, Limits{}).sampler;
  EXPECT_EQ(sampler.type, TraceSampler::Type::kAlways);
  for (const LlmCall& call : sample_calls()) EXPECT_TRUE(sampler.keeps(call));
}

TEST(OtlpOptionsOfConfig, TheSamplersKeysReachIt) {
  Config config;
  for (const auto& [key, value] : std::initializer_list<std::pair<const char*, const char*>>{
           {"traces.sampler.type", "probability"},
           {"traces.sampler.rate", "0.25"},
           {"traces.sampler.keep_errors", "false"},
           {"traces.sampler.keep_slower_than", "1m30s"}})
    ASSERT_TRUE(apply_setting(config, {key, value, "--set"}).has_value()) << key;
  const TraceSampler sampler = otlp_options(config, Limits{}).sampler;
  EXPECT_EQ(sampler.type, TraceSampler::Type::kProbability);
  EXPECT_EQ(sampler.rate, 0.25);
  EXPECT_FALSE(sampler.keep_errors);
  EXPECT_EQ(sampler.keep_slower_than, std::chrono::seconds(90));
  ASSERT_TRUE(apply_setting(config, {"traces.sampler.type", "never", "--set"}).has_value());
  EXPECT_EQ(otlp_options(config, Limits{}).sampler.type, TraceSampler::Type::kNever);
}

TEST(TrackerOptionsOfConfig, ProviderRows) {
  Config config;
  ASSERT_TRUE(apply_yaml(config, R"(
providers:
  - {host: "10.0.0.7:8000", provider: corp, dialect: anthropic_messages}
  - {host: "*.llm.example", provider: plain}
)",
                         "test.yaml")
                  .has_value());
  const auto hosts = tracker_options(config).hosts;
  ASSERT_EQ(hosts.size(), 2u);
  EXPECT_EQ(hosts[0].host, "10.0.0.7");
  EXPECT_EQ(hosts[0].port, 8000);
  EXPECT_EQ(hosts[0].dialect, Dialect::kAnthropicMessages);
  EXPECT_EQ(hosts[1].host, ".llm.example");
  EXPECT_EQ(hosts[1].port, 0);
  EXPECT_EQ(hosts[1].dialect, Dialect::kNone);
  const auto wrong = apply_yaml(config, "providers: [{host: a, provider: b, dialect: openai}]", "test.yaml");
  ASSERT_FALSE(wrong.has_value());
  EXPECT_THAT(wrong.error().message, HasSubstr("expected one of openai_chat, "));
}

TEST(TrackerOptionsOfConfig, EveryKeyReachesIt) {
  Config config;
  for (const auto& [key, value] :
       std::initializer_list<std::pair<const char*, const char*>>{{"identity.header_map", "X-My-User"},
                                                                  {"targets.include", "a,b"},
                                                                  {"prices.count_estimated", "true"}})
    ASSERT_TRUE(apply_setting(config, {key, value, "--set"}).has_value());
  const CallTrackerOptions options = tracker_options(config);
  EXPECT_THAT(options.end_user_headers, ::testing::ElementsAre("x-my-user"));
  EXPECT_THAT(options.watched_workloads, ::testing::ElementsAre("a", "b"));
  EXPECT_TRUE(options.count_estimated_cost);
  ASSERT_TRUE(apply_setting(config, {"traces.genai_generation", "old", "--set"}).has_value());
  EXPECT_TRUE(otlp_options(config, Limits{}).old_genai_names);
  EXPECT_FALSE(apply_setting(config, {"identity.header_map", "two words", "--set"}).has_value());
}

struct Served {
  Config config;
  std::unique_ptr<SinkSet> sinks;
  std::unique_ptr<HttpServer> web;
  Served() {
    config.metrics_listen.port = 0;
    config.log_requests_enabled = false;
    auto opened = SinkSet::open(config, Limits{}, nullptr);
    if (!opened) return;
    sinks = *std::move(opened);
    auto server = open_web(
        config, *sinks, [] { return Readiness{.ready = true}; },
        [] { return std::make_shared<const Coverage>(); });
    if (!server) return;
    web = *std::move(server);
    web->start();
  }
  std::string get(const std::string& path) const {
    return run("curl -sS --max-time 20 -i 'http://" + web->address() + path + "'").output;
  }
};

size_t calls_in(const std::string& reply) {
  size_t count = 0;
  for (size_t at = 0; (at = reply.find("\"span_id\":", at)) != std::string::npos; ++at) ++count;
  return count;
}

TEST(WebCalls, AsManyAsAskedFor) {
  const Served served;
  ASSERT_TRUE(served.web);
  for (const LlmCall& call : sample_calls()) served.sinks->recent().on_call_finished(call);
  EXPECT_EQ(calls_in(served.get("/api/calls")), 3u);
  EXPECT_EQ(calls_in(served.get("/api/calls?n=2")), 2u);
  EXPECT_EQ(calls_in(served.get("/api/calls?x=1&n=1")), 1u);
  EXPECT_EQ(calls_in(served.get("/api/calls?n=18446744073709551615")), 3u);
  for (const char* wrong : {"n=", "n=-1", "n=x", "n=1x", "n=99999999999999999999"})
    EXPECT_THAT(served.get(std::string("/api/calls?") + wrong), StartsWith("HTTP/1.1 400")) << wrong;
}

}  // namespace
}  // namespace llmtap
