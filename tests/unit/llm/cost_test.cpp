// SPDX-License-Identifier: Apache-2.0
#include "llm/cost.h"

#include <gtest/gtest.h>

namespace llmtap {
namespace {

// USD per token in whole numbers, so that the expected sums can be read.
ModelPrice model() {
  ModelPrice price;
  price.mode = "chat";
  price.rates[0] = {.input = 10, .output = 100, .cache_read = 1, .cache_write = 12, .cache_write_1h = 20};
  return price;
}
size_t index(ServiceTier service) { return static_cast<size_t>(service); }

struct Case {
  const char* name;
  TokenCounts tokens;
  std::optional<double> usd;
};
class Cost : public ::testing::TestWithParam<Case> {};
TEST_P(Cost, AddsUp) {
  const auto usd = cost_usd(model(), GetParam().tokens);
  ASSERT_EQ(usd.has_value(), GetParam().usd.has_value());
  if (usd) {
    EXPECT_DOUBLE_EQ(*usd, *GetParam().usd);
  }
}
INSTANTIATE_TEST_SUITE_P(
    Cases, Cost,
    ::testing::Values(
        Case{"Plain", {.input = 5, .output = 2}, 250.0}, Case{"Nothing", {.input = 0, .output = 0}, 0.0},
        Case{"Cached", {.input = 5, .output = 2, .cached = 4}, 10 + 4 + 200.0},
        Case{"Written",
             {.input = 5, .output = 2, .cached = 1, .cache_write = 3, .cache_write_1h = 2},
             10 + 1 + 12 + 40 + 200.0},
        Case{"Only1hReported", {.input = 5, .output = 0, .cache_write_1h = 2}, 30 + 40.0},
        Case{"ReasoningAtOutputRate", {.input = 0, .output = 5, .reasoning = 3}, 500.0},
        Case{"AudioWithoutRateIsText", {.input = 5, .output = 5, .input_audio = 2, .output_audio = 5}, 550.0},
        Case{"NoInput", {.output = 2}, std::nullopt}, Case{"NoOutput", {.input = 2}, std::nullopt},
        Case{"MoreCachedThanInput", {.input = 2, .output = 1, .cached = 3}, std::nullopt},
        Case{"MoreWrittenThanInput", {.input = 2, .output = 1, .cached = 1, .cache_write = 2}, std::nullopt},
        Case{"MoreReasoningThanOutput", {.input = 2, .output = 1, .reasoning = 2}, std::nullopt}),
    [](const auto& test) { return test.param.name; });

TEST(Cost, UsesOwnRatesOfReasoningAudioAndRequest) {
  ModelPrice price = model();
  price.rates[0].reasoning = 50;
  price.rates[0].input_audio = 30;
  price.rates[0].output_audio = 200;
  price.per_request_usd = 7;
  const TokenCounts tokens{
      .input = 5, .output = 6, .cached = 1, .reasoning = 2, .input_audio = 2, .output_audio = 3};
  EXPECT_DOUBLE_EQ(cost_usd(price, tokens).value(), 2 * 10 + 2 * 30 + 1 + 1 * 100 + 3 * 200 + 2 * 50 + 7.0);
}

TEST(Cost, UnlistedCacheRatesAreTheInputRate) {
  ModelPrice price = model();
  price.rates[0].cache_read = price.rates[0].cache_write = price.rates[0].cache_write_1h = std::nullopt;
  EXPECT_DOUBLE_EQ(
      cost_usd(price, {.input = 6, .output = 0, .cached = 1, .cache_write = 2, .cache_write_1h = 1}).value(),
      60);
}

TEST(Cost, AnHourOfCacheFollowsFiveMinutes) {
  ModelPrice price = model();
  price.rates[0].cache_write_1h = std::nullopt;
  EXPECT_DOUBLE_EQ(
      cost_usd(price, {.input = 10, .output = 0, .cache_write = 10, .cache_write_1h = 5}).value(),
      5 * 12 + 5 * 12 * 1.6);
}

TEST(Cost, AMissingRateMakesTheCostUnknown) {
  ModelPrice price = model();
  price.rates[0].output = std::nullopt;
  EXPECT_FALSE(cost_usd(price, {.input = 1, .output = 1}));
  EXPECT_DOUBLE_EQ(cost_usd(price, {.input = 1, .output = 0}).value(), 10);
}

TEST(Cost, EmbeddingsHaveNoOutput) {
  ModelPrice price = model();
  price.mode = "embedding";
  EXPECT_DOUBLE_EQ(cost_usd(price, {.input = 3}).value(), 30);
}

TEST(Cost, AContextTierHoldsForTheWholeRequest) {
  ModelPrice price = model();
  price.tiers.resize(2);
  price.tiers[0] = {.above_tokens = 10, .rates = {{{.input = 20, .output = 150}}}};
  price.tiers[1] = {.above_tokens = 20, .rates = {{{.input = 30}}}};
  EXPECT_DOUBLE_EQ(cost_usd(price, {.input = 10, .output = 1}).value(), 200);
  EXPECT_DOUBLE_EQ(cost_usd(price, {.input = 11, .output = 1}).value(), 11 * 20 + 150);
  // Unlisted cache rates follow the input rate: twice as dear here.
  EXPECT_DOUBLE_EQ(cost_usd(price, {.input = 11, .output = 1, .cached = 10}).value(), 20 + 10 * 2 + 150);
  // An unlisted output rate follows the input rate.
  EXPECT_DOUBLE_EQ(cost_usd(price, {.input = 21, .output = 1}).value(), 21 * 30 + 300);
}

TEST(Cost, ServiceClasses) {
  ModelPrice price = model();
  const TokenCounts tokens{.input = 10, .output = 1, .cached = 5};
  EXPECT_DOUBLE_EQ(cost_usd(price, tokens, ServiceTier::kBatch, {}, 0.5).value(), (50 + 5 + 100) / 2.0);
  EXPECT_DOUBLE_EQ(cost_usd(price, tokens, ServiceTier::kFlex, {}, 1).value(), 155);
  // Neither a rate nor a factor: not the standard price, and not nothing.
  EXPECT_FALSE(cost_usd(price, tokens, ServiceTier::kPriority));
  price.rates[index(ServiceTier::kFlex)] = {.input = 5, .output = 60, .cache_read = 0.25};
  EXPECT_DOUBLE_EQ(cost_usd(price, tokens, ServiceTier::kFlex).value(), 5 * 5 + 5 * 0.25 + 60);
  price.rates[index(ServiceTier::kPriority)] = {.input = 20, .output = 200};
  EXPECT_DOUBLE_EQ(cost_usd(price, tokens, ServiceTier::kPriority).value(), 310);

  price.tiers.push_back({.above_tokens = 9, .rates = {{{.input = 20, .output = 100}}}});
  EXPECT_DOUBLE_EQ(cost_usd(price, tokens, ServiceTier::kPriority).value(), 5 * 40 + 5 * 4 + 200);
  price.tiers[0].rates[index(ServiceTier::kPriority)] = {.input = 30, .output = 300, .cache_read = 3};
  EXPECT_DOUBLE_EQ(cost_usd(price, tokens, ServiceTier::kPriority).value(), 5 * 30 + 5 * 3 + 300);
}

}  // namespace
}  // namespace llmtap
