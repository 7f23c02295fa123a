// SPDX-License-Identifier: Apache-2.0
// Where each provider puts its token counts.
#include <string>
#include <utility>
#include <vector>

#include "llm/body_fields.h"

namespace llmtap {
namespace {

struct UsageRow {
  std::string_view path;
  Usage field;
};

// Below each place where a usage object lies.
constexpr UsageRow kUsageRows[] = {
    {"prompt_tokens", Usage::kPrompt},
    {"completion_tokens", Usage::kCompletion},
    {"total_tokens", Usage::kTotal},
    {"input_tokens", Usage::kInput},
    {"output_tokens", Usage::kOutput},
    {"prompt_tokens_details.cached_tokens", Usage::kCachedDetail},
    {"prompt_token_details.cached_tokens", Usage::kCachedDetail},
    {"input_tokens_details.cached_tokens", Usage::kCachedDetail},
    {"input_token_details.cached_tokens", Usage::kCachedDetail},
    {"num_cached_tokens", Usage::kCachedTop},
    {"cached_tokens", Usage::kCachedTop},
    {"prompt_cache_hit_tokens", Usage::kCacheHit},
    {"prompt_tokens_details.cache_write_tokens", Usage::kCacheWriteDetail},
    {"prompt_tokens_details.cache_creation_input_tokens", Usage::kCacheWriteDetail},
    {"input_tokens_details.cache_write_tokens", Usage::kCacheWriteDetail},
    {"cache_read_input_tokens", Usage::kCacheRead},
    {"cache_creation_input_tokens", Usage::kCacheCreation},
    {"cache_creation.ephemeral_1h_input_tokens", Usage::kCacheCreation1h},
    {"completion_tokens_details.reasoning_tokens", Usage::kReasoning},
    {"output_tokens_details.reasoning_tokens", Usage::kReasoning},
    {"output_tokens_details.thinking_tokens", Usage::kReasoning},
    {"reasoning_tokens", Usage::kReasoningTop},
    {"prompt_tokens_details.audio_tokens", Usage::kInputAudio},
    {"input_tokens_details.audio_tokens", Usage::kInputAudio},
    {"input_token_details.audio_tokens", Usage::kInputAudio},
    {"completion_tokens_details.audio_tokens", Usage::kOutputAudio},
    {"output_tokens_details.audio_tokens", Usage::kOutputAudio},
    {"prompt_tokens_details.image_tokens", Usage::kInputImage},
    {"input_tokens_details.image_tokens", Usage::kInputImage},
    {"inputTokens", Usage::kBedrockInput},
    {"outputTokens", Usage::kBedrockOutput},
    {"cacheReadInputTokens", Usage::kBedrockCacheRead},
    {"cacheWriteInputTokens", Usage::kBedrockCacheWrite},
    {"billed_units.input_tokens", Usage::kBilledInput},
    {"billed_units.output_tokens", Usage::kBilledOutput},
    {"billed_units.search_units", Usage::kSearchUnits},
    {"output_tokens_details.image_tokens", Usage::kOutputImage},
    {"completion_tokens_details.image_tokens", Usage::kOutputImage},
    {"output_token_details.audio_tokens", Usage::kOutputAudio},
    {"input_token_details.image_tokens", Usage::kInputImage},
    {"server_tool_use.web_search_requests", Usage::kSearches},
    {"num_search_queries", Usage::kSearches},
    {"total_input_tokens", Usage::kGeminiPrompt},
    {"total_output_tokens", Usage::kGeminiCandidates},
    {"total_thought_tokens", Usage::kGeminiThoughts},
    {"total_cached_tokens", Usage::kGeminiCached},
    {"total_tool_use_tokens", Usage::kGeminiToolUse},
};

constexpr UsageRow kOtherUsageRows[] = {
    {"usageMetadata.promptTokenCount", Usage::kGeminiPrompt},
    {"usageMetadata.candidatesTokenCount", Usage::kGeminiCandidates},
    {"usageMetadata.responseTokenCount", Usage::kGeminiCandidates},  // Live
    {"usageMetadata.thoughtsTokenCount", Usage::kGeminiThoughts},
    {"usageMetadata.cachedContentTokenCount", Usage::kGeminiCached},
    {"usageMetadata.toolUsePromptTokenCount", Usage::kGeminiToolUse},
    {"usageMetadata.totalTokenCount", Usage::kGeminiTotal},
    {"prompt_eval_count", Usage::kOllamaPrompt},
    {"eval_count", Usage::kOllamaEval},
    {"timings.prompt_n", Usage::kLlamaPrompt},
    {"timings.cache_n", Usage::kLlamaCache},
    {"timings.predicted_n", Usage::kLlamaPredicted},
    {"amazon-bedrock-invocationMetrics.inputTokenCount", Usage::kInvokedInput},
    {"amazon-bedrock-invocationMetrics.outputTokenCount", Usage::kInvokedOutput},
    {"amazon-bedrock-invocationMetrics.cacheReadInputTokenCount", Usage::kInvokedCacheRead},
    {"amazon-bedrock-invocationMetrics.cacheWriteInputTokenCount", Usage::kInvokedCacheWrite},
    // Titan and Llama as Bedrock hosts them.
    {"inputTextTokenCount", Usage::kTitanInput},
    {"totalOutputTextTokenCount", Usage::kTitanOutput},
    {"results[].tokenCount", Usage::kTitanOutput},
    {"prompt_token_count", Usage::kMetaPrompt},
    {"generation_token_count", Usage::kMetaOutput},
    {"details.input_length", Usage::kTgiInput},
    {"details.generated_tokens", Usage::kTgiGenerated},
    {"meta.billed_units.input_tokens", Usage::kBilledInput},
    {"meta.billed_units.output_tokens", Usage::kBilledOutput},
    {"meta.billed_units.search_units", Usage::kSearchUnits},
    {"response.meta.billed_units.input_tokens", Usage::kBilledInput},
    {"response.meta.billed_units.output_tokens", Usage::kBilledOutput},
    {"tokens_evaluated", Usage::kLlamaEvaluated},
    {"tokens_predicted", Usage::kLlamaTotal},
    {"meta_info.prompt_tokens", Usage::kPrompt},
    {"meta_info.completion_tokens", Usage::kCompletion},
    {"meta_info.cached_tokens", Usage::kCachedDetail},
    {"meta_info.reasoning_tokens", Usage::kReasoning},
    {"stats.input_tokens", Usage::kInput},
    {"stats.total_output_tokens", Usage::kOutput},
    {"stats.reasoning_output_tokens", Usage::kReasoning},
    {"result.stats.input_tokens", Usage::kInput},
    {"result.stats.total_output_tokens", Usage::kOutput},
    {"result.stats.reasoning_output_tokens", Usage::kReasoning},
};

// Anthropic's message_start and the Responses events wrap the object; Groq's streams and Cohere's
// message-end have it elsewhere; Converse streams send it as `metadata`.
constexpr std::string_view kUsagePlaces[] = {"usage.", "message.usage.", "response.usage.", "x_groq.usage.",
                                             "delta.usage.", "metadata.usage.", "interaction.usage.",
                                             // Lines of a batch's results: OpenAI's, Anthropic's.
                                             "response.body.usage.", "result.message.usage."};

}  // namespace

std::vector<std::pair<std::string, Usage>> usage_paths() {
  std::vector<std::pair<std::string, Usage>> paths;
  for (const std::string_view place : kUsagePlaces)
    for (const UsageRow& row : kUsageRows) paths.emplace_back(std::string(place).append(row.path), row.field);
  for (const UsageRow& row : kOtherUsageRows) paths.emplace_back(row.path, row.field);
  return paths;
}

}  // namespace llmtap
