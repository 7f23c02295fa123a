// SPDX-License-Identifier: Apache-2.0
#include "llm/estimate.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace llmtap {

namespace {

struct Ratio {
  std::string_view name;
  double characters;
};
// Medians measured over recorded English streams.
constexpr Ratio kByProvider[] = {
    {"openai", 3.9},  {"azure", 3.9},      {"azure.ai.openai", 3.9}, {"deepseek", 4.0}, {"groq", 4.0},
    {"mistral", 3.7}, {"mistral_ai", 3.7}, {"anthropic", 3.5},       {"bedrock", 3.5},  {"aws.bedrock", 3.5}};
constexpr Ratio kByDialect[] = {{"anthropic", 3.5}, {"openai_responses", 3.9}};
constexpr double kDefault = 4.0;
constexpr double kJson = 3.0;
constexpr double kWide = 1.25;  // CJK: between 1 and 1.5 characters per token
constexpr uint64_t kPerMessage = 4;

constexpr std::string_view kChunkIsToken[] = {"vllm", "hosted_vllm", "sglang",  "tgi",       "ollama",
                                              "groq", "deepseek",    "mistral", "mistral_ai"};

bool is_wide(uint32_t c) {
  return (c >= 0x1100 && c <= 0x11FF) || (c >= 0x2E80 && c <= 0x9FFF) || (c >= 0xAC00 && c <= 0xD7AF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0xFF00 && c <= 0xFFEF) || (c >= 0x20000 && c <= 0x3FFFF);
}

double tokens_of(const TextMeter& text, double per_token) {
  return static_cast<double>(text.narrow()) / per_token + static_cast<double>(text.wide()) / kWide;
}

uint64_t rounded(double tokens) {
  return tokens > 0 ? static_cast<uint64_t>(std::max(1.0, std::round(tokens))) : 0;
}

}  // namespace

void TextMeter::add(std::string_view utf8) {
  for (const char c : utf8) {
    const auto byte = static_cast<uint8_t>(c);
    if ((byte & 0xC0) == 0x80 && continuation_left_ > 0) {
      code_point_ = code_point_ << 6 | (byte & 0x3F);
      if (--continuation_left_ == 0 && is_wide(code_point_)) --narrow_, ++wide_;
      continue;
    }
    // Counted at its first byte, so that a cut at the end loses nothing.
    ++narrow_;
    const int ones = std::countl_one(byte);
    continuation_left_ = ones >= 2 && ones <= 4 ? static_cast<uint8_t>(ones - 1) : uint8_t{0};
    code_point_ = continuation_left_ ? byte & (0x7Fu >> ones) : byte;
  }
}

double characters_per_token(std::string_view provider, std::string_view dialect) {
  for (const Ratio& row : kByProvider)
    if (row.name == provider) return row.characters;
  for (const Ratio& row : kByDialect)
    if (row.name == dialect) return row.characters;
  return kDefault;
}

uint64_t estimate_tokens(std::string_view provider, std::string_view dialect, const TextMeter& text,
                         const TextMeter& json) {
  return rounded(tokens_of(text, characters_per_token(provider, dialect)) + tokens_of(json, kJson));
}

uint64_t estimate_input_tokens(std::string_view provider, std::string_view dialect, const TextMeter& text,
                               uint64_t messages) {
  const uint64_t content = estimate_tokens(provider, dialect, text);
  return content == 0 && messages == 0 ? 0 : content + messages * kPerMessage;
}

bool chunk_is_token(std::string_view provider) {
  return std::ranges::find(kChunkIsToken, provider) != std::end(kChunkIsToken);
}

}  // namespace llmtap
