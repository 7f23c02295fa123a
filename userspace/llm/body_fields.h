// SPDX-License-Identifier: Apache-2.0
// Which paths of request and reply bodies are read, of all dialects at once: one spelling means one
// field, and what a field means for the counts is decided when the dialect is known (token_rules.h).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "llm/json_scanner.h"

namespace llmtap {

// clang-format off: the fields of one dialect or meaning share a line
enum class RequestField : uint16_t {
  kModel, kStream, kMaxTokens, kTemperature, kTopP, kChoiceCount, kServiceTier, kPreviousResponse,
  kConversation, kEndUser, kRole, kMessageText, kPromptText, kSystemText,
  kGenerate,  // Responses over WebSocket: false warms up
  kMessages, kContents, kInput, kPrompt, kSystem, kInstructions, kAnthropicVersion, kParts, kImage,
  kInferenceConfig, kImageSize, kImageQuality, kQuery, kParameters, kIncremental, kInputsText, kTextInput,
  kPlainText, kInputIds, kSamplingParams, kPredict, kRpcVersion, kRpcMethod, kRpcTool,
};

// Numbers of a usage object, by spelling.
enum class Usage : uint8_t {
  kPrompt, kCompletion, kTotal,                  // prompt_tokens, completion_tokens, total_tokens
  kInput, kOutput,                               // input_tokens, output_tokens
  kCachedDetail, kCachedTop, kCacheHit,          // *_details.cached_tokens; num_cached_tokens; prompt_cache_hit_tokens
  kCacheWriteDetail,                             // *_details.cache_write_tokens
  kCacheRead, kCacheCreation, kCacheCreation1h,  // Anthropic, beside input_tokens
  kReasoning, kReasoningTop,                     // *_details.reasoning_tokens; usage.reasoning_tokens
  kInputAudio, kOutputAudio, kInputImage,
  kGeminiPrompt, kGeminiCandidates, kGeminiThoughts, kGeminiCached, kGeminiToolUse, kGeminiTotal,
  kOllamaPrompt, kOllamaEval,
  kBedrockInput, kBedrockOutput, kBedrockCacheRead, kBedrockCacheWrite,
  kBilledInput, kBilledOutput,                   // Cohere
  kLlamaPrompt, kLlamaCache, kLlamaPredicted,    // llama.cpp timings
  kLlamaEvaluated, kLlamaTotal,                  // its older names
  kTgiInput, kTgiGenerated,
  kTitanInput, kTitanOutput, kMetaPrompt, kMetaOutput,
  kInvokedInput, kInvokedOutput, kInvokedCacheRead, kInvokedCacheWrite,  // what Bedrock bills
  kBedrockCacheWrite1h,                          // of cacheDetails
  kOutputImage, kSearches, kSearchUnits,
  kCount,
};
// clang-format on
inline constexpr size_t kUsageFields = static_cast<size_t>(Usage::kCount);

// The numbers of one reply so far; the last value of each wins.
class UsageNumbers {
 public:
  void set(Usage field, uint64_t value) {
    values_[static_cast<size_t>(field)] = value;
    present_ |= bit(field);
  }
  std::optional<uint64_t> get(Usage field) const {
    if ((present_ & bit(field)) == 0) return std::nullopt;
    return values_[static_cast<size_t>(field)];
  }
  uint64_t get_or_zero(Usage field) const { return get(field).value_or(0); }
  bool has(Usage field) const { return (present_ & bit(field)) != 0; }
  bool empty() const { return present_ == 0; }
  void clear() { present_ = 0; }
  // Fields that `later` has replace ours.
  void overwrite(const UsageNumbers& later) {
    for (uint64_t left = later.present_; left != 0; left &= left - 1) {
      const auto i = static_cast<size_t>(__builtin_ctzll(left));
      values_[i] = later.values_[i];
    }
    present_ |= later.present_;
  }

 private:
  static uint64_t bit(Usage field) { return uint64_t{1} << static_cast<unsigned>(field); }
  std::array<uint64_t, kUsageFields> values_{};
  uint64_t present_ = 0;
};
static_assert(kUsageFields <= 64);

// clang-format off: as above
enum class ReplyField : uint16_t {
  kUsage0 = 0,  // + Usage
  kAfterUsage = kUsageFields,
  kCost, kCostTicks,
  kModel, kId, kObject, kType, kServiceTier, kConversation, kPreviousResponse, kStatus, kIncompleteReason,
  kFinish, kChoiceIndex, kDone, kDoneReason, kBlockReason,
  kContent, kChoiceText, kReasoning, kToolText, kDeltaString,
  kToolName, kToolId, kToolIndex,         // one per (choice, position): choices, candidates, Ollama
  kItemType, kItemName, kItemId,          // content blocks and output items: a tool call by their type
  kAudioText,                             // base64
  kPartText, kPartThought,                // Gemini: text whose kind a sibling says
  kErrorText, kErrorOpen, kErrorType, kErrorCode, kErrorMessage, kErrorDetailCode,
  kTopCode, kTopMessage,
  kChoices, kCandidates, kUsageMetadata, kEmbedding, kRole, kCreatedAt, kMessageOpen, kBedrockOutput,
  kTextSoFar, kReasoningSoFar, kRootText,        // may repeat what came before
  kTokenText, kTokenSpecial, kGeneratedText,     // TGI: a token, and at the end all of them again
  kOutputOpen, kMetaInfo, kTgiToken, kTextOutput, kModelName, kInstance, kLlamaStop, kStopType,
  kRequestId, kTrafficType, kInputModality, kInputCount, kOutputModality, kOutputCount, kWriteTtl,
  kWriteCount, kPredictedTokens, kEmbeddedTokens, kImage, kSeconds, kSpeed, kGeo, kRefusal, kRpcVersion, kToolFailed, kCustomId,
  kInterrupted,  // Gemini Live: by the one who speaks
};
// clang-format on

const JsonPaths& request_paths();
const JsonPaths& reply_paths();
// Of a reply, its usage: a part of reply_paths().
std::vector<std::pair<std::string, Usage>> usage_paths();

}  // namespace llmtap
