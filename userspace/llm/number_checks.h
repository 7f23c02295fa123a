// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>

#include "llm/json_scanner.h"

namespace llmtap {

// A count as providers write them: 28, and 28.0 (Titan). Nothing below 0, with a fraction, or beyond
// what a double holds exactly.
inline std::optional<uint64_t> as_count(const JsonNumber& number) {
  constexpr double kLargest = 9007199254740992.0;  // 2^53
  if (number.integer && number.whole >= 0 && number.value <= kLargest)
    return static_cast<uint64_t>(number.whole);
  if (number.integer || !(number.value >= 0) || number.value > kLargest ||
      std::trunc(number.value) != number.value)
    return std::nullopt;
  return static_cast<uint64_t>(number.value);
}

}  // namespace llmtap
