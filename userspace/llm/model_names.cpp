// SPDX-License-Identifier: Apache-2.0
#include "llm/model_names.h"

#include <algorithm>
#include <array>

namespace llmtap {

namespace {

using Names = std::span<const std::string_view>;

constexpr std::string_view kOpenAi[] = {"openai/"};
constexpr std::string_view kAzure[] = {"azure/", "azure_ai/"};
constexpr std::string_view kAnthropic[] = {"anthropic/"};
constexpr std::string_view kBedrock[] = {"bedrock/", "bedrock_converse/"};
constexpr std::string_view kVertex[] = {"vertex_ai/"};
constexpr std::string_view kGemini[] = {"gemini/", "vertex_ai/"};
constexpr std::string_view kMistral[] = {"mistral/"};
constexpr std::string_view kGroq[] = {"groq/"};
constexpr std::string_view kDeepSeek[] = {"deepseek/"};
constexpr std::string_view kXai[] = {"xai/"};
constexpr std::string_view kCohere[] = {"cohere/", "cohere_chat/"};
constexpr std::string_view kPerplexity[] = {"perplexity/"};
constexpr std::string_view kTogether[] = {"together_ai/"};
constexpr std::string_view kFireworks[] = {"fireworks_ai/", "fireworks_ai/accounts/fireworks/models/"};
constexpr std::string_view kOpenRouter[] = {"openrouter/"};
constexpr std::string_view kMoonshot[] = {"moonshot/"};
constexpr std::string_view kZai[] = {"zai/"};
constexpr std::string_view kDashScope[] = {"dashscope/"};
constexpr std::string_view kCerebras[] = {"cerebras/"};
constexpr std::string_view kMinimax[] = {"minimax/"};
constexpr std::string_view kNvidia[] = {"nvidia_nim/"};

struct ProviderPrefixes {
  std::string_view provider;
  Names prefixes;
};
// By both the short labels and the names of the OpenTelemetry GenAI conventions.
constexpr ProviderPrefixes kProviders[] = {
    {"openai", kOpenAi},
    {"azure", kAzure},
    {"azure.ai.openai", kAzure},
    {"azure.ai.inference", kAzure},
    {"anthropic", kAnthropic},
    {"bedrock", kBedrock},
    {"aws.bedrock", kBedrock},
    {"vertex_ai", kVertex},
    {"gcp.vertex_ai", kVertex},
    {"gemini", kGemini},
    {"gcp.gemini", kGemini},
    {"gcp.gen_ai", kGemini},
    {"mistral", kMistral},
    {"mistral_ai", kMistral},
    {"groq", kGroq},
    {"deepseek", kDeepSeek},
    {"xai", kXai},
    {"x_ai", kXai},
    {"cohere", kCohere},
    {"perplexity", kPerplexity},
    {"together_ai", kTogether},
    {"fireworks_ai", kFireworks},
    {"openrouter", kOpenRouter},
    {"moonshot", kMoonshot},
    {"moonshot_ai", kMoonshot},
    {"zai", kZai},
    {"dashscope", kDashScope},
    {"cerebras", kCerebras},
    {"minimax", kMinimax},
    {"nvidia_nim", kNvidia},
};

// Prefixes that name who serves the model. One that a table lists under its own name never gets here.
constexpr std::string_view kServedBy[] = {"openai/", "anthropic/", "azure/",  "azure_ai/",  "bedrock/",
                                          "gemini/", "google/",    "cohere/", "vertex_ai/", "models/"};
constexpr std::string_view kRegions[] = {"us.", "eu.", "apac.", "global.", "us-gov.", "jp.", "au."};

// Words that make another model, with another price, of a known name. Whatever is not here (instruct,
// chat, codex, exp, …) has been sold at the price of the name before it.
constexpr std::string_view kOtherModel[] = {
    "mini",       "nano",  "micro",    "lite",     "flash",   "pro",   "max",       "ultra",     "plus",
    "turbo",      "large", "small",    "medium",   "tiny",    "fast",  "audio",     "realtime",  "tts",
    "transcribe", "image", "vision",   "video",    "search",  "deep",  "embedding", "embed",     "moderation",
    "live",       "omni",  "reasoner", "thinking", "distill", "coder", "guard",     "safeguard", "heavy",
    "air",        "terra", "sol",      "luna",     "astra",   "opus",  "sonnet",    "haiku",     "fable"};

bool digit(char c) { return c >= '0' && c <= '9'; }

size_t digits_at_end(std::string_view text) {
  size_t n = 0;
  while (n < text.size() && digit(text[text.size() - 1 - n])) ++n;
  return n;
}

bool cut(std::string_view& model, size_t bytes) {
  if (bytes == 0 || bytes >= model.size()) return false;
  model.remove_suffix(bytes);
  return true;
}

// "-v1:0", "-v2:0:48k", "-v1"
size_t bedrock_version(std::string_view model) {
  const size_t at = model.rfind("-v");
  if (at == std::string_view::npos || at + 2 >= model.size()) return 0;
  const std::string_view rest = model.substr(at + 2);
  const bool plain = std::ranges::all_of(rest, [](char c) { return digit(c) || c == ':' || c == 'k'; });
  return plain && digit(rest[0]) && rest.find(':') != std::string_view::npos ? model.size() - at : 0;
}

void add_spelling(std::vector<std::string>& to, std::string_view name) {
  if (!name.empty() && to.size() < 6 && std::ranges::find(to, name) == to.end()) to.emplace_back(name);
}

}  // namespace

Names price_prefixes(std::string_view provider) {
  for (const ProviderPrefixes& row : kProviders)
    if (row.provider == provider) return row.prefixes;
  return {};
}

std::vector<std::string> model_spellings(std::string_view model) {
  std::vector<std::string> spellings;
  add_spelling(spellings, model);
  std::string_view name = model;
  for (const std::string_view prefix : kServedBy)
    if (name.starts_with(prefix)) {
      name.remove_prefix(prefix.size());
      add_spelling(spellings, name);
    }
  for (const std::string_view region : kRegions)
    if (name.starts_with(region)) {
      name.remove_prefix(region.size());
      add_spelling(spellings, name);
    }
  // Azure's deployments and replies write gpt-3.5 as gpt-35.
  if (name.starts_with("gpt-35-")) add_spelling(spellings, "gpt-3.5-" + std::string(name.substr(7)));
  return spellings;
}

bool strip_release_suffix(std::string_view& model) {
  for (const std::string_view word : {"-latest", ":free", "-preview", ":latest"})
    if (model.ends_with(word)) return cut(model, word.size());
  if (const size_t bytes = bedrock_version(model)) return cut(model, bytes);
  const size_t n = digits_at_end(model);
  if (n == 0 || n == model.size()) return false;
  const char before = model[model.size() - n - 1];
  if (before == '@' && n == 8) return cut(model, 9);
  if (before != '-') return false;
  if (n == 8 || n == 4) return cut(model, n + 1);
  // -YYYY-MM-DD
  const std::string_view tail = model.size() > 11 ? model.substr(model.size() - 11) : std::string_view();
  if (n == 2 && tail.size() == 11 && tail[0] == '-' && tail[5] == '-' && tail[8] == '-' &&
      std::ranges::all_of(tail.substr(1, 4), digit) && std::ranges::all_of(tail.substr(6, 2), digit))
    return cut(model, 11);
  return false;
}

bool is_other_model(std::string_view rest) {
  bool first = true;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find_first_of("-:@."), rest.size());
    const std::string_view word = rest.substr(0, end);
    if (std::ranges::find(kOtherModel, word) != std::end(kOtherModel)) return true;
    // A version ("5-1") or a size ("8b") right behind the name; longer numbers are dates.
    if (first && !word.empty() && digit(word[0]) && (word.size() <= 3 || word.ends_with('b'))) return true;
    first = false;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return false;
}

}  // namespace llmtap
