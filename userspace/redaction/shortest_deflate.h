// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "redaction/bit_queue.h"

namespace llmtap {

// One block of deflate with the fixed codes (RFC 1951 3.2.6) that is as short as such a block can be: of all
// matches with `window`, and with the text itself, the cheapest. Takes time; for short texts that zlib, which
// takes what it finds first, leaves a few bits too long.
void deflate_shortest(std::string_view window, std::string_view text, BitQueue& out);

}  // namespace llmtap
