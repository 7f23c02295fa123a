// SPDX-License-Identifier: Apache-2.0
// Cost of one call by a price table.
#pragma once

#include <optional>

#include "llm/prices.h"
#include "llmtap/llm_call.h"

namespace llmtap {

// The rates that hold for a request of this size and class: context tier first, then service class.
// What the class does not list follows the ratio of its input (output) rate to the standard one, and
// without any listed rate `unlisted`, the factor of the class (price_rules.h): absent, it has no rates.
Rates effective_rates(const ModelPrice&, uint64_t input_tokens, ServiceTier, std::optional<double> unlisted);

// What a call used beside tokens.
struct BilledUnits {
  uint64_t images = 0, pixels = 0;  // pixels: of one image, 0 if not known
  double seconds = 0;               // of audio
  uint64_t characters = 0;          // to be spoken
  uint64_t queries = 0;             // search units of a ranking
  uint64_t searches = 0;            // web searches of the model
  bool fast = false;
  enum class Region : uint8_t { kAny, kUs, kEu } region = Region::kAny;
  bool any() const { return images > 0 || seconds > 0 || characters > 0 || queries > 0; }
};

// USD, or nothing: when the token counts are not known or contradict each other, or a rate that is
// needed is not listed. Tokens are billed where both they and a rate for them are known, units
// otherwise; fees for searches and factors of region and speed apply to either.
std::optional<double> cost_usd(const ModelPrice&, const TokenCounts&, ServiceTier = ServiceTier::kStandard,
                               const BilledUnits& = {}, std::optional<double> unlisted_class = {});

}  // namespace llmtap
