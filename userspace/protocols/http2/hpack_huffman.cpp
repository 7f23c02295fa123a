// SPDX-License-Identifier: Apache-2.0
#include "protocols/http2/hpack_huffman.h"

#include <array>
#include <cstdint>

namespace llmtap::http2 {
namespace {

constexpr int kShortest = 5, kLongest = 30;
constexpr uint16_t kEndOfString = 256;

// Bits of each symbol's code. The code is canonical: within a length codes ascend with the symbol, so
// that the lengths say everything.
constexpr std::array<uint8_t, 257> kBits = {
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 6,  10, 10, 12, 13, 6,  8,  11, 10, 10, 8,  11, 8,  6,  6,  6,  5,  5,  5,  6,
    6,  6,  6,  6,  6,  6,  7,  8,  15, 6,  12, 10, 13, 6,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,
    7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  8,  7,  8,  13, 19, 13, 14, 6,  15, 5,  6,  5,  6,  5,  6,  6,
    6,  5,  7,  7,  6,  6,  6,  5,  6,  7,  6,  5,  5,  6,  7,  7,  7,  7,  7,  15, 11, 14, 13, 28, 20, 22,
    20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23,
    22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22,
    23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22,
    25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30};

struct Code {
  // Of each length: the first code beyond it, left aligned in 32 bits; its first code; where its
  // symbols begin.
  std::array<uint64_t, kLongest + 1> end{};
  std::array<uint32_t, kLongest + 1> first{};
  std::array<uint16_t, kLongest + 1> begin{};
  std::array<uint16_t, kBits.size()> symbols{};
};

constexpr Code make_code() {
  Code code;
  uint64_t next = 0;
  uint16_t at = 0;
  for (size_t bits = kShortest; bits <= kLongest; ++bits) {
    code.first[bits] = static_cast<uint32_t>(next);
    code.begin[bits] = at;
    for (size_t symbol = 0; symbol < kBits.size(); ++symbol)
      if (kBits[symbol] == bits) {
        code.symbols[at++] = static_cast<uint16_t>(symbol);
        ++next;
      }
    code.end[bits] = next << (32 - bits);
    next <<= 1;
  }
  return code;
}

constexpr Code kCode = make_code();
// The codes of a complete prefix code fill the space exactly.
static_assert(kCode.end[kLongest] == 1ULL << 32);

}  // namespace

bool huffman_decode(std::string_view coded, std::string& out) {
  uint64_t window = 0;  // bits not yet decoded, left aligned in the upper 32 of `have` bits
  size_t have = 0, at = 0;
  while (true) {
    while (have <= 32 && at < coded.size()) {
      window |= static_cast<uint64_t>(static_cast<uint8_t>(coded[at++])) << (56 - have);
      have += 8;
    }
    const auto top = static_cast<uint32_t>(window >> 32);
    size_t bits = kShortest;
    while (bits <= kLongest && top >= kCode.end[bits]) ++bits;
    if (bits > have || bits > kLongest) {
      // RFC 7541 5.2: what is left is padding, the begin of the end-of-string symbol, less than a byte.
      const uint32_t ones = have == 0 ? 0 : ~uint32_t{0} << (32 - have);
      return have < 8 && top == ones;
    }
    const uint16_t symbol = kCode.symbols[kCode.begin[bits] + (top >> (32 - bits)) - kCode.first[bits]];
    if (symbol == kEndOfString) return false;
    out.push_back(static_cast<char>(symbol));
    window <<= bits;
    have -= bits;
  }
}

std::optional<uint8_t> huffman_symbol(std::string_view coded, size_t& at) {
  uint64_t window = 0;  // the next bits, left aligned
  for (size_t i = 0; i < 5; ++i) {
    const size_t byte = at / 8 + i;
    if (byte < coded.size())
      window |= static_cast<uint64_t>(static_cast<uint8_t>(coded[byte])) << (56 - 8 * i);
  }
  const auto top = static_cast<uint32_t>(window << (at % 8) >> 32);
  size_t bits = kShortest;
  while (bits <= kLongest && top >= kCode.end[bits]) ++bits;
  if (bits > kLongest || at + bits > coded.size() * 8) return std::nullopt;
  const uint16_t symbol = kCode.symbols[kCode.begin[bits] + (top >> (32 - bits)) - kCode.first[bits]];
  if (symbol == kEndOfString) return std::nullopt;
  at += bits;
  return static_cast<uint8_t>(symbol);
}

bool huffman_padding(std::string_view coded, size_t at) {
  const size_t left = coded.size() * 8 - at;
  if (left == 0 || left >= 8) return left == 0;
  const auto ones = static_cast<uint8_t>((1u << left) - 1);
  return (static_cast<uint8_t>(coded.back()) & ones) == ones;
}

}  // namespace llmtap::http2
