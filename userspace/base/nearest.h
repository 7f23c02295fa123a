// SPDX-License-Identifier: Apache-2.0
// "Did you mean …?" for words that a person typed.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace llmtap {

size_t edit_distance(std::string_view a, std::string_view b);

// The nearest of `candidates`, or empty when none is near: more than a third of the letters, and more
// than two, would have to change.
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace llmtap
