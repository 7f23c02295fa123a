// SPDX-License-Identifier: Apache-2.0
#include "llm/price_rules.h"

#include <algorithm>

namespace llmtap {
namespace {

struct PublishedFactor {
  std::string_view provider;
  ServiceTier tier;
  double factor;
};
constexpr PublishedFactor kPublished[] = {
    // "Tokens are priced at Batch API rates" (OpenAI, flex processing).
    {"openai", ServiceTier::kFlex, 0.5},
    // "50% discount" (Gemini API, optimization; Vertex AI, Flex PayGo). Of priority they name a range.
    {"gcp.gemini", ServiceTier::kFlex, 0.5},
    {"gcp.vertex_ai", ServiceTier::kFlex, 0.5},
    // "Pricing matches the on-demand tier" (Groq, flex processing).
    {"groq", ServiceTier::kFlex, 1},
};

std::optional<double> find(const PriceRules::Factors& factors, std::string_view name) {
  const auto at = std::ranges::find(factors, name, &std::pair<std::string, double>::first);
  return at == factors.end() ? std::nullopt : std::optional(at->second);
}

std::string_view name_of(ServiceTier tier) {
  return tier == ServiceTier::kFlex ? "flex" : tier == ServiceTier::kPriority ? "priority" : "";
}

}  // namespace

std::optional<ServiceTier> service_tier_named(std::string_view name) {
  for (const ServiceTier tier : {ServiceTier::kFlex, ServiceTier::kPriority})
    if (name == name_of(tier)) return tier;
  return std::nullopt;
}

std::optional<double> PriceRules::class_factor(std::string_view provider, ServiceTier tier) const {
  if (tier == ServiceTier::kStandard) return 1;
  if (tier == ServiceTier::kBatch) return batch_factor;
  const std::string name(name_of(tier));
  if (const auto factor = find(tier_factors, std::string(provider) + "/" + name)) return factor;
  if (const auto factor = find(tier_factors, name)) return factor;
  for (const PublishedFactor& row : kPublished)
    if (row.provider == provider && row.tier == tier) return row.factor;
  return std::nullopt;
}

double PriceRules::paid(std::string_view provider) const { return 1 - find(discounts, provider).value_or(0); }

}  // namespace llmtap
