// SPDX-License-Identifier: Apache-2.0
#include "llm/prices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

namespace llmtap {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kTable = R"({
  "sample_spec": {"table_version": "2026-05-04", "input_cost_per_token": 9},
  "gpt-5.5": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": "5e-06",
              "output_cost_per_token": 3e-05, "cache_read_input_token_cost": null, "supports_vision": true,
              "input_cost_per_token_above_272k_tokens": 1e-05, "input_cost_per_token_flex": 2.5e-06,
              "input_cost_per_token_above_272k_tokens_flex": 5e-06, "output_cost_per_token_batches": 1.5e-05,
              "cache_creation_input_token_cost_above_1hr": 8e-06,
              "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 9e-06},
  "gpt-3.5-turbo": {"input_cost_per_token": 5e-07, "output_cost_per_token": 1.5e-06},
  "claude-sonnet-4-5-20250929": {"input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05},
  "claude-haiku-4-5": {"input_cost_per_token": 1e-06, "output_cost_per_token": 5e-06},
  "groq/openai/gpt-oss-120b": {"input_cost_per_token": 1.5e-07, "output_cost_per_token": 6e-07},
  "amazon.nova-micro-v1:0": {"input_cost_per_token": 3.5e-08, "output_cost_per_token": 1.4e-07},
  "dall-e-3": {"mode": "image_generation", "input_cost_per_image": 0.04},
  "broken": 7
})";

std::shared_ptr<const PriceTable> table() { return PriceTable::parse(kTable, "test").value(); }

