// SPDX-License-Identifier: Apache-2.0
// From the configuration to what the parts of the pipeline take.
#pragma once

#include <memory>

#include "llm/call_tracker.h"
#include "llmtap/limits.h"
#include "pipeline/config.h"

namespace llmtap {

CallTrackerOptions tracker_options(const Config& config);
Limits limits_of(const Config& config);
// The configured file, or the table shipped inside the program.
Result<std::shared_ptr<const PriceTable>> load_prices(const Config& config);

}  // namespace llmtap
