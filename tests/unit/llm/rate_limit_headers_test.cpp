// SPDX-License-Identifier: Apache-2.0
#include "llm/rate_limit_headers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace llmtap {
namespace {

using Kind = RateLimit::Kind;
using Scope = RateLimit::Scope;

constexpr uint64_t kWall = 1'795'271'580'000'000'000;  // 2026-11-21T14:33:00Z

RateLimitHeaders parse(std::vector<HeaderField> fields, uint64_t wall_ns = kWall) {
  return parse_rate_limit_headers(fields, wall_ns);
}

const RateLimit* find(const RateLimitHeaders& headers, Kind kind, Scope scope) {
  for (const RateLimit& limit : headers.limits)
    if (limit.kind == kind && limit.scope == scope) return &limit;
  return nullptr;
}

void expect(const RateLimitHeaders& headers, Kind kind, Scope scope, std::optional<double> limit,
            std::optional<double> remaining, std::optional<double> reset) {
  const RateLimit* got = find(headers, kind, scope);
  ASSERT_NE(got, nullptr);
  EXPECT_EQ(got->limit, limit);
  EXPECT_EQ(got->remaining, remaining);
  ASSERT_EQ(got->reset_seconds.has_value(), reset.has_value());
  if (reset) {
    EXPECT_NEAR(*got->reset_seconds, *reset, 1e-3);
  }
}

TEST(RateLimitHeaders, OpenAi) {
  const auto got = parse({{"x-ratelimit-limit-requests", "10000"},
                          {"x-ratelimit-remaining-requests", "9999"},
                          {"x-ratelimit-reset-requests", "12ms"},
                          {"x-ratelimit-limit-tokens", "200000"},
                          {"x-ratelimit-remaining-tokens", "0"},
                          {"x-ratelimit-reset-tokens", "1h36m16.107s"},
                          {"x-ratelimit-limit-input-images", "5"}});
  EXPECT_EQ(got.limits.size(), 2u);
  expect(got, Kind::kRequests, Scope::kProvider, 10000, 9999, 0.012);
  expect(got, Kind::kTokens, Scope::kProvider, 200000, 0, 5776.107);
  EXPECT_FALSE(got.retry_after_seconds);
}

TEST(RateLimitHeaders, AzureCountsSeconds) {
  const auto got = parse({{"x-ratelimit-remaining-tokens", "118"},
                          {"x-ratelimit-reset-tokens", "43"},
                          {"x-ratelimit-renewalperiod-tokens", "60"}});
  expect(got, Kind::kTokens, Scope::kProvider, std::nullopt, 118, 43);
}

TEST(RateLimitHeaders, Anthropic) {
  const auto got = parse({{"anthropic-ratelimit-requests-limit", "50"},
                          {"anthropic-ratelimit-requests-remaining", "49"},
                          {"anthropic-ratelimit-requests-reset", "2026-11-21T14:33:07Z"},
                          {"anthropic-ratelimit-input-tokens-remaining", "1000"},
                          {"anthropic-ratelimit-output-tokens-reset", "2026-11-21T16:32:50.5+02:00"},
                          {"anthropic-ratelimit-unified-status", "allowed"}});
  expect(got, Kind::kRequests, Scope::kProvider, 50, 49, 7);
  expect(got, Kind::kInputTokens, Scope::kProvider, std::nullopt, 1000, std::nullopt);
  expect(got, Kind::kOutputTokens, Scope::kProvider, std::nullopt, std::nullopt, 0);  // it has passed
}

TEST(RateLimitHeaders, ResetsAsUnixTime) {
  expect(parse({{"x-ratelimit-reset", "1795271590000"}}), Kind::kRequests, Scope::kProvider, {}, {}, 10);
  expect(parse({{"x-ratelimit-reset", "1795271590"}}), Kind::kRequests, Scope::kProvider, {}, {}, 10);
  EXPECT_TRUE(parse({{"x-ratelimit-reset", "1795271590"}}, 0).limits.empty());
}

TEST(RateLimitHeaders, LiteLlmScopes) {
  const auto got = parse({{"x-ratelimit-api_key-remaining-requests", "7"},
                          {"x-ratelimit-team-limit-tokens", "500"},
                          {"x-ratelimit-user-remaining-tokens", "20"},
                          {"x-ratelimit-galaxy-remaining-tokens", "20"},
                          {"x-litellm-key-remaining-tokens-gpt-5.5", "90"},
                          {"x-litellm-key-rpm-limit", "None"},
                          {"x-ratelimit-remaining-requests", "3"}});
  expect(got, Kind::kRequests, Scope::kKey, {}, 7, {});
  expect(got, Kind::kTokens, Scope::kTeam, 500, {}, {});
  expect(got, Kind::kTokens, Scope::kUser, {}, 20, {});
  expect(got, Kind::kTokens, Scope::kKey, {}, 90, {});
  expect(got, Kind::kRequests, Scope::kProvider, {}, 3, {});
  EXPECT_EQ(got.limits.size(), 5u);
}

TEST(RateLimitHeaders, LiteLlmPlainNamesAreTheKeysWhenItHasLimits) {
  const auto got = parse({{"x-ratelimit-remaining-requests", "3"},
                          {"llm_provider-x-ratelimit-remaining-requests", "900"},
                          {"x-litellm-key-rpm-limit", "10"}});
  expect(got, Kind::kRequests, Scope::kKey, 10, 3, {});
  expect(got, Kind::kRequests, Scope::kProvider, {}, 900, {});
}

TEST(RateLimitHeaders, Mistral) {
  const auto got = parse({{"x-ratelimit-limit-req-10-second", "20"},
                          {"x-ratelimit-remaining-tokens-minute", "99"},
                          {"x-ratelimit-limit-tokens-month", "1000"}});
  expect(got, Kind::kRequests, Scope::kProvider, 20, {}, {});
  expect(got, Kind::kTokens, Scope::kProvider, {}, 99, {});
}

TEST(RateLimitHeaders, RetryAfter) {
  EXPECT_EQ(parse({{"retry-after", "20"}}).retry_after_seconds, 20);
  EXPECT_EQ(parse({{"retry-after", "Sat, 21 Nov 2026 14:33:30 GMT"}}).retry_after_seconds, 30);
  EXPECT_EQ(parse({{"retry-after", "Sat, 21 Nov 2026 14:33:30 GMT"}}, 0).retry_after_seconds, std::nullopt);
  EXPECT_EQ(parse({{"retry-after", "2"}, {"retry-after-ms", "1500"}}).retry_after_seconds, 1.5);
  EXPECT_EQ(parse({{"x-ms-retry-after-ms", "250"}}).retry_after_seconds, 0.25);
  for (const std::string_view bad : {"-1", "soon", "", "nan", "1e300", "inf"})
    EXPECT_EQ(parse({{"retry-after", bad}}).retry_after_seconds, std::nullopt) << bad;
}

TEST(RateLimitHeaders, HostileValues) {
  std::vector<HeaderField> fields(5000, HeaderField{"x-ratelimit-remaining-requests", "1"});
  EXPECT_EQ(parse(fields).limits.size(), 1u);
  EXPECT_TRUE(parse({{"x-ratelimit-remaining-requests", "-5"},
                     {"x-ratelimit-", "1"},
                     {"x-ratelimit-limitrequests", "1"},
                     {"anthropic-ratelimit-", "1"},
                     {"anthropic-ratelimit-limit", "1"}})
                  .limits.empty());
}

TEST(GoDuration, Parses) {
  EXPECT_DOUBLE_EQ(parse_go_duration("6m0s").value(), 360);
  EXPECT_DOUBLE_EQ(parse_go_duration("17.399999999s").value(), 17.399999999);
  EXPECT_DOUBLE_EQ(parse_go_duration("1d2h").value(), 93600);
  EXPECT_DOUBLE_EQ(parse_go_duration("250us").value(), 250e-6);
  for (const std::string_view bad : {"", "12", "s", "1x", "1.2.3s", "-1s", "1h-3m"})
    EXPECT_FALSE(parse_go_duration(bad)) << bad;
}

TEST(Dates, Parse) {
  EXPECT_DOUBLE_EQ(parse_rfc3339("1970-01-02T00:00:01Z").value(), 86401);
  EXPECT_DOUBLE_EQ(parse_rfc3339("1970-01-01T00:00:00.25-01:00").value(), 3600.25);
  for (const std::string_view bad : {"", "2026-11-21", "2026-13-21T00:00:00Z", "2026-02-30T00:00:00Z",
                                     "2026-11-21T25:00:00Z", "2026-11-21T00:00:00", "2026-11-21T00:00:00.Z"})
    EXPECT_FALSE(parse_rfc3339(bad)) << bad;
  EXPECT_DOUBLE_EQ(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").value(), 784111777);
  for (const std::string_view bad : {"", "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 06 Foo 1994 08:49:37 GMT",
                                     "Sun, 31 Feb 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT"})
    EXPECT_FALSE(parse_http_date(bad)) << bad;
}

}  // namespace
}  // namespace llmtap
