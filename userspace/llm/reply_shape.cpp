// SPDX-License-Identifier: Apache-2.0
#include "llm/reply_shape.h"

namespace llmtap {

Dialect shape_of(const ReplyRecord& r) {
  const std::string_view object = r.object;
  if (object.starts_with("chat.completion")) return Dialect::kOpenAiChat;
  if (object == "text_completion") return Dialect::kOpenAiCompletions;
  if (object == "response" || r.type.starts_with("response.")) return Dialect::kOpenAiResponses;
  if (object == "list" && r.embedding) return Dialect::kOpenAiEmbeddings;
  if (r.type == "message_start" || (r.type == "message" && r.role == "assistant"))
    return Dialect::kAnthropicMessages;
  if (r.type.starts_with("interaction.")) return Dialect::kGeminiInteractions;
  if (r.type == "message-start" || (r.usage.has(Usage::kBilledOutput) && r.message))
    return Dialect::kCohereChat;
  if (r.type == "chat.start" || (!r.instance.empty() && r.usage.has(Usage::kOutput)))
    return Dialect::kLmStudio;
  if (r.candidates || (r.usage_metadata && r.usage.has(Usage::kGeminiPrompt)))
    return Dialect::kGeminiGenerate;
  if (r.created_at && r.has_done) return r.message ? Dialect::kOllamaChat : Dialect::kOllamaGenerate;
  if (r.bedrock_output) return Dialect::kBedrockConverse;
  if (r.choices && !r.id.empty() && !r.model.empty()) return Dialect::kOpenAiChat;
  if (r.output && !r.request_id.empty() && object.empty()) return Dialect::kDashScope;
  if (r.meta_info && (r.usage.has(Usage::kCompletion) || r.usage.has(Usage::kPrompt)))
    return Dialect::kSglang;
  if ((r.tgi_token && r.texts.token.characters > 0) ||
      (r.generated_text && r.usage.has(Usage::kTgiGenerated)))
    return Dialect::kTgi;
  if (r.usage.has(Usage::kLlamaTotal) || (r.llama_stop && r.texts.delta.characters > 0))
    return Dialect::kLlamaCpp;
  if (r.text_output && !r.model_name.empty()) return Dialect::kTriton;
  if (r.usage.has(Usage::kTitanOutput) || r.usage.has(Usage::kMetaOutput)) return Dialect::kBedrockInvoke;
  return Dialect::kNone;
}

}  // namespace llmtap
