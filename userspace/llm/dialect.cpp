// SPDX-License-Identifier: Apache-2.0
#include "llm/dialect.h"

namespace llmtap {
namespace {

struct DialectRow {
  Dialect dialect;
  std::string_view name;
  std::string_view operation;
};

constexpr DialectRow kDialects[] = {
    {Dialect::kNone, "", "other"},
    {Dialect::kOpenAiChat, "openai_chat", "chat"},
    {Dialect::kOpenAiCompletions, "openai_completions", "text_completion"},
    {Dialect::kOpenAiResponses, "openai_responses", "responses"},
    {Dialect::kOpenAiEmbeddings, "openai_embeddings", "embeddings"},
    {Dialect::kAnthropicMessages, "anthropic_messages", "messages"},
    {Dialect::kGeminiGenerate, "gemini_generate", "generate_content"},
    {Dialect::kOllamaChat, "ollama_chat", "chat"},
    {Dialect::kOllamaGenerate, "ollama_generate", "text_completion"},
    {Dialect::kBedrockConverse, "bedrock_converse", "converse"},
    {Dialect::kCohereChat, "cohere_chat", "chat"},
    {Dialect::kBedrockInvoke, "bedrock_invoke", "chat"},
    {Dialect::kGeminiInteractions, "gemini_interactions", "generate_content"},
    {Dialect::kDashScope, "dashscope", "chat"},
    {Dialect::kTgi, "tgi", "text_completion"},
    {Dialect::kSglang, "sglang", "text_completion"},
    {Dialect::kLlamaCpp, "llama_cpp", "text_completion"},
    {Dialect::kTriton, "triton", "text_completion"},
    {Dialect::kLmStudio, "lm_studio", "chat"},
    {Dialect::kOpenAiImages, "openai_images", "image_generation"},
    {Dialect::kOpenAiAudio, "openai_audio", "audio_transcription"},
    {Dialect::kMcp, "mcp", "mcp"},
};

struct FamilyRow {
  std::string_view family;
  std::string_view operation;  // empty: any
  std::string_view route_end;  // empty: any
  Dialect dialect;
};

constexpr FamilyRow kFamilies[] = {
    {"openai_chat", "", "", Dialect::kOpenAiChat},
    {"openai_text", "", "", Dialect::kOpenAiCompletions},
    {"openai_responses", "", "", Dialect::kOpenAiResponses},
    {"openai_embeddings", "", "", Dialect::kOpenAiEmbeddings},
    {"anthropic", "", "", Dialect::kAnthropicMessages},
    {"gemini", "", "", Dialect::kGeminiGenerate},
    {"ollama", "", "/api/chat", Dialect::kOllamaChat},
    {"ollama", "", "/api/generate", Dialect::kOllamaGenerate},
    {"bedrock_converse", "", "", Dialect::kBedrockConverse},
    {"cohere", "chat", "", Dialect::kCohereChat},
    {"gemini_interactions", "", "", Dialect::kGeminiInteractions},
    {"dashscope", "chat", "", Dialect::kDashScope},
    {"triton", "", "", Dialect::kTriton},
    {"llama_cpp", "", "", Dialect::kLlamaCpp},
    {"lm_studio", "", "", Dialect::kLmStudio},
    {"openai_image", "", "", Dialect::kOpenAiImages},
    {"openai_audio", "", "", Dialect::kOpenAiAudio},
};

}  // namespace

std::string_view dialect_name(Dialect dialect) { return kDialects[static_cast<size_t>(dialect)].name; }

std::optional<Dialect> dialect_named(std::string_view name) {
  for (const DialectRow& row : kDialects)
    if (!name.empty() && row.name == name) return row.dialect;
  return std::nullopt;
}

std::string dialect_names() {
  std::string names;
  for (const DialectRow& row : kDialects)
    if (!row.name.empty()) names.append(names.empty() ? "" : ", ").append(row.name);
  return names;
}

std::string_view dialect_operation(Dialect dialect) {
  return kDialects[static_cast<size_t>(dialect)].operation;
}

Dialect dialect_of_family(std::string_view family, std::string_view operation, std::string_view route) {
  for (const FamilyRow& row : kFamilies)
    if (row.family == family && (row.operation.empty() || row.operation == operation) &&
        (row.route_end.empty() || route.ends_with(row.route_end)))
      return row.dialect;
  return Dialect::kNone;
}

bool is_openai_shape(Dialect dialect) {
  return dialect == Dialect::kOpenAiChat || dialect == Dialect::kOpenAiCompletions ||
         dialect == Dialect::kOpenAiResponses || dialect == Dialect::kOpenAiEmbeddings;
}

}  // namespace llmtap
