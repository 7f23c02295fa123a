// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "llm/body_fields.h"
#include "llm/dialect.h"
#include "llmtap/llm_call.h"

namespace llmtap {

// From a provider's numbers to ours: input includes cache reads and writes, output includes
// reasoning. `source` is kReported when there is an input or output count, else kNone.
TokenCounts count_tokens(const UsageNumbers&, Dialect, std::string_view provider);

}  // namespace llmtap
