// SPDX-License-Identifier: Apache-2.0
#include "llm/route_table.h"

#include <algorithm>

#include "base/ascii.h"

namespace llmtap {

namespace {

constexpr Context kApi = Context::kApi;
constexpr Context kAny = Context::kAny;

// clang-format off
constexpr RouteRow kRows[] = {
    // Azure: the deployment in the path.
    {"", "/openai/deployments/{d}/chat/completions", "/openai/deployments/{d}/chat/completions", "chat", "openai_chat", kAny, true},
    {"", "/openai/deployments/{d}/completions", "/openai/deployments/{d}/completions", "text_completion", "openai_text", kAny, true},
    {"", "/openai/deployments/{d}/embeddings", "/openai/deployments/{d}/embeddings", "embeddings", "openai_embeddings", kAny, true},
    {"", "/openai/deployments/{d}/images/generations", "/openai/deployments/{d}/images/generations", "image_generation", "openai_image", kAny, true},
    {"", "/openai/deployments/{d}/images/edits", "/openai/deployments/{d}/images/edits", "image_generation", "openai_image", kAny, true},
    {"", "/openai/deployments/{d}/audio/transcriptions", "/openai/deployments/{d}/audio/transcriptions", "audio_transcription", "openai_audio", kAny, true},
    {"", "/openai/deployments/{d}/audio/translations", "/openai/deployments/{d}/audio/translations", "audio_transcription", "openai_audio", kAny, true},
    {"", "/openai/deployments/{d}/audio/speech", "/openai/deployments/{d}/audio/speech", "audio_speech", "openai_audio", kAny, true},
    // OpenAI and everything shaped like it.
    {"POST", "/chat/completions", "/v1/chat/completions", "chat", "openai_chat", kAny, true},
    {"other", "/chat/completions", "/v1/chat/completions", "other", "openai_management", kAny},
    {"POST", "/fim/completions", "/v1/fim/completions", "text_completion", "openai_text", kAny, true},
    {"POST", "/agents/completions", "/v1/agents/completions", "chat", "openai_chat", kAny, true},
    // DeepSeek's, and the model inference API of Azure.
    {"POST", "/beta/completions", "/v1/completions", "text_completion", "openai_text", kAny, true},
    {"POST", "/models/embeddings", "/v1/embeddings", "embeddings", "openai_embeddings", kAny, true},
    {"POST", "/completions", "/v1/completions", "text_completion", "openai_text", kApi, true},
    {"POST", "/responses/compact", "/v1/responses/compact", "responses", "openai_responses", kApi, true},
    {"POST", "/responses/input_tokens", "/v1/responses/input_tokens", "count_tokens", "openai_responses", kApi},
    {"POST", "/responses/{id}/cancel", "/v1/responses/{id}/cancel", "responses", "openai_responses", kApi},
    {"other", "/responses/{id}/input_items", "/v1/responses/{id}/input_items", "responses", "openai_responses", kApi},
    {"other", "/responses/{id}", "/v1/responses/{id}", "responses", "openai_responses", kApi},
    {"POST", "/responses", "/v1/responses", "responses", "openai_responses", kApi, true},
    {"other", "/responses", "/v1/responses#ws", "responses", "openai_responses", kApi, true},
    {"POST", "/embeddings", "/v1/embeddings", "embeddings", "openai_embeddings", kApi, true},
    {"POST", "/images/generations", "/v1/images/generations", "image_generation", "openai_image", kAny, true},
    {"POST", "/images/edits", "/v1/images/edits", "image_generation", "openai_image", kApi, true},
    {"POST", "/images/variations", "/v1/images/variations", "image_generation", "openai_image", kApi, true},
    {"POST", "/audio/transcriptions", "/v1/audio/transcriptions", "audio_transcription", "openai_audio", kAny, true},
    {"POST", "/audio/translations", "/v1/audio/translations", "audio_transcription", "openai_audio", kAny, true},
    {"POST", "/audio/speech", "/v1/audio/speech", "audio_speech", "openai_audio", kAny, true},
    {"POST", "/moderations", "/v1/moderations", "moderation", "openai_moderation", kApi, true},
    {"other", "/realtime", "/v1/realtime", "realtime", "openai_realtime", kApi, true},
    {"other", "/openai/realtime", "/v1/realtime", "realtime", "openai_realtime", kAny, true},
    // Anthropic.
    {"POST", "/messages/count_tokens", "/v1/messages/count_tokens", "count_tokens", "anthropic", kApi},
    {"", "/messages/batches/{id}/cancel", "/v1/messages/batches/{id}/cancel", "batches", "anthropic", kApi},
    {"", "/messages/batches/{id}/results", "/v1/messages/batches/{id}/results", "batches", "anthropic", kApi},
    {"", "/messages/batches/{id}", "/v1/messages/batches/{id}", "batches", "anthropic", kApi},
    {"", "/messages/batches", "/v1/messages/batches", "batches", "anthropic", kApi},
    {"POST", "/messages", "/v1/messages", "messages", "anthropic", kApi, true},
    // Gemini interactions.
    {"POST", "/{v}/interactions/{id}/cancel", "/v1beta/interactions/{id}/cancel", "generate_content", "gemini_interactions", kAny},
    {"other", "/{v}/interactions/{id}", "/v1beta/interactions/{id}", "generate_content", "gemini_interactions", kAny},
    {"POST", "/{v}/interactions", "/v1beta/interactions", "generate_content", "gemini_interactions", kAny, true},
    // Bedrock.
    {"POST", "/model/{m}/converse", "/model/{m}/converse", "converse", "bedrock_converse", kAny, true},
    {"POST", "/model/{m}/converse-stream", "/model/{m}/converse-stream", "converse", "bedrock_converse", kAny, true, true},
    {"POST", "/model/{m}/invoke", "/model/{m}/invoke", "chat", "bedrock_invoke", kAny, true},
    {"POST", "/model/{m}/invoke-with-response-stream", "/model/{m}/invoke-with-response-stream", "chat", "bedrock_invoke", kAny, true, true},
    {"POST", "/model/{m}/invoke-with-bidirectional-stream", "/model/{m}/invoke-with-bidirectional-stream", "realtime", "bedrock_invoke", kAny, true, true},
    {"POST", "/model/{m}/count-tokens", "/model/{m}/count-tokens", "count_tokens", "bedrock_converse", kAny},
    // Ollama.
    {"POST", "/api/chat", "/api/chat", "chat", "ollama", kAny, true},
    {"POST", "/api/generate", "/api/generate", "text_completion", "ollama", kAny, true},
    {"POST", "/api/embed", "/api/embed", "embeddings", "ollama", kAny, true},
    {"POST", "/api/embeddings", "/api/embeddings", "embeddings", "ollama", kAny, true},
    {"other", "/api/tags", "/api/tags", "models", "ollama", kAny},
    // LM Studio.
    {"POST", "/api/v1/chat", "/api/v1/chat", "chat", "lm_studio", kAny, true},
    // Cohere.
    {"POST", "/v2/chat", "/v2/chat", "chat", "cohere", kAny, true},
    {"POST", "/v2/embed", "/v2/embed", "embeddings", "cohere", kAny, true},
    {"POST", "/v2/rerank", "/v2/rerank", "rerank", "cohere", kAny, true},
    {"POST", "/v1/chat", "/v1/chat", "chat", "cohere", kAny, true},
    {"POST", "/v1/generate", "/v1/generate", "text_completion", "cohere", kAny, true},
    {"POST", "/v1/embed", "/v1/embed", "embeddings", "cohere", kAny, true},
    {"POST", "/rerank", "/v1/rerank", "rerank", "rerank", kApi, true},
    {"POST", "/v1/score", "/v1/score", "rerank", "rerank", kAny, true},
    // DashScope's own API.
    {"POST", "/services/aigc/{task}/{fn}", "/api/v1/services/aigc/{task}/{fn}", "chat", "dashscope", kAny, true},
    {"POST", "/services/embeddings/{task}/{fn}", "/api/v1/services/embeddings/{task}/{fn}", "embeddings", "dashscope", kAny, true},
    // Triton, before TGI's shorter names.
    {"POST", "/v2/models/{m}/versions/{n}/generate", "/v2/models/{m}/versions/{n}/generate", "text_completion", "triton", kAny, true},
    {"POST", "/v2/models/{m}/versions/{n}/generate_stream", "/v2/models/{m}/versions/{n}/generate_stream", "text_completion", "triton", kAny, true, true},
    {"POST", "/v2/models/{m}/versions/{n}/infer", "/v2/models/{m}/versions/{n}/infer", "text_completion", "triton", kAny, true},
    {"POST", "/v2/models/{m}/generate", "/v2/models/{m}/generate", "text_completion", "triton", kAny, true},
    {"POST", "/v2/models/{m}/generate_stream", "/v2/models/{m}/generate_stream", "text_completion", "triton", kAny, true, true},
    {"POST", "/v2/models/{m}/infer", "/v2/models/{m}/infer", "text_completion", "triton", kAny, true},
    // TGI, SGLang, llama.cpp.
    {"POST", "/generate", "/generate", "text_completion", "generate", kApi, true},
    {"POST", "/generate_stream", "/generate_stream", "text_completion", "generate", kApi, true, true},
    {"POST", "/completion", "/completion", "text_completion", "llama_cpp", kApi, true},
    {"POST", "/infill", "/infill", "text_completion", "llama_cpp", kApi, true},
    {"", "/mcp", "/mcp", "mcp", "mcp", kAny},
};

constexpr GoogleVerb kVerbs[] = {
    {"generateContent", "generate_content", "gemini", true, false},
    {"streamGenerateContent", "generate_content", "gemini", true, true},
    {"countTokens", "count_tokens", "gemini", false, false},
    {"embedContent", "embeddings", "gemini", true, false},
    {"batchEmbedContents", "embeddings", "gemini", true, false},
    {"batchGenerateContent", "batches", "gemini", false, false},
    {"asyncBatchEmbedContent", "batches", "gemini", false, false},
    {"predict", "generate_content", "gemini", true, false},
    {"predictLongRunning", "generate_content", "gemini", true, false},
    {"rawPredict", "messages", "anthropic", true, false},
    {"streamRawPredict", "messages", "anthropic", true, true},
};

constexpr Collection kCollections[] = {
    {"files", "/v1", "files", "openai_management"},          {"uploads", "/v1", "files", "openai_management"},
    {"batches", "/v1", "batches", "openai_management"},      {"models", "/v1", "models", "openai_management"},
    {"vector_stores", "/v1", "other", "openai_management"},  {"fine_tuning", "/v1", "other", "openai_management"},
    {"evals", "/v1", "other", "openai_management"},          {"containers", "/v1", "other", "openai_management"},
    {"videos", "/v1", "other", "openai_management"},         {"threads", "/v1", "other", "openai_management"},
    {"assistants", "/v1", "other", "openai_management"},     {"conversations", "/v1", "other", "openai_management"},
};
// clang-format on

constexpr std::string_view kWords[] = {
    "items",        "cancel",  "content",  "results", "files",       "file_batches",
    "search",       "jobs",    "events",   "runs",    "checkpoints", "steps",
    "messages",     "parts",   "complete", "remix",   "permissions", "submit_tool_outputs",
    "output_items", "batches", "pause",    "resume"};
constexpr std::string_view kPrefixes[] = {"openai",    "anthropic", "codex",
                                          "inference", "compat",    "compatible-mode"};

}  // namespace

std::span<const RouteRow> route_rows() { return kRows; }

const GoogleVerb* google_verb(std::string_view verb) {
  const auto* at = std::ranges::find(kVerbs, verb, &GoogleVerb::name);
  return at == std::end(kVerbs) ? nullptr : at;
}

const Collection* collection_named(std::string_view segment) {
  const auto* at = std::ranges::find(kCollections, segment, &Collection::name);
  return at == std::end(kCollections) ? nullptr : at;
}

bool is_collection_word(std::string_view segment) {
  return std::ranges::find(kWords, segment) != std::end(kWords);
}

bool is_api_version(std::string_view segment) {
  if (segment.size() < 2 || segment.size() > 10 || segment[0] != 'v' || !is_digit(segment[1])) return false;
  std::string_view rest =
      segment.substr(std::min(segment.find_first_not_of("0123456789", 1), segment.size()));
  if (rest.starts_with("alpha"))
    rest.remove_prefix(5);
  else if (rest.starts_with("beta"))
    rest.remove_prefix(4);
  return std::ranges::all_of(rest, is_digit);
}

bool is_api_prefix(std::string_view segment) {
  return std::ranges::find(kPrefixes, segment) != std::end(kPrefixes);
}

}  // namespace llmtap