TEST(PriceTable, ReadsNumbersStringsNullsTiersAndServices) {
  const auto prices = table();
  EXPECT_EQ(prices->version(), "2026-05-04");
  EXPECT_EQ(prices->size(), 7u);
  EXPECT_EQ(prices->skipped(), 1u);
  const ModelPrice* price = prices->find("gpt-5.5");
  ASSERT_NE(price, nullptr);
  EXPECT_EQ(price->mode, "chat");
  EXPECT_DOUBLE_EQ(price->rates[0].input.value(), 5e-06);
  EXPECT_FALSE(price->rates[0].cache_read);
  EXPECT_DOUBLE_EQ(price->rates[0].cache_write_1h.value(), 8e-06);
  EXPECT_DOUBLE_EQ(price->rates[static_cast<size_t>(ServiceTier::kFlex)].input.value(), 2.5e-06);
  EXPECT_DOUBLE_EQ(price->rates[static_cast<size_t>(ServiceTier::kBatch)].output.value(), 1.5e-05);
  ASSERT_EQ(price->tiers.size(), 2u);
  EXPECT_EQ(price->tiers[0].above_tokens, 200'000u);
  EXPECT_DOUBLE_EQ(price->tiers[0].rates[0].cache_write_1h.value(), 9e-06);
  EXPECT_EQ(price->tiers[1].above_tokens, 272'000u);
  EXPECT_DOUBLE_EQ(price->tiers[1].rates[0].input.value(), 1e-05);
  EXPECT_DOUBLE_EQ(price->tiers[1].rates[static_cast<size_t>(ServiceTier::kFlex)].input.value(), 5e-06);
}

struct LookupCase {
  std::string_view model, provider, key;  // key empty: unknown
};
class Lookup : public ::testing::TestWithParam<LookupCase> {};
TEST_P(Lookup, Finds) {
  const auto prices = table();
  const ModelPrice* price = prices->find(GetParam().model, GetParam().provider);
  EXPECT_EQ(price ? price->key : "", GetParam().key) << GetParam().model;
}
INSTANTIATE_TEST_SUITE_P(
    Cases, Lookup,
    ::testing::Values(
        LookupCase{"gpt-5.5", "openai", "gpt-5.5"},                             // exact
        LookupCase{"openai/gpt-oss-120b", "groq", "groq/openai/gpt-oss-120b"},  // prefix of provider
        LookupCase{"openai/gpt-oss-120b", "", ""},                              // whose?
        LookupCase{"openai/gpt-5.5", "", "gpt-5.5"}, LookupCase{"gpt-5.5-2026-04-24", "openai", "gpt-5.5"},
        LookupCase{"gpt-5.5-20260424", "openai", "gpt-5.5"}, LookupCase{"gpt-5.5-0424", "openai", "gpt-5.5"},
        LookupCase{"gpt-5.5-latest", "openai", "gpt-5.5"}, LookupCase{"gpt-5.5:free", "", "gpt-5.5"},
        LookupCase{"claude-haiku-4-5@20251001", "vertex_ai", "claude-haiku-4-5"},
        LookupCase{"us.amazon.nova-micro-v1:0", "bedrock", "amazon.nova-micro-v1:0"},
        LookupCase{"gpt-5.5-codex", "openai", "gpt-5.5"},  // longest prefix
        LookupCase{"gpt-35-turbo", "azure", "gpt-3.5-turbo"},
        LookupCase{"gpt-5.5-mini", "openai", ""},  // another model, not a release
        LookupCase{"gpt-5.5-codex-mini", "openai", ""}, LookupCase{"gpt-5.5-1", "openai", ""},
        LookupCase{"gpt-5", "openai", ""}, LookupCase{"dall-e-3", "openai", "dall-e-3"},
        LookupCase{"sample_spec", "", ""}, LookupCase{"", "", ""}, LookupCase{"-", "", ""},
        LookupCase{"my-deployment", "azure", ""}));

TEST(PriceTable, PrefersTheResponseModel) {
  const auto prices = table();
  EXPECT_EQ(prices->find("claude-haiku-4-5", "gpt-5.5", "")->key, "claude-haiku-4-5");
  EXPECT_EQ(prices->find("", "gpt-5.5", "")->key, "gpt-5.5");
  EXPECT_EQ(prices->find("alias", "gpt-5.5", "")->key, "gpt-5.5");
  EXPECT_EQ(prices->find("alias", "other", ""), nullptr);
}

TEST(PriceTable, NamesTheFileAndTheRemedyWhenItIsMalformed) {
  for (const std::string_view text : {"", "{", "[]", "{}", R"({"m": {}})", "\xff\xfe"}) {
    const auto result = PriceTable::parse(text, "price table /p.json");
    ASSERT_FALSE(result.has_value()) << text;
    EXPECT_THAT(result.error().message, HasSubstr("/p.json"));
    EXPECT_THAT(result.error().hint, HasSubstr("LiteLLM"));
  }
  const auto comma = PriceTable::parse("{\n \"a\": {},\n \"b\": 1,,\n}", "price table /p.json");
  ASSERT_FALSE(comma.has_value());
  EXPECT_EQ(comma.error().message, "price table /p.json:3:9: not valid JSON");
  const auto missing = PriceTable::load("/nonexistent/prices.json");
  ASSERT_FALSE(missing.has_value());
  EXPECT_THAT(missing.error().message, HasSubstr("/nonexistent/prices.json: No such file"));
  EXPECT_FALSE(missing.error().hint.empty());
  EXPECT_FALSE(PriceTable::load("/").has_value());
}

TEST(PriceTable, LoadsAFileAndFallsBackToItsDate) {
  const std::string path = ::testing::TempDir() + "llmtap_prices_test.json";
  std::ofstream(path) << R"({"m": {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}})";
  const auto result = PriceTable::load(path);
  std::remove(path.c_str());
  ASSERT_TRUE(result.has_value()) << result.error().message;
  EXPECT_THAT((*result)->version(), ::testing::MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}"));
}

TEST(PriceTable, BuiltinTableIsWhole) {
  const auto result = PriceTable::builtin();
  ASSERT_TRUE(result.has_value()) << result.error().message;
  EXPECT_EQ((*result)->skipped(), 0u);
  EXPECT_GE((*result)->size(), 60u);
  EXPECT_EQ((*result)->version(), "2026-11-21");
  for (const std::string_view model :
       {"gpt-5.5", "claude-haiku-5-5", "gemini-2.5-pro", "gpt-4o-mini-2024-07-18"})
    EXPECT_NE((*result)->find(model), nullptr) << model;
  EXPECT_EQ((*result)->find("deepseek-chat", "deepseek")->key, "deepseek/deepseek-chat");
}

TEST(ServiceTier, ReadsWhatProvidersSay) {
  EXPECT_EQ(service_tier_from("flex"), ServiceTier::kFlex);
  EXPECT_EQ(service_tier_from("batch"), ServiceTier::kBatch);
  EXPECT_EQ(service_tier_from("priority"), ServiceTier::kPriority);
  for (const std::string_view raw : {"", "auto", "default", "standard", "scale", "standard_only"})
    EXPECT_EQ(service_tier_from(raw), ServiceTier::kStandard) << raw;
}

// By its size, before anything is read: a file that is all hole costs nothing.
TEST(PriceTable, AFileOfMoreThan64MiBIsRefused) {
  const std::string path = ::testing::TempDir() + "llmtap_large_prices_test.json";
  constexpr uintmax_t kLargest = 64 << 20;
  const auto load = [&](uintmax_t bytes) {
    std::ofstream(path) << kTable;
    std::filesystem::resize_file(path, bytes);
    const auto result = PriceTable::load(path);
    std::remove(path.c_str());
    return result ? std::string("read") : result.error().message;
  };
  EXPECT_THAT(load(kLargest + 1), HasSubstr("larger than 64 MiB"));
  // Zeros behind a document are none of it.
  EXPECT_EQ(load(kLargest), "read");
}

}  // namespace
}  // namespace llmtap
