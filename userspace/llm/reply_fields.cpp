// SPDX-License-Identifier: Apache-2.0
#include "llm/body_fields.h"

#include <string>
#include <vector>

namespace llmtap {
namespace {

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
    {"response.status_details.reason", ReplyField::kIncompleteReason},

    {"choices", ReplyField::kChoices, JsonWant::kOpen},
    {"choices[].index", ReplyField::kChoiceIndex},
    {"choices[].finish_reason", ReplyField::kFinish},
    {"choices[].text", ReplyField::kChoiceText, JsonWant::kText},
    {"choices[].delta.content", ReplyField::kContent, JsonWant::kText},
    {"choices[].delta.content[].text", ReplyField::kContent, JsonWant::kText},
    {"choices[].delta.content[].thinking[].text", ReplyField::kReasoning, JsonWant::kText},
    {"choices[].delta.refusal", ReplyField::kRefusal, JsonWant::kText},
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
    {"choices[].message.refusal", ReplyField::kRefusal, JsonWant::kText},
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
    {"output[].content[].refusal", ReplyField::kRefusal, JsonWant::kText},
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

    // Gemini Live
    {"serverContent.modelTurn.parts[].text", ReplyField::kPartText, JsonWant::kText},
    {"serverContent.modelTurn.parts[].thought", ReplyField::kPartThought},
    {"serverContent.modelTurn.parts[].inlineData.data", ReplyField::kAudioText, JsonWant::kText},
    {"serverContent.outputTranscription.text", ReplyField::kContent, JsonWant::kText},
    {"serverContent.turnComplete", ReplyField::kDone},
    {"serverContent.turnCompleteReason", ReplyField::kDoneReason},
    {"serverContent.interrupted", ReplyField::kInterrupted},
    {"usageMetadata.responseTokensDetails[].modality", ReplyField::kOutputModality},
    {"usageMetadata.responseTokensDetails[].tokenCount", ReplyField::kOutputCount},
    {"toolCall.functionCalls[].name", ReplyField::kToolName},
    {"toolCall.functionCalls[].id", ReplyField::kToolId},

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

    {"custom_id", ReplyField::kCustomId},
    {"response.body.model", ReplyField::kModel},
    {"response.body.object", ReplyField::kObject},
    {"result.message.model", ReplyField::kModel},
    {"result.message.type", ReplyField::kType},
    {"result.message.role", ReplyField::kRole},
    {"jsonrpc", ReplyField::kRpcVersion},
    {"result.isError", ReplyField::kToolFailed},
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
    {"response.status_details.error", ReplyField::kErrorOpen, JsonWant::kOpen},
    {"response.status_details.error.type", ReplyField::kErrorType},
    {"response.status_details.error.code", ReplyField::kErrorCode},
    {"response.status_details.error.message", ReplyField::kErrorMessage},
    {"code", ReplyField::kTopCode},
    {"message", ReplyField::kTopMessage},
    {"detail", ReplyField::kTopMessage},

    // Cohere v2, and v1.
    {"delta.message.content.thinking", ReplyField::kReasoning, JsonWant::kText},
    {"delta.message.tool_plan", ReplyField::kReasoning, JsonWant::kText},
    {"delta.message.tool_calls.id", ReplyField::kToolId},
    {"delta.message.tool_calls.function.name", ReplyField::kToolName},
    {"delta.message.tool_calls.function.arguments", ReplyField::kToolText, JsonWant::kText},
    {"delta.error", ReplyField::kErrorText},
    {"message.content[].thinking", ReplyField::kReasoning, JsonWant::kText},
    {"message.tool_plan", ReplyField::kReasoning, JsonWant::kText},
    {"message.tool_calls[].id", ReplyField::kToolId},
    {"message.tool_calls[].function.arguments", ReplyField::kToolText, JsonWant::kText},
    {"generation_id", ReplyField::kId},
    {"generations[].text", ReplyField::kContent, JsonWant::kText},
    {"response.finish_reason", ReplyField::kFinish},

    // Converse: plain, and the events' payloads.
    {"serviceTier.type", ReplyField::kServiceTier},
    {"usage.cacheDetails[].ttl", ReplyField::kWriteTtl},
    {"usage.cacheDetails[].inputTokens", ReplyField::kWriteCount},
    {"metadata.usage.cacheDetails[].ttl", ReplyField::kWriteTtl},
    {"metadata.usage.cacheDetails[].inputTokens", ReplyField::kWriteCount},

    // InvokeModel: Titan, Llama, Mistral.
    {"outputs[].text", ReplyField::kContent, JsonWant::kText},
    {"outputs[].stop_reason", ReplyField::kFinish},

