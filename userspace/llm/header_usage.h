// SPDX-License-Identifier: Apache-2.0
// What a reply's head says of tokens and errors, where its body does not.
#pragma once

#include <span>
#include <string>

#include "llm/body_fields.h"
#include "llmtap/message.h"

namespace llmtap {

// Bedrock's InvokeModel, TGI.
UsageNumbers usage_of_headers(std::span<const HeaderField> response_headers);

// AWS: "ValidationException:http://…" without what follows the colon; empty if absent.
std::string error_of_headers(std::span<const HeaderField> response_headers);

}  // namespace llmtap
