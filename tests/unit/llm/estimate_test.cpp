// SPDX-License-Identifier: Apache-2.0
#include "llm/estimate.h"

#include <gtest/gtest.h>

#include <string>

namespace llmtap {
namespace {

TextMeter meter(std::string_view text) {
  TextMeter counted;
  counted.add(text);
  return counted;
}

TEST(TextMeter, CountsTheSameHoweverItIsSplit) {
  const std::string text =
      "a\xC3\xA9\xE4\xB8\xAD\xE6\x96\x87\xF0\x9F\x98\x80\xF0\xA0\x80\x80\xEA\xB0\x80!";  // aé中文😀𠀀가!
  const TextMeter whole = meter(text);
  EXPECT_EQ(whole.characters(), 8u);
  EXPECT_EQ(whole.wide(), 4u);
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    TextMeter split;
    split.add(text.substr(0, cut));
    split.add(text.substr(cut));
    EXPECT_EQ(split.narrow(), whole.narrow()) << cut;
    EXPECT_EQ(split.wide(), whole.wide()) << cut;
  }
}

TEST(TextMeter, SurvivesBrokenText) {
  TextMeter counted = meter("\x80\xff\xE4\xB8 a\xF5\xC3");
  EXPECT_EQ(counted.wide(), 0u);
  EXPECT_EQ(counted.characters(), 7u);
  counted.reset();
  EXPECT_EQ(counted.characters(), 0u);
}

TEST(Estimate, ByProviderAndScript) {
  const std::string text(780, 'a');
  EXPECT_EQ(estimate_tokens("openai", "openai_chat", meter(text)), 200u);
  EXPECT_EQ(estimate_tokens("unknown", "", meter(text)), 195u);
  EXPECT_EQ(estimate_tokens("anthropic", "anthropic", meter(text)), 223u);
  EXPECT_EQ(estimate_tokens("unknown", "anthropic", meter(text)), 223u);
  std::string chinese;
  for (int i = 0; i < 100; ++i) chinese += "\xE4\xB8\xAD";
  EXPECT_EQ(estimate_tokens("openai", "", meter(chinese)), 80u);
  EXPECT_EQ(estimate_tokens("openai", "", {}, meter(std::string(300, '{'))), 100u);
  EXPECT_EQ(estimate_tokens("openai", "", {}), 0u);
  EXPECT_EQ(estimate_tokens("openai", "", meter("a")), 1u);
}

TEST(Estimate, InputCountsMessages) {
  EXPECT_EQ(estimate_input_tokens("groq", "", meter(std::string(400, 'a')), 3), 112u);
  EXPECT_EQ(estimate_input_tokens("groq", "", {}, 0), 0u);
}

TEST(Estimate, ChunksOfSomeServersAreTokens) {
  for (const std::string_view name : {"vllm", "ollama", "groq", "deepseek"})
    EXPECT_TRUE(chunk_is_token(name));
  for (const std::string_view name : {"openai", "anthropic", "gemini", "openrouter", ""})
    EXPECT_FALSE(chunk_is_token(name));
}

}  // namespace
}  // namespace llmtap
