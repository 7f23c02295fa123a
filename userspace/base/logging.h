// SPDX-License-Identifier: Apache-2.0
// The program's own messages: spdlog, to stderr (stdout belongs to the calls). Libraries use spdlog's
// functions (spdlog::warn(...)) and never configure it.
#pragma once

#include <string>
#include <string_view>

#include "llmtap/result.h"

namespace llmtap {

// trace, debug, info, warn, error, off. Called once, before threads start; again to change the level.
Result<> set_up_logging(std::string_view level);

// R16: "llmtap: cannot load BPF programs: Operation not permitted", the hint indented below it.
std::string failure_text(const Error& error);

// Text of untrusted origin on a terminal or in a message: control bytes and invalid UTF-8 become '?'.
std::string printable(std::string_view text);

}  // namespace llmtap
