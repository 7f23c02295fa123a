// SPDX-License-Identifier: Apache-2.0
// The Huffman code of HPACK strings (RFC 7541 5.2, appendix B).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace llmtap::http2 {

// Appends the decoded text. False: the coded string is damaged; what was appended is worthless.
bool huffman_decode(std::string_view coded, std::string& out);

// The symbol whose code begins at bit `at` of the coded string; `at` moves behind it. None: no whole code is
// left.
std::optional<uint8_t> huffman_symbol(std::string_view coded, size_t& at);
// Whether the bits from `at` on are what ends a coded string: ones, less than a byte.
bool huffman_padding(std::string_view coded, size_t at);

}  // namespace llmtap::http2
