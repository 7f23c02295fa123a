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
// `provider`: by the host.
BatchForm batch_form(std::string_view method, std::string_view path, const Route& route,
                     std::string_view provider);
void begin_batch(CallState&, const std::shared_ptr<const PriceTable>&, const PriceRules&,
                 size_t max_string_bytes);

}  // namespace llmtap
