// SPDX-License-Identifier: Apache-2.0
#include "llm/body_fields.h"

#include <string>
#include <vector>

namespace llmtap {
namespace {

struct RequestRow {
  std::string_view path;
  RequestField field;
  JsonWant want = JsonWant::kValue;
};

constexpr RequestRow kRequestRows[] = {
    {"model", RequestField::kModel},
    {"stream", RequestField::kStream},
    {"max_tokens", RequestField::kMaxTokens},
    {"max_completion_tokens", RequestField::kMaxTokens},
    {"max_output_tokens", RequestField::kMaxTokens},
    {"generationConfig.maxOutputTokens", RequestField::kMaxTokens},
    {"generation_config.max_output_tokens", RequestField::kMaxTokens},
    {"inferenceConfig.maxTokens", RequestField::kMaxTokens},
    {"options.num_predict", RequestField::kMaxTokens},
    {"temperature", RequestField::kTemperature},
    {"generationConfig.temperature", RequestField::kTemperature},
    {"inferenceConfig.temperature", RequestField::kTemperature},
    {"options.temperature", RequestField::kTemperature},
    {"top_p", RequestField::kTopP},
    {"generationConfig.topP", RequestField::kTopP},
    {"inferenceConfig.topP", RequestField::kTopP},
    {"options.top_p", RequestField::kTopP},
    {"n", RequestField::kChoiceCount},
    {"generationConfig.candidateCount", RequestField::kChoiceCount},
    {"service_tier", RequestField::kServiceTier},
    {"previous_response_id", RequestField::kPreviousResponse},
    {"conversation", RequestField::kConversation},
    {"conversation.id", RequestField::kConversation},
    {"conversation_id", RequestField::kConversation},
    {"user", RequestField::kEndUser},
    {"litellm_metadata.user", RequestField::kEndUser},
    {"metadata.user_id", RequestField::kEndUser},
    {"safety_identifier", RequestField::kEndUser},
    {"messages", RequestField::kMessages, JsonWant::kOpen},
    {"messages[].role", RequestField::kRole},
    {"messages[].content", RequestField::kMessageText, JsonWant::kText},
    {"messages[].content[].text", RequestField::kMessageText, JsonWant::kText},
    {"messages[].content[].image_url", RequestField::kImage, JsonWant::kOpen},
    {"messages[].content[].source", RequestField::kImage, JsonWant::kOpen},
    {"messages[].content[].input_audio", RequestField::kImage, JsonWant::kOpen},
    {"messages[].images", RequestField::kImage, JsonWant::kOpen},
    {"input", RequestField::kPromptText, JsonWant::kText},
    {"input", RequestField::kInput, JsonWant::kOpen},
    {"input[]", RequestField::kPromptText, JsonWant::kText},
    {"input[].role", RequestField::kRole},
    {"input[].content", RequestField::kMessageText, JsonWant::kText},
    {"input[].content[].text", RequestField::kMessageText, JsonWant::kText},
    {"input[].content[].image_url", RequestField::kImage},
    {"prompt", RequestField::kPromptText, JsonWant::kText},
    {"prompt", RequestField::kPrompt, JsonWant::kOpen},
    {"prompt[]", RequestField::kPromptText, JsonWant::kText},
    {"images", RequestField::kImage, JsonWant::kOpen},
    {"system", RequestField::kSystemText, JsonWant::kText},
    {"system", RequestField::kSystem, JsonWant::kOpen},
    {"system[].text", RequestField::kSystemText, JsonWant::kText},
    {"instructions", RequestField::kInstructions, JsonWant::kText},
    {"systemInstruction.parts[].text", RequestField::kSystemText, JsonWant::kText},
    {"anthropic_version", RequestField::kAnthropicVersion},
    {"contents", RequestField::kContents, JsonWant::kOpen},
    {"contents[].role", RequestField::kRole},
    {"contents[].parts", RequestField::kParts, JsonWant::kOpen},
    {"contents[].parts[].text", RequestField::kMessageText, JsonWant::kText},
    {"contents[].parts[].inlineData", RequestField::kImage, JsonWant::kOpen},
    {"contents[].parts[].fileData", RequestField::kImage, JsonWant::kOpen},
};

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
};

constexpr UsageRow kOtherUsageRows[] = {
    {"usageMetadata.promptTokenCount", Usage::kGeminiPrompt},
    {"usageMetadata.candidatesTokenCount", Usage::kGeminiCandidates},
    {"usageMetadata.thoughtsTokenCount", Usage::kGeminiThoughts},
    {"usageMetadata.cachedContentTokenCount", Usage::kGeminiCached},
    {"usageMetadata.toolUsePromptTokenCount", Usage::kGeminiToolUse},
    {"usageMetadata.totalTokenCount", Usage::kGeminiTotal},
    {"prompt_eval_count", Usage::kOllamaPrompt},
    {"eval_count", Usage::kOllamaEval},
    {"timings.prompt_n", Usage::kLlamaPrompt},
    {"timings.cache_n", Usage::kLlamaCache},
    {"timings.predicted_n", Usage::kLlamaPredicted},
    {"amazon-bedrock-invocationMetrics.inputTokenCount", Usage::kInvocationInput},
    {"amazon-bedrock-invocationMetrics.outputTokenCount", Usage::kInvocationOutput},
    {"amazon-bedrock-invocationMetrics.cacheReadInputTokenCount", Usage::kInvocationCacheRead},
    {"amazon-bedrock-invocationMetrics.cacheWriteInputTokenCount", Usage::kInvocationCacheWrite},
    // Titan and Llama as Bedrock hosts them.
    {"inputTextTokenCount", Usage::kTgiInput},
    {"totalOutputTextTokenCount", Usage::kTgiGenerated},
    {"results[].tokenCount", Usage::kTgiGenerated},
    {"prompt_token_count", Usage::kTgiInput},
    {"generation_token_count", Usage::kTgiGenerated},
    {"details.input_length", Usage::kTgiInput},
    {"details.generated_tokens", Usage::kTgiGenerated},
    {"meta.billed_units.input_tokens", Usage::kBilledInput},
    {"meta.billed_units.output_tokens", Usage::kBilledOutput},
};

// Anthropic's message_start and the Responses events wrap the object; Groq's streams and Cohere's
// message-end have it elsewhere; Converse streams send it as `metadata`.
constexpr std::string_view kUsagePlaces[] = {"usage.",        "message.usage.", "response.usage.",
                                             "x_groq.usage.", "delta.usage.",   "metadata.usage."};

struct ReplyRow {
  std::string_view path;
  ReplyField field;
  JsonWant want = JsonWant::kValue;
};

constexpr ReplyRow kReplyRows[] = {
    {"usage.cost", ReplyField::kCost},
    {"usage.cost.total_cost", ReplyField::kCost},
    {"usage.cost_in_usd_ticks", ReplyField::kCostTicks},
    {"response.usage.cost_in_usd_ticks", ReplyField::kCostTicks},
    {"model", ReplyField::kModel},
    {"message.model", ReplyField::kModel},
    {"response.model", ReplyField::kModel},
    {"modelVersion", ReplyField::kModel},
    {"id", ReplyField::kId},
    {"message.id", ReplyField::kId},
    {"response.id", ReplyField::kId},
    {"responseId", ReplyField::kId},
    {"object", ReplyField::kObject},
    {"type", ReplyField::kType},
    {"role", ReplyField::kRole},
    {"created_at", ReplyField::kCreatedAt},
    {"service_tier", ReplyField::kServiceTier},
    {"response.service_tier", ReplyField::kServiceTier},
    {"usage.service_tier", ReplyField::kServiceTier},
    {"message.usage.service_tier", ReplyField::kServiceTier},
    {"conversation.id", ReplyField::kConversation},
    {"response.conversation.id", ReplyField::kConversation},
    {"previous_response_id", ReplyField::kPreviousResponse},
    {"response.previous_response_id", ReplyField::kPreviousResponse},
    {"status", ReplyField::kStatus},
    {"response.status", ReplyField::kStatus},
    {"incomplete_details.reason", ReplyField::kIncompleteReason},
    {"response.incomplete_details.reason", ReplyField::kIncompleteReason},

    {"choices", ReplyField::kChoices, JsonWant::kOpen},
    {"choices[].index", ReplyField::kChoiceIndex},
    {"choices[].finish_reason", ReplyField::kFinish},
    {"choices[].text", ReplyField::kChoiceText, JsonWant::kText},
    {"choices[].delta.content", ReplyField::kContent, JsonWant::kText},
    {"choices[].delta.content[].text", ReplyField::kContent, JsonWant::kText},
    {"choices[].delta.content[].thinking[].text", ReplyField::kReasoning, JsonWant::kText},
    {"choices[].delta.refusal", ReplyField::kContent, JsonWant::kText},
    {"choices[].delta.audio.transcript", ReplyField::kContent, JsonWant::kText},
    {"choices[].delta.reasoning_content", ReplyField::kReasoning, JsonWant::kText},
    {"choices[].delta.reasoning", ReplyField::kReasoning, JsonWant::kText},
    {"choices[].delta.tool_calls[].index", ReplyField::kToolIndex},
    {"choices[].delta.tool_calls[].id", ReplyField::kToolId},
    {"choices[].delta.tool_calls[].function.name", ReplyField::kToolName},
    {"choices[].delta.tool_calls[].function.arguments", ReplyField::kToolText, JsonWant::kText},
    {"choices[].delta.function_call.name", ReplyField::kToolName},
    {"choices[].delta.function_call.arguments", ReplyField::kToolText, JsonWant::kText},
    {"choices[].message.content", ReplyField::kContent, JsonWant::kText},
    {"choices[].message.content[].text", ReplyField::kContent, JsonWant::kText},
    {"choices[].message.refusal", ReplyField::kContent, JsonWant::kText},
    {"choices[].message.reasoning_content", ReplyField::kReasoning, JsonWant::kText},
    {"choices[].message.reasoning", ReplyField::kReasoning, JsonWant::kText},
    {"choices[].message.tool_calls[].id", ReplyField::kToolId},
    {"choices[].message.tool_calls[].function.name", ReplyField::kToolName},
    {"choices[].message.tool_calls[].function.arguments", ReplyField::kToolText, JsonWant::kText},
    {"choices[].message.function_call.name", ReplyField::kToolName},
    {"data[].embedding", ReplyField::kEmbedding, JsonWant::kOpen},
    {"data[].embedding", ReplyField::kEmbedding},

    {"stop_reason", ReplyField::kFinish},
    {"delta.stop_reason", ReplyField::kFinish},
    {"message", ReplyField::kMessageOpen, JsonWant::kOpen},
    {"content[].type", ReplyField::kItemType},
    {"content[].name", ReplyField::kItemName},
    {"content[].id", ReplyField::kItemId},
    {"content[].text", ReplyField::kContent, JsonWant::kText},
    {"content[].thinking", ReplyField::kReasoning, JsonWant::kText},
    {"content_block.type", ReplyField::kItemType},
    {"content_block.name", ReplyField::kItemName},
    {"content_block.id", ReplyField::kItemId},
    {"delta.text", ReplyField::kContent, JsonWant::kText},
    {"delta.thinking", ReplyField::kReasoning, JsonWant::kText},
    {"delta.partial_json", ReplyField::kToolText, JsonWant::kText},

    {"delta", ReplyField::kDeltaString, JsonWant::kText},
    {"item.type", ReplyField::kItemType},
    {"item.name", ReplyField::kItemName},
    {"item.id", ReplyField::kItemId},
    {"output[].type", ReplyField::kItemType},
    {"output[].name", ReplyField::kItemName},
    {"output[].id", ReplyField::kItemId},
    {"output[].content[].text", ReplyField::kContent, JsonWant::kText},
    {"output[].summary[].text", ReplyField::kReasoning, JsonWant::kText},
    {"output[].arguments", ReplyField::kToolText, JsonWant::kText},
    {"response.output[].type", ReplyField::kItemType},
    {"response.output[].name", ReplyField::kItemName},
    {"response.output[].id", ReplyField::kItemId},

    {"candidates", ReplyField::kCandidates, JsonWant::kOpen},
    {"candidates[].index", ReplyField::kChoiceIndex},
    {"candidates[].finishReason", ReplyField::kFinish},
    {"candidates[].content.parts[].text", ReplyField::kPartText, JsonWant::kText},
    {"candidates[].content.parts[].thought", ReplyField::kPartThought},
    {"candidates[].content.parts[].functionCall.name", ReplyField::kToolName},
    {"promptFeedback.blockReason", ReplyField::kBlockReason},
    {"usageMetadata", ReplyField::kUsageMetadata, JsonWant::kOpen},

    {"message.role", ReplyField::kRole},
    {"message.content", ReplyField::kContent, JsonWant::kText},
    {"message.thinking", ReplyField::kReasoning, JsonWant::kText},
    {"message.tool_calls[].function.name", ReplyField::kToolName},
    {"response", ReplyField::kContent, JsonWant::kText},
    {"thinking", ReplyField::kReasoning, JsonWant::kText},
    {"done", ReplyField::kDone},
    {"done_reason", ReplyField::kDoneReason},

    {"output.message", ReplyField::kBedrockOutput, JsonWant::kOpen},
    {"output.message.content[].text", ReplyField::kContent, JsonWant::kText},
    {"output.message.content[].toolUse.name", ReplyField::kToolName},
    {"output.message.content[].toolUse.toolUseId", ReplyField::kToolId},
    {"output.message.content[].reasoningContent.reasoningText.text", ReplyField::kReasoning, JsonWant::kText},
    {"stopReason", ReplyField::kFinish},
    // Converse streams; Nova has the same below the event's name.
    {"delta.toolUse.input", ReplyField::kToolText, JsonWant::kText},
    {"delta.reasoningContent.text", ReplyField::kReasoning, JsonWant::kText},
    {"start.toolUse.name", ReplyField::kToolName},
    {"start.toolUse.toolUseId", ReplyField::kToolId},
    {"contentBlockDelta.delta.text", ReplyField::kContent, JsonWant::kText},
    {"contentBlockDelta.delta.toolUse.input", ReplyField::kToolText, JsonWant::kText},
    {"contentBlockStart.start.toolUse.name", ReplyField::kToolName},
    {"contentBlockStart.start.toolUse.toolUseId", ReplyField::kToolId},
    {"messageStop.stopReason", ReplyField::kFinish},
    {"outputText", ReplyField::kContent, JsonWant::kText},
    {"completionReason", ReplyField::kFinish},
    {"results[].outputText", ReplyField::kContent, JsonWant::kText},
    {"results[].completionReason", ReplyField::kFinish},
    {"generation", ReplyField::kContent, JsonWant::kText},
    {"finish_reason", ReplyField::kFinish},
    {"delta.finish_reason", ReplyField::kFinish},
    {"message.content[].text", ReplyField::kContent, JsonWant::kText},
    {"delta.message.content.text", ReplyField::kContent, JsonWant::kText},

    {"error", ReplyField::kErrorText},
    {"error", ReplyField::kErrorOpen, JsonWant::kOpen},
    {"error.type", ReplyField::kErrorType},
    {"error.status", ReplyField::kErrorType},
    {"error.code", ReplyField::kErrorCode},
    {"error.message", ReplyField::kErrorMessage},
    {"error.details.error_code", ReplyField::kErrorDetailCode},
    {"error.details[].reason", ReplyField::kErrorDetailCode},
    {"response.error", ReplyField::kErrorOpen, JsonWant::kOpen},
    {"response.error.code", ReplyField::kErrorCode},
    {"response.error.message", ReplyField::kErrorMessage},
    {"code", ReplyField::kTopCode},
    {"message", ReplyField::kTopMessage},
    {"detail", ReplyField::kTopMessage},
};

}  // namespace

const JsonPaths& request_paths() {
  static const JsonPaths paths = [] {
    std::vector<JsonRule> rules;
    for (const RequestRow& row : kRequestRows)
      rules.push_back({row.path, static_cast<uint16_t>(row.field), row.want});
    return JsonPaths(rules);
  }();
  return paths;
}

const JsonPaths& reply_paths() {
  static const JsonPaths paths = [] {
    std::vector<std::string> names;
    names.reserve(std::size(kUsagePlaces) * std::size(kUsageRows));
    std::vector<JsonRule> rules;
    for (const std::string_view place : kUsagePlaces)
      for (const UsageRow& row : kUsageRows) {
        names.push_back(std::string(place) + std::string(row.path));
        rules.push_back({names.back(), static_cast<uint16_t>(row.field)});
      }
    for (const UsageRow& row : kOtherUsageRows) rules.push_back({row.path, static_cast<uint16_t>(row.field)});
    // Of a reply's texts only the lengths are used.
    for (const ReplyRow& row : kReplyRows)
      rules.push_back({row.path, static_cast<uint16_t>(row.field),
                       row.want == JsonWant::kText ? JsonWant::kCount : row.want});
    return JsonPaths(rules);
  }();
  return paths;
}

}  // namespace llmtap
