// SPDX-License-Identifier: Apache-2.0
// What Bedrock says in the head of a reply: InvokeModel's token counts (the body is the vendor's own and may
// have none), and the type of an error (its body has only a message).
#pragma once

#include <span>
#include <string>

#include "llm/body_fields.h"
#include "llmtap/message.h"

namespace llmtap {

UsageNumbers bedrock_header_usage(std::span<const HeaderField> response_headers);
std::string bedrock_header_error(std::span<const HeaderField> response_headers);

}  // namespace llmtap
