// SPDX-License-Identifier: Apache-2.0
// Costs by entries of the built-in table, computed by hand from the rates that each case cites (USD per
// million tokens), and what the format can say beside tokens.
#include <gtest/gtest.h>

#include "llm/cost.h"
#include "llm/price_rules.h"

namespace llmtap {
namespace {

struct Case {
  const char* name;
  const char* model;
  const char* provider;
  TokenCounts tokens;
  ServiceTier service;
  double usd;
};
class PriceCases : public ::testing::TestWithParam<Case> {};

TEST_P(PriceCases, AreAsComputed) {
  const auto table = PriceTable::builtin();
  ASSERT_TRUE(table.has_value());
  const ModelPrice* price = (*table)->find(GetParam().model, GetParam().provider);
  ASSERT_NE(price, nullptr);
  const auto usd = cost_usd(*price, GetParam().tokens, GetParam().service, {},
                            PriceRules{}.class_factor(GetParam().provider, GetParam().service));
  ASSERT_TRUE(usd.has_value());
  EXPECT_NEAR(*usd, GetParam().usd, 1e-12);
}

constexpr double kMillion = 1e-6;

INSTANTIATE_TEST_SUITE_P(
    Builtin, PriceCases,
    ::testing::Values(
        // gemini-3.1-pro-preview: 2 / 0.2 / 12; above 200k 4 / 0.4 / 18, for the whole request.
        Case{"GeminiAt200k",
             "gemini-3.1-pro-preview",
             "gcp.gemini",
             {.input = 200'000, .output = 1'000},
             ServiceTier::kStandard,
             (200'000 * 2.0 + 1'000 * 12) * kMillion},
        Case{"GeminiAbove200k",
             "gemini-3.1-pro-preview",
             "gcp.gemini",
             {.input = 200'001, .output = 1'000, .cached = 100'001, .reasoning = 400},
             ServiceTier::kStandard,
             (100'000 * 4.0 + 100'001 * 0.4 + 1'000 * 18) * kMillion},
        // …priority: 3.6 / 0.36 / 21.6; above 200k 7.2 / 0.72 / 32.4
        Case{"GeminiPriorityAbove200k",
             "gemini-3.1-pro-preview",
             "gcp.gemini",
             {.input = 300'000, .output = 10, .cached = 100'000},
             ServiceTier::kPriority,
             (200'000 * 7.2 + 100'000 * 0.72 + 10 * 32.4) * kMillion},
        // gemini-3.5-flash: 1.5 in, 1 audio in, 9 out, 9 reasoning
        Case{"GeminiAudio",
             "gemini-3.5-flash",
             "gcp.vertex_ai",
             {.input = 1'000, .output = 100, .reasoning = 60, .input_audio = 400},
             ServiceTier::kStandard,
             (600 * 1.5 + 400 * 1.0 + 40 * 9 + 60 * 9) * kMillion},
        // claude-haiku-5-5: 0.1 / 0.01 / 0.125 (1 h 0.2) / 0.5; above 100k 0.5 / 0.05 / 0.625 / 2.5
        Case{"HaikuCaches",
             "claude-haiku-5-5-20260901",
             "anthropic",
             {.input = 10'000, .output = 50, .cached = 5'000, .cache_write = 4'000, .cache_write_1h = 1'000},
             ServiceTier::kStandard,
             (1'000 * 0.1 + 5'000 * 0.01 + 3'000 * 0.125 + 1'000 * 0.2 + 50 * 0.5) * kMillion},
        Case{"HaikuAbove100k",
             "claude-haiku-5-5",
             "anthropic",
             {.input = 100'001, .output = 50, .cached = 100'000},
             ServiceTier::kStandard,
             (1 * 0.5 + 100'000 * 0.05 + 50 * 2.5) * kMillion},
        // No batch rates are listed: half of everything.
        Case{"HaikuBatch",
             "claude-haiku-5-5",
             "anthropic",
             {.input = 1'000, .output = 50, .cached = 400},
             ServiceTier::kBatch,
             (600 * 0.1 + 400 * 0.01 + 50 * 0.5) * kMillion / 2},
        // claude-sonnet-4-5: above 200k 6 / 0.6 / 7.5 (1 h 12) / 22.5
        Case{"SonnetAbove200k",
             "claude-sonnet-4-5-20250929",
             "anthropic",
             {.input = 250'000, .output = 10, .cache_write = 20'000, .cache_write_1h = 20'000},
             ServiceTier::kStandard,
             (230'000 * 6.0 + 20'000 * 12.0 + 10 * 22.5) * kMillion},
        // gpt-5.6-sol: flex 2.5 / 0.25 / 3.125 / 15
        Case{"SolFlex",
             "gpt-5.6-sol-2026-06-01",
             "openai",
             {.input = 1'000, .output = 100, .cached = 200, .cache_write = 300, .reasoning = 80},
             ServiceTier::kFlex,
             (500 * 2.5 + 200 * 0.25 + 300 * 3.125 + 100 * 15) * kMillion},
        // Flex above 272k is not listed: the tier's rates (10 / 1 / 45) by the flex factor (0.5).
        Case{"SolFlexAbove272k",
             "gpt-5.6-sol",
             "openai",
             {.input = 300'000, .output = 100},
             ServiceTier::kFlex,
             (300'000 * 5.0 + 100 * 22.5) * kMillion},
        // gpt-realtime-2: 4 in, 32 audio in, 16 out, 64 audio out, 0.4 cached
        Case{"Realtime",
             "gpt-realtime-2",
             "openai",
             {.input = 100, .output = 50, .cached = 20, .input_audio = 60, .output_audio = 40},
             ServiceTier::kStandard,
             (20 * 4.0 + 60 * 32 + 20 * 0.4 + 10 * 16 + 40 * 64) * kMillion},
        // gpt-4o-transcribe: 2.5 in, also of audio, 10 out
        Case{"Transcribe",
             "gpt-4o-transcribe",
             "openai",
             {.input = 140, .output = 30, .input_audio = 140},
             ServiceTier::kStandard,
             (140 * 2.5 + 30 * 10) * kMillion},
        Case{"Embedding",
             "text-embedding-3-small",
             "azure.ai.openai",
             {.input = 1'000},
             ServiceTier::kStandard,
             1'000 * 0.02 * kMillion},
        // us.anthropic.claude-opus-5: 5.5 / 0.55 / 6.875 / 27.5, not the price of another region
        Case{"BedrockRegion",
             "us.anthropic.claude-opus-5",
             "aws.bedrock",
             {.input = 100, .output = 10, .cached = 50},
             ServiceTier::kStandard,
             (50 * 5.5 + 50 * 0.55 + 10 * 27.5) * kMillion}),
    [](const auto& test) { return test.param.name; });

constexpr std::string_view kTable = R"({
  "ranged": {"litellm_provider": "dashscope", "mode": "chat", "tiered_pricing": [
     {"range": [0, 32000], "input_cost_per_token": 1e-06, "output_cost_per_token": 4e-06},
     {"range": [32000, 128000], "input_cost_per_token": 2e-06, "output_cost_per_token": 8e-06, "cache_read_input_token_cost": 2e-07}]},
  "old": {"mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06, "input_cost_per_token_above_128k_tokens": 3e-06, "output_cost_per_token_above_128k_tokens": 6e-06},
  "drawer": {"mode": "image_generation", "output_cost_per_image": 0.04},
  "pixels": {"mode": "image_generation", "input_cost_per_pixel": 1e-08},
  "ears": {"mode": "audio_transcription", "input_cost_per_second": 0.0001, "output_cost_per_second": 0.0001},
  "voice": {"mode": "audio_speech", "input_cost_per_character": "1.5e-05"},
  "rank": {"mode": "rerank", "input_cost_per_query": 0.002},
  "fee": {"mode": "chat", "input_cost_per_request": 0.01},
  "seeker": {"mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06, "search_context_cost_per_query": {"search_context_size_low": 0.005, "search_context_size_medium": 0.008}},
  "hasty": {"mode": "chat", "input_cost_per_token": 1, "output_cost_per_token": 1, "provider_specific_entry": {"fast": 6, "us": 1.1}},
  "local": {"mode": "chat", "input_cost_per_token": 1, "output_cost_per_token": 1, "regional_processing_uplift_multiplier_eu": 1.25},
  "free": {"mode": "moderation", "input_cost_per_token": 0, "output_cost_per_token": 0},
  "nothing": {"mode": "chat", "max_tokens": 5}
})";

std::optional<double> cost(std::string_view model, const TokenCounts& tokens, const BilledUnits& units = {}) {
  static const auto table = PriceTable::parse(kTable, "test").value();
  const ModelPrice* price = table->find(model);
  return price ? cost_usd(*price, tokens, ServiceTier::kStandard, units) : std::nullopt;
}

TEST(PriceUnits, RangesHoldForTheWholeRequest) {
  EXPECT_DOUBLE_EQ(cost("ranged", {.input = 32'000, .output = 10}).value(), 0.032 + 0.00004);
  EXPECT_DOUBLE_EQ(cost("ranged", {.input = 32'001, .output = 10, .cached = 1}).value(),
                   0.064 + 2e-07 + 0.00008);
  EXPECT_DOUBLE_EQ(cost("old", {.input = 128'001, .output = 1}).value(), 128'001 * 3e-06 + 6e-06);
}

TEST(PriceUnits, WhatIsNotBilledByToken) {
  EXPECT_DOUBLE_EQ(cost("drawer", {}, {.images = 3}).value(), 0.12);
  EXPECT_DOUBLE_EQ(cost("pixels", {}, {.images = 2, .pixels = 1'000'000}).value(), 0.02);
  EXPECT_FALSE(cost("pixels", {}, {.images = 2}));
  EXPECT_DOUBLE_EQ(cost("ears", {}, {.seconds = 90.5}).value(), 0.00905);
  EXPECT_DOUBLE_EQ(cost("voice", {}, {.characters = 200}).value(), 0.003);
  EXPECT_DOUBLE_EQ(cost("rank", {}, {.queries = 3}).value(), 0.006);
  EXPECT_DOUBLE_EQ(cost("fee", {.input = 5, .output = 5}).value(), 0.01);
  EXPECT_DOUBLE_EQ(cost("free", {.input = 5}).value(), 0);
}

TEST(PriceUnits, FeesAndFactors) {
  EXPECT_DOUBLE_EQ(cost("seeker", {.input = 1'000, .output = 0}, {.searches = 2}).value(), 0.001 + 0.016);
  EXPECT_DOUBLE_EQ(cost("hasty", {.input = 2, .output = 3}, {.fast = true}).value(), 30);
  EXPECT_DOUBLE_EQ(
      cost("hasty", {.input = 2, .output = 3}, {.fast = true, .region = BilledUnits::Region::kUs}).value(),
      33);
  EXPECT_DOUBLE_EQ(cost("local", {.input = 2, .output = 2}, {.region = BilledUnits::Region::kEu}).value(), 5);
}

TEST(PriceRules, TheUsersFactorsBeatThePublishedOnes) {
  const auto factor = [](const PriceRules& rules, std::string_view provider, ServiceTier tier) {
    return rules.class_factor(provider, tier).value_or(-1);
  };
  const PriceRules shipped;
  EXPECT_EQ(factor(shipped, "openai", ServiceTier::kStandard), 1);
  EXPECT_EQ(factor(shipped, "openai", ServiceTier::kBatch), 0.5);
  EXPECT_EQ(factor(shipped, "openai", ServiceTier::kFlex), 0.5);
  EXPECT_EQ(factor(shipped, "groq", ServiceTier::kFlex), 1);
  // A premium without a number.
  EXPECT_EQ(factor(shipped, "aws.bedrock", ServiceTier::kPriority), -1);
  EXPECT_EQ(factor(shipped, "openai", ServiceTier::kPriority), -1);
  const PriceRules own{.batch_factor = 0.4,
                       .tier_factors = {{"flex", 0.7}, {"openai/flex", 0.6}, {"openai/priority", 2}},
                       .discounts = {{"openai", 0.25}}};
  EXPECT_EQ(factor(own, "openai", ServiceTier::kBatch), 0.4);
  EXPECT_EQ(factor(own, "openai", ServiceTier::kFlex), 0.6);
  EXPECT_EQ(factor(own, "groq", ServiceTier::kFlex), 0.7);
  EXPECT_EQ(factor(own, "openai", ServiceTier::kPriority), 2);
  EXPECT_EQ(factor(own, "groq", ServiceTier::kPriority), -1);
  EXPECT_EQ(own.paid("openai"), 0.75);
  EXPECT_EQ(own.paid("groq"), 1);
}

TEST(PriceTable, SaysOfWhichDayItIs) {
  constexpr std::string_view kModel = R"("m": {"input_cost_per_token": 1})";
  const auto updated = [&](std::string_view version, std::optional<int64_t> file = {}) {
    const std::string spec = R"({"sample_spec": {"table_version": ")" + std::string(version) + "\"}, ";
    return PriceTable::parse((version.empty() ? "{" : spec) + std::string(kModel) + "}", "test", "file", file)
        .value()
        ->updated_s()
        .value_or(-1);
  };
  EXPECT_EQ(updated("2026-11-21"), 1795219200);
  EXPECT_EQ(updated("2026-11-21", 5), 1795219200);
  EXPECT_EQ(updated("spring", 5), 5);
  EXPECT_EQ(updated("", 5), 5);
  EXPECT_EQ(updated(""), -1);
  EXPECT_GT(PriceTable::builtin().value()->updated_s().value_or(0), 1'790'000'000);
}

TEST(PriceUnits, WhatIsNotListedIsNotFree) {
  EXPECT_FALSE(cost("drawer", {}, {.seconds = 5}));
  EXPECT_FALSE(cost("local", {.input = 2, .output = 2}, {.fast = true}));
  EXPECT_FALSE(cost("local", {.input = 2, .output = 2}, {.searches = 1}));
  EXPECT_FALSE(cost("drawer", {.input = 2, .output = 2}));
  EXPECT_FALSE(cost("nothing", {.input = 2, .output = 2}));
}

}  // namespace
}  // namespace llmtap
