// SPDX-License-Identifier: Apache-2.0
// What a finished call cost: as a gateway or provider says, else by the price table.
#pragma once

#include "llm/open_exchange.h"

namespace llmtap {

// Operations whose tokens, if any, are reported: an estimate from their texts would be none of what is
// billed.
bool billed_by_unit(std::string_view operation);

void price_call(LlmCall&, const CallState&, const ReplyFacts&, const FinishContext&);

}  // namespace llmtap
