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
    {"generate", RequestField::kGenerate},
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
    {"generation_config.temperature", RequestField::kTemperature},
    {"generation_config.top_p", RequestField::kTopP},
    {"system_instruction.parts[].text", RequestField::kSystemText, JsonWant::kText},
    {"serviceTier.type", RequestField::kServiceTier},
    {"inferenceConfig", RequestField::kInferenceConfig, JsonWant::kOpen},
    {"size", RequestField::kImageSize},
    {"quality", RequestField::kImageQuality},
    {"query", RequestField::kQuery},

    // Realtime, and Gemini Live.
    {"response.max_output_tokens", RequestField::kMaxTokens},
    {"response.instructions", RequestField::kInstructions, JsonWant::kText},
    {"realtimeInput.text", RequestField::kPromptText, JsonWant::kText},
    {"clientContent.turns[].role", RequestField::kRole},
    {"clientContent.turns[].parts[].text", RequestField::kMessageText, JsonWant::kText},

    {"input.messages", RequestField::kMessages, JsonWant::kOpen},
    {"input.messages[].role", RequestField::kRole},
    {"input.messages[].content", RequestField::kMessageText, JsonWant::kText},
    {"input.messages[].content[].text", RequestField::kMessageText, JsonWant::kText},
    {"input.messages[].content[].image", RequestField::kImage},
    {"input.prompt", RequestField::kPromptText, JsonWant::kText},
    {"input.texts[]", RequestField::kPromptText, JsonWant::kText},
    {"parameters", RequestField::kParameters, JsonWant::kOpen},
    {"parameters.incremental_output", RequestField::kIncremental},
    {"parameters.max_tokens", RequestField::kMaxTokens},
    {"parameters.max_new_tokens", RequestField::kMaxTokens},
    {"parameters.temperature", RequestField::kTemperature},
    {"parameters.top_p", RequestField::kTopP},
    {"inputs", RequestField::kInputsText, JsonWant::kText},
    {"text_input", RequestField::kTextInput, JsonWant::kText},
    {"text", RequestField::kPlainText, JsonWant::kText},
    {"input_ids", RequestField::kInputIds, JsonWant::kOpen},
    {"sampling_params", RequestField::kSamplingParams, JsonWant::kOpen},
    {"sampling_params.max_new_tokens", RequestField::kMaxTokens},
    {"sampling_params.temperature", RequestField::kTemperature},
    {"n_predict", RequestField::kPredict},
    {"inputText", RequestField::kPromptText, JsonWant::kText},
    {"textGenerationConfig.maxTokenCount", RequestField::kMaxTokens},
    {"max_gen_len", RequestField::kMaxTokens},
    {"texts[]", RequestField::kPromptText, JsonWant::kText},
    {"message", RequestField::kPromptText, JsonWant::kText},
    {"content.parts[].text", RequestField::kPromptText, JsonWant::kText},
    {"jsonrpc", RequestField::kRpcVersion},
    {"method", RequestField::kRpcMethod},
    {"params.name", RequestField::kRpcTool},
    {"requests[].content.parts[].text", RequestField::kPromptText, JsonWant::kText},
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

}  // namespace llmtap
