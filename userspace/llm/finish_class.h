// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace llmtap {

// stop, length, tool, filter, error or other, of a provider's raw finish reason; empty for an empty one
// and for DashScope's string "null".
std::string_view finish_class(std::string_view raw);

}  // namespace llmtap
