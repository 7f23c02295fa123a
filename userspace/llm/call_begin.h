// SPDX-License-Identifier: Apache-2.0
// What a request says of its call before the body has ended.
#pragma once

#include <string_view>

#include "llm/open_exchange.h"

namespace llmtap {

// The dialect that the body read so far proves, kNone if it does not (yet).
Dialect request_shape(const CallState&);
// A call is opened at the first sign of one: what its whole request is must not depend on how much of it
// had come by then. The request has ended.
void settle_dialect(CallState&);
// A file of the route may hold the results of a batch: OpenAI's (Mistral's and Azure's are the same),
// Anthropic's.
bool is_batch_results(std::string_view route);

}  // namespace llmtap