    // DashScope's own API: the text so far, unless asked for increments.
    {"output", ReplyField::kOutputOpen, JsonWant::kOpen},
    {"output.text", ReplyField::kTextSoFar, JsonWant::kText},
    {"output.finish_reason", ReplyField::kFinish},
    {"output.choices[].finish_reason", ReplyField::kFinish},
    {"output.choices[].message.content", ReplyField::kTextSoFar, JsonWant::kText},
    {"output.choices[].message.content[].text", ReplyField::kTextSoFar, JsonWant::kText},
    {"output.choices[].message.reasoning_content", ReplyField::kReasoningSoFar, JsonWant::kText},
    {"output.choices[].message.tool_calls[].id", ReplyField::kToolId},
    {"output.choices[].message.tool_calls[].index", ReplyField::kToolIndex},
    {"output.choices[].message.tool_calls[].function.name", ReplyField::kToolName},
    {"output.choices[].message.tool_calls[].function.arguments", ReplyField::kToolText, JsonWant::kText},
    {"request_id", ReplyField::kRequestId},

    // SGLang's and TGI's own APIs, llama.cpp's, Triton's.
    {"text", ReplyField::kRootText, JsonWant::kText},
    {"meta_info", ReplyField::kMetaInfo, JsonWant::kOpen},
    {"meta_info.id", ReplyField::kId},
    {"meta_info.finish_reason.type", ReplyField::kFinish},
    {"token", ReplyField::kTgiToken, JsonWant::kOpen},
    {"token.text", ReplyField::kTokenText, JsonWant::kText},
    {"token.special", ReplyField::kTokenSpecial},
    {"generated_text", ReplyField::kGeneratedText, JsonWant::kText},
    {"details.finish_reason", ReplyField::kFinish},
    {"error_type", ReplyField::kErrorType},
    {"content", ReplyField::kDeltaString, JsonWant::kText},
    {"stop", ReplyField::kLlamaStop},
    {"stop_type", ReplyField::kStopType},
    {"text_output", ReplyField::kTextOutput, JsonWant::kText},
    {"model_name", ReplyField::kModelName},

    // LM Studio's own API.
    {"model_instance_id", ReplyField::kInstance},
    {"result.model_instance_id", ReplyField::kInstance},
    {"response_id", ReplyField::kId},
    {"result.response_id", ReplyField::kId},
    {"output[].content", ReplyField::kContent, JsonWant::kText},
    {"output[].tool", ReplyField::kItemName},
    {"stats.stop_reason", ReplyField::kFinish},

    // Gemini: per modality, tiers, interactions, embeddings and images by predict.
    {"candidates[].content.parts[].functionCall.id", ReplyField::kToolId},
    {"usageMetadata.trafficType", ReplyField::kTrafficType},
    {"usageMetadata.serviceTier", ReplyField::kServiceTier},
    {"usageMetadata.promptTokensDetails[].modality", ReplyField::kInputModality},
    {"usageMetadata.promptTokensDetails[].tokenCount", ReplyField::kInputCount},
    {"usageMetadata.candidatesTokensDetails[].modality", ReplyField::kOutputModality},
    {"usageMetadata.candidatesTokensDetails[].tokenCount", ReplyField::kOutputCount},
    {"predictions[].embeddings.statistics.token_count", ReplyField::kPredictedTokens},
    {"embedding", ReplyField::kEmbedding, JsonWant::kOpen},
    {"tokenCount", ReplyField::kEmbeddedTokens},
    {"predictions[].bytesBase64Encoded", ReplyField::kImage, JsonWant::kText},
    {"event_type", ReplyField::kType},
    {"interaction.id", ReplyField::kId},
    {"interaction.model", ReplyField::kModel},
    {"interaction.status", ReplyField::kStatus},
    {"previous_interaction_id", ReplyField::kPreviousResponse},

    // Images, audio, realtime, and what is not billed by token.
    {"data[].b64_json", ReplyField::kImage, JsonWant::kText},
    {"data[].url", ReplyField::kImage, JsonWant::kText},
    {"usage.seconds", ReplyField::kSeconds},
    {"usage.prompt_audio_seconds", ReplyField::kSeconds},
    {"duration", ReplyField::kSeconds},
    {"session.model", ReplyField::kModel},
    {"response.conversation_id", ReplyField::kConversation},
    {"usage.speed", ReplyField::kSpeed},
    {"message.usage.speed", ReplyField::kSpeed},
    {"usage.inference_geo", ReplyField::kGeo},
    {"message.usage.inference_geo", ReplyField::kGeo},
};

}  // namespace

const JsonPaths& reply_paths() {
  static const JsonPaths paths = [] {
    const std::vector<std::pair<std::string, Usage>> usage = usage_paths();
    std::vector<JsonRule> rules;
    rules.reserve(rules.size() + usage.size());
    for (const auto& [path, field] : usage) rules.push_back({path, static_cast<uint16_t>(field)});
    // Of a reply's texts only the lengths are used.
    for (const ReplyRow& row : kReplyRows)
      rules.push_back({row.path, static_cast<uint16_t>(row.field),
                       row.want == JsonWant::kText ? JsonWant::kCount : row.want});
    return JsonPaths(rules);
  }();
  return paths;
}

}  // namespace llmtap
