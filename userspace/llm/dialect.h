// SPDX-License-Identifier: Apache-2.0
// Wire shapes whose bodies we read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace llmtap {

enum class Dialect : uint8_t {
  kNone,  // named by its route only; the reply's shape may still say more
  kOpenAiChat,
  kOpenAiCompletions,
  kOpenAiResponses,
  kOpenAiEmbeddings,
  kAnthropicMessages,
  kGeminiGenerate,
  kOllamaChat,
  kOllamaGenerate,
  kBedrockConverse,
  kCohereChat,
  kBedrockInvoke,  // Titan's, Llama's, Mistral's bodies; Anthropic's are kAnthropicMessages
  kGeminiInteractions,
  kDashScope,
  kTgi,
  kSglang,
  kLlamaCpp,
  kTriton,
  kLmStudio,
  kOpenAiImages,
  kOpenAiAudio,
  kMcp,
};

// The value of LlmCall::dialect; empty for kNone.
std::string_view dialect_name(Dialect);
// The dialect of that name, and all names with commas between them.
std::optional<Dialect> dialect_named(std::string_view name);
std::string dialect_names();
// The operation of a call that only its body's shape gave away.
std::string_view dialect_operation(Dialect);
// The dialect behind a family of the route table.
Dialect dialect_of_family(std::string_view family, std::string_view operation, std::string_view route);
bool is_openai_shape(Dialect);

}  // namespace llmtap
