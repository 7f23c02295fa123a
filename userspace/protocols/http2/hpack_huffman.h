// SPDX-License-Identifier: Apache-2.0
// The Huffman code of HPACK strings (RFC 7541 5.2, appendix B).
#pragma once

#include <string>
#include <string_view>

namespace llmtap::http2 {

// Appends the decoded text. False: the coded string is damaged; what was appended is worthless.
bool huffman_decode(std::string_view coded, std::string& out);

}  // namespace llmtap::http2
