// SPDX-License-Identifier: Apache-2.0
// Cost of one call by a price table.
#pragma once

#include <optional>

#include "llm/prices.h"
#include "llmtap/llm_call.h"

namespace llmtap {

// The rates that hold for a request of this size and class: context tier first, then service class.
// What the class does not list follows the ratio of its input (output) rate to the standard one; a
// batch without any listed rate is half price.
Rates effective_rates(const ModelPrice&, uint64_t input_tokens, ServiceTier);

// USD, or nothing: when the token counts are not known or contradict each other, or a rate that is
// needed is not listed.
std::optional<double> cost_usd(const ModelPrice&, const TokenCounts&, ServiceTier = ServiceTier::kStandard);

}  // namespace llmtap
