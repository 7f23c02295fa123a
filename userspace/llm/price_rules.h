// SPDX-License-Identifier: Apache-2.0
// What holds beside a price table: factors of service classes that it does not list, and discounts.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "llm/prices.h"

namespace llmtap {

// "flex", "priority": also of configuration.
std::optional<ServiceTier> service_tier_named(std::string_view name);

struct PriceRules {
  using Factors = std::vector<std::pair<std::string, double>>;

  double batch_factor = 0.5;
  Factors tier_factors;  // "flex" or "openai/flex" -> factor; the one that names the provider counts first
  Factors discounts;     // provider -> part of the price, 0..1, that is not paid

  // The factor on standard rates of a class that the table does not list; absent: not known, so calls of
  // that class have no price. Batches: batch_factor. Others: tier_factors, else what the provider
  // publishes for all of its models.
  std::optional<double> class_factor(std::string_view provider, ServiceTier) const;
  // What is left of a price.
  double paid(std::string_view provider) const;
};

}  // namespace llmtap
