// SPDX-License-Identifier: Apache-2.0
// The scanner's inner loops: sixteen bytes at a time where the CPU has SSE2.
#pragma once

#include <cstdint>

namespace llmtap {

// First '"' or '\\' in [p, end), else end.
const char* find_string_special(const char* p, const char* end);
// First quote, brace or bracket in [p, end), else end.
const char* find_container_special(const char* p, const char* end);
// As find_string_special; adds the characters passed over (UTF-8 lead bytes) and how many of them
// have three or four bytes.
const char* count_text(const char* p, const char* end, uint64_t& characters, uint64_t& wide);

}  // namespace llmtap
