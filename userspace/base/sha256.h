// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace llmtap {

// 64 hex digits, small letters.
std::string sha256_hex(std::string_view bytes);

}  // namespace llmtap
