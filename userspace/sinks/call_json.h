// SPDX-License-Identifier: Apache-2.0
// One finished call as one JSON object on one line: all fields of the log's style `llmtap`, always
// in the same order, null when unknown.
#pragma once

#include <cstdint>
#include <string>

#include "llmtap/llm_call.h"

namespace llmtap {

std::string call_json(const LlmCall& call);  // without the newline
std::string rfc3339_ms(uint64_t wall_ns);    // UTC, milliseconds

}  // namespace llmtap
