// SPDX-License-Identifier: Apache-2.0
#include "llm/gateway_headers.h"

#include <gtest/gtest.h>

namespace llmtap {
namespace {

GatewayFacts reply(std::vector<HeaderField> fields) {
  GatewayFacts facts;
  add_gateway_response_headers(facts, fields);
  return facts;
}

TEST(GatewayHeaders, LiteLlm) {
  const GatewayFacts facts = reply({{"x-litellm-call-id", "c-1"},
                                    {"x-litellm-model-id", "m-1"},
                                    {"x-litellm-model-group", "fast"},
                                    {"x-litellm-version", "1.80.0"},
                                    {"x-litellm-response-cost", "0.00125"},
                                    {"x-litellm-attempted-retries", "2"},
                                    {"x-litellm-attempted-fallbacks", "1"},
                                    {"x-litellm-key-spend", "3.5"},
                                    {"x-litellm-key-max-budget", "10"},
                                    {"x-litellm-key-tpm-limit", "1000"},
                                    {"x-litellm-key-rpm-limit", "60"},
                                    {"x-litellm-overhead-duration-ms", "12.5"},
                                    {"x-litellm-response-duration-ms", "812"}});
  EXPECT_EQ(facts.name, "litellm");
  EXPECT_EQ(facts.call_id, "c-1");
  EXPECT_EQ(facts.model_id, "m-1");
  EXPECT_EQ(facts.model_group, "fast");
  EXPECT_EQ(facts.version, "1.80.0");
  EXPECT_EQ(facts.response_cost_usd, 0.00125);
  EXPECT_EQ(facts.attempted_retries, 2u);
  EXPECT_EQ(facts.attempted_fallbacks, 1u);
  EXPECT_EQ(facts.key_spend_usd, 3.5);
  EXPECT_EQ(facts.key_max_budget_usd, 10);
  EXPECT_EQ(facts.key_tpm_limit, 1000);
  EXPECT_EQ(facts.key_rpm_limit, 60);
  EXPECT_EQ(facts.overhead_ms, 12.5);
  EXPECT_EQ(facts.response_duration_ms, 812);
}

TEST(GatewayHeaders, NoneIsAbsent) {
  const GatewayFacts facts = reply({{"x-litellm-model-id", "None"},
                                    {"x-litellm-response-cost", "None"},
                                    {"x-litellm-attempted-retries", "None"},
                                    {"x-litellm-key-max-budget", "None"},
                                    {"x-litellm-key-spend", "-1"},
                                    {"x-litellm-overhead-duration-ms", "nan"}});
  EXPECT_EQ(facts.name, "litellm");
  EXPECT_EQ(facts.model_id, "");
  EXPECT_FALSE(facts.response_cost_usd);
  EXPECT_FALSE(facts.attempted_retries);
  EXPECT_FALSE(facts.key_max_budget_usd);
  EXPECT_FALSE(facts.key_spend_usd);
  EXPECT_FALSE(facts.overhead_ms);
}

struct Case {
  std::string_view field, value, name;
};
class Recognises : public ::testing::TestWithParam<Case> {};
TEST_P(Recognises, Reply) {
  EXPECT_EQ(reply({{"server", "x"}, {GetParam().field, GetParam().value}}).name, GetParam().name);
}
INSTANTIATE_TEST_SUITE_P(
    Gateways, Recognises,
    ::testing::Values(Case{"x-portkey-trace-id", "t", "portkey"}, Case{"helicone-id", "h", "helicone"},
                      Case{"cf-aig-log-id", "l", "cloudflare"},
                      Case{"x-kong-llm-model", "openai/gpt-5.5", "kong"},
                      Case{"x-ai-eg-model", "m", "envoy_ai_gateway"},
                      Case{"pydantic-ai-gateway-price-estimate", "0.0001USD", "pydantic"},
                      // Kong in front of Mistral, Cloudflare in front of everyone.
                      Case{"x-kong-request-id", "r", ""}, Case{"cf-ray", "r", ""}));

TEST(GatewayHeaders, RequestsAndRepliesTogether) {
  GatewayFacts facts;
  const HeaderField request[] = {{"x-portkey-provider", "openai"}};
  add_gateway_request_headers(facts, request);
  EXPECT_EQ(facts.name, "portkey");
  const HeaderField plain[] = {{"content-type", "application/json"}};
  add_gateway_response_headers(facts, plain);
  EXPECT_EQ(facts.name, "portkey");
  const HeaderField litellm[] = {{"x-litellm-call-id", "c"}};
  add_gateway_response_headers(facts, litellm);
  EXPECT_EQ(facts.name, "litellm");
  EXPECT_EQ(reply({{"pydantic-ai-gateway-price-estimate", "0.0001USD"}}).response_cost_usd, 0.0001);
  EXPECT_EQ(reply({{"x-portkey-retry-attempt-count", "3"}}).attempted_retries, 3u);
}

TEST(GatewayHeaders, CacheHits) {
  const auto hit = [](std::string_view name, std::string_view value) {
    const HeaderField fields[] = {{name, value}};
    return gateway_cache_hit(fields);
  };
  EXPECT_EQ(hit("cf-aig-cache-status", "HIT"), true);
  EXPECT_EQ(hit("x-portkey-cache-status", "SEMANTIC HIT"), true);
  EXPECT_EQ(hit("helicone-cache", "hit"), true);
  EXPECT_EQ(hit("cf-aig-cache-status", "MISS"), false);
  EXPECT_EQ(hit("x-cache", "Miss from cloudfront"), std::nullopt);
  EXPECT_EQ(hit("cf-cache-status", "HIT"), std::nullopt);
  EXPECT_EQ(hit("x-cache", ""), std::nullopt);
}

TEST(Ids, ProviderRequestId) {
  const auto id = [](std::vector<HeaderField> fields) { return provider_request_id(fields); };
  EXPECT_EQ(id({{"x-request-id", "req_1"}, {"request-id", "r2"}}), "req_1");
  EXPECT_EQ(id({{"request-id", "r2"}}), "r2");
  EXPECT_EQ(id({{"x-amzn-requestid", "a"}}), "a");
  EXPECT_EQ(id({{"apim-request-id", "p"}}), "p");
  EXPECT_EQ(id({{"x-request-id", "two words"}}), "");
  EXPECT_EQ(id({{"x-request-id", std::string(129, 'a')}}), "");
  EXPECT_EQ(id({}), "");
  const HeaderField retry[] = {{"x-stainless-retry-count", "2"}, {"x-request-id", "mine"}};
  EXPECT_EQ(sdk_retry_count(retry), 2u);
  EXPECT_EQ(request_id_header(retry), "mine");
  const HeaderField bad[] = {{"x-stainless-retry-count", "-2"}};
  EXPECT_EQ(sdk_retry_count(bad), 0u);
}

}  // namespace
}  // namespace llmtap
