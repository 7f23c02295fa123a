// SPDX-License-Identifier: Apache-2.0
// The token algebra of the wire formats, section 3.
#include "llm/token_rules.h"

#include <algorithm>

namespace llmtap {
namespace {

std::optional<uint64_t> first_of(const UsageNumbers& n, std::initializer_list<Usage> fields) {
  for (const Usage field : fields)
    if (const auto value = n.get(field)) return value;
  return std::nullopt;
}

TokenCounts openai(const UsageNumbers& n, Usage input, Usage output, std::string_view provider) {
  TokenCounts t;
  t.input = n.get(input);
  t.output = n.get(output);
  t.cached = first_of(n, {Usage::kCachedDetail, Usage::kCachedTop, Usage::kCacheHit, Usage::kCacheRead});
  t.cache_write = first_of(n, {Usage::kCacheWriteDetail, Usage::kCacheCreation});
  t.reasoning = first_of(n, {Usage::kReasoning, Usage::kReasoningTop});
  // xAI counts a cached part that is larger than the prompt beside it.
  if (t.input && t.cached && *t.cached > *t.input) *t.input += *t.cached;
  if (t.input && t.output) {
    const auto total = n.get(Usage::kTotal);
    const uint64_t sum = n.get_or_zero(input) + *t.output;
    if (total && *total > sum) {
      // The rest is reasoning outside the completion: xAI, Gemini's OpenAI-compatible API.
      const uint64_t hidden = *total - sum;
      *t.output += hidden;
      t.reasoning = std::max(t.reasoning.value_or(0), hidden);
    } else if (!total && provider == "x_ai" && t.reasoning && *t.reasoning > *t.output) {
      *t.output += *t.reasoning;
    }
  }
  return t;
}

TokenCounts anthropic(const UsageNumbers& n) {
  TokenCounts t;
  t.cached = n.get(Usage::kCacheRead);
  t.cache_write = n.get(Usage::kCacheCreation);
  t.cache_write_1h = n.get(Usage::kCacheCreation1h);
  if (n.has(Usage::kInput))
    t.input = *n.get(Usage::kInput) + t.cached.value_or(0) + t.cache_write.value_or(0);
  t.output = n.get(Usage::kOutput);
  t.reasoning = n.get(Usage::kReasoning);
  return t;
}

TokenCounts gemini(const UsageNumbers& n) {
  TokenCounts t;
  if (n.has(Usage::kGeminiPrompt))
    t.input = *n.get(Usage::kGeminiPrompt) + n.get_or_zero(Usage::kGeminiToolUse);
  // candidatesTokenCount may be left out when it is 0; the total says so.
  if (n.has(Usage::kGeminiCandidates) || n.has(Usage::kGeminiThoughts) || n.has(Usage::kGeminiTotal))
    t.output = n.get_or_zero(Usage::kGeminiCandidates) + n.get_or_zero(Usage::kGeminiThoughts);
  t.cached = n.get(Usage::kGeminiCached);
  t.reasoning = n.get(Usage::kGeminiThoughts);
  return t;
}

TokenCounts ollama(const UsageNumbers& n) {
  TokenCounts t;
  t.input = n.get(Usage::kOllamaPrompt);
  t.output = n.get(Usage::kOllamaEval);
  return t;
}

TokenCounts bedrock(const UsageNumbers& n) {
  TokenCounts t;
  t.cached = n.get(Usage::kBedrockCacheRead);
  t.cache_write = n.get(Usage::kBedrockCacheWrite);
  if (n.has(Usage::kBedrockInput))
    t.input = *n.get(Usage::kBedrockInput) + t.cached.value_or(0) + t.cache_write.value_or(0);
  t.cache_write_1h = n.get(Usage::kBedrockCacheWrite1h);
  t.output = n.get(Usage::kBedrockOutput);
  return t;
}

// What Bedrock bills; the vendor's usage in the same body can differ.
void take_invocation(const UsageNumbers& n, TokenCounts& t) {
  const auto input = n.get(Usage::kInvocationInput), output = n.get(Usage::kInvocationOutput);
  if (const auto cached = n.get(Usage::kInvocationCacheRead)) t.cached = cached;
  if (const auto written = n.get(Usage::kInvocationCacheWrite)) t.cache_write = written;
  if (input)
    t.input =
        *input + n.get_or_zero(Usage::kInvocationCacheRead) + n.get_or_zero(Usage::kInvocationCacheWrite);
  if (output) t.output = output;
}

TokenCounts cohere(const UsageNumbers& n) {
  TokenCounts t;
  t.input = n.get(Usage::kBilledInput);
  t.output = n.get(Usage::kBilledOutput);
  t.cached = n.get(Usage::kCachedTop);
  return t;
}

// Servers' own numbers beside or instead of a usage object.
TokenCounts server_timings(const UsageNumbers& n) {
  TokenCounts t;
  if (n.has(Usage::kLlamaPredicted)) {
    if (n.has(Usage::kLlamaPrompt)) t.input = *n.get(Usage::kLlamaPrompt) + n.get_or_zero(Usage::kLlamaCache);
    t.cached = n.get(Usage::kLlamaCache);
    t.output = n.get(Usage::kLlamaPredicted);
  } else if (n.has(Usage::kLlamaTotal)) {
    t.input = n.get(Usage::kLlamaEvaluated);
    t.output = n.get(Usage::kLlamaTotal);
  } else if (n.has(Usage::kTitanInput) || n.has(Usage::kTitanOutput)) {
    t.input = n.get(Usage::kTitanInput);
    t.output = n.get(Usage::kTitanOutput);
  } else if (n.has(Usage::kMetaPrompt) || n.has(Usage::kMetaOutput)) {
    t.input = n.get(Usage::kMetaPrompt);
    t.output = n.get(Usage::kMetaOutput);
  } else {
    t.input = n.get(Usage::kTgiInput);
    t.output = n.get(Usage::kTgiGenerated);
  }
  return t;
}

TokenCounts by_numbers(const UsageNumbers& n, std::string_view provider) {
  if (n.has(Usage::kPrompt) || n.has(Usage::kCompletion))
    return openai(n, Usage::kPrompt, Usage::kCompletion, provider);
  if (n.has(Usage::kCacheRead) || n.has(Usage::kCacheCreation)) return anthropic(n);
  if (n.has(Usage::kInput) || n.has(Usage::kOutput))
    return openai(n, Usage::kInput, Usage::kOutput, provider);
  if (n.has(Usage::kGeminiPrompt)) return gemini(n);
  if (n.has(Usage::kOllamaEval) || n.has(Usage::kOllamaPrompt)) return ollama(n);
  if (n.has(Usage::kBedrockOutput) || n.has(Usage::kBedrockInput)) return bedrock(n);
  if (n.has(Usage::kBilledInput)) return cohere(n);
  TokenCounts t = server_timings(n);
  // Embedding and ranking services that have nothing but input say a total only.
  if (!t.input && !t.output) t.input = n.get(Usage::kTotal);
  return t;
}

}  // namespace

TokenCounts count_tokens(const UsageNumbers& n, Dialect dialect, std::string_view provider) {
  TokenCounts t;
  if (n.empty()) return t;
  switch (dialect) {
    case Dialect::kAnthropicMessages: t = anthropic(n); break;
    case Dialect::kGeminiGenerate: t = gemini(n); break;
    case Dialect::kOllamaChat:
    case Dialect::kOllamaGenerate: t = ollama(n); break;
    case Dialect::kBedrockConverse: t = bedrock(n); break;
    case Dialect::kCohereChat: t = cohere(n); break;
    case Dialect::kOpenAiResponses: t = openai(n, Usage::kInput, Usage::kOutput, provider); break;
    case Dialect::kGeminiInteractions: t = gemini(n); break;
    default: break;
  }
  if (!t.input && !t.output) t = by_numbers(n, provider);
  take_invocation(n, t);
  t.input_audio = n.get(Usage::kInputAudio);
  t.output_audio = n.get(Usage::kOutputAudio);
  t.input_image = n.get(Usage::kInputImage);
  t.output_image = n.get(Usage::kOutputImage);
  // Bedrock's own count of an invocation is what it bills, whatever the model says.
  if (n.has(Usage::kInvokedOutput) || n.has(Usage::kInvokedInput)) {
    const auto read = first_of(n, {Usage::kInvokedCacheRead}),
               write = first_of(n, {Usage::kInvokedCacheWrite});
    if (read) t.cached = read;
    if (write) t.cache_write = write;
    if (n.has(Usage::kInvokedInput))
      t.input = *n.get(Usage::kInvokedInput) + t.cached.value_or(0) + t.cache_write.value_or(0);
    if (n.has(Usage::kInvokedOutput)) t.output = n.get(Usage::kInvokedOutput);
    if (t.reasoning && t.output && *t.reasoning > *t.output) t.reasoning.reset();
  }
  t.source = t.input || t.output ? TokenSource::kReported : TokenSource::kNone;
  return t;
}

}  // namespace llmtap
