// SPDX-License-Identifier: Apache-2.0
// `llmtap calls`: the daemon's /api/calls as a table.
#pragma once

#include <cstddef>
#include <string>

#include "llmtap/result.h"

namespace llmtap {

// `json`: what /api/calls answered. At most `newest` calls, the newest last, as a terminal wants it.
Result<std::string> calls_table(const std::string& json, size_t newest);

// The same calls as JSON, newest first, with every field, as the daemon answered them.
Result<std::string> calls_json(const std::string& json, size_t newest);

}  // namespace llmtap
