// SPDX-License-Identifier: Apache-2.0
#include "redaction/shortest_deflate.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace llmtap {
namespace {

constexpr size_t kLongest = 258, kShortest = 3, kFarthest = 32 * 1024;
constexpr uint32_t kFixedHeader = 2, kEndOfBlock = 256, kLongestSymbol = 285;

// A number as a symbol and bits behind it (RFC 1951 3.2.5).
struct Coded {
  uint32_t symbol, extra;
  unsigned extra_bits;
};

Coded length_of(size_t length) {
  if (length == kLongest) return {kLongestSymbol, 0, 0};
  const auto value = static_cast<uint32_t>(length - kShortest);
  if (value < 8) return {257 + value, 0, 0};
  const auto bits = static_cast<unsigned>(std::bit_width(value)) - 3;
  return {257 + 4 * bits + 4 + (value >> bits & 3), value & ((1u << bits) - 1), bits};
}

Coded distance_of(size_t distance) {
  const auto value = static_cast<uint32_t>(distance - 1);
  if (value < 4) return {value, 0, 0};
  const auto bits = static_cast<unsigned>(std::bit_width(value)) - 2;
  return {2 * bits + 2 + (value >> bits & 1), value & ((1u << bits) - 1), bits};
}

struct Code {
  uint32_t value;
  unsigned bits;
};
Code code_of(uint32_t symbol) {
  if (symbol < 144) return {0x30 + symbol, 8};
  if (symbol < 256) return {0x190 + symbol - 144, 9};
  if (symbol < 280) return {symbol - 256, 7};
  return {0xc0 + symbol - 280, 8};
}
constexpr unsigned kDistanceBits = 5;

// Codes come with their first bit first.
void put_code(BitQueue& out, uint32_t value, unsigned bits) {
  for (unsigned i = bits; i > 0; --i) out.put(value >> (i - 1) & 1, 1);
}

struct Step {
  uint32_t bits = std::numeric_limits<uint32_t>::max();  // up to here
  uint16_t length = 0;                                   // of the last piece, 1: a literal
  uint16_t distance = 0;
};

}  // namespace

void deflate_shortest(std::string_view window, std::string_view text, BitQueue& out) {
  const std::string all = std::string(window) + std::string(text);
  std::vector<Step> steps(text.size() + 1);
  steps[0].bits = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const size_t at = window.size() + i;
    const auto offer = [&](size_t length, size_t distance, uint32_t bits) {
      Step& step = steps[i + length];
      if (steps[i].bits + bits < step.bits)
        step = {steps[i].bits + bits, static_cast<uint16_t>(length), static_cast<uint16_t>(distance)};
    };
    offer(1, 0, code_of(static_cast<uint8_t>(all[at])).bits);
    const size_t most = std::min(kLongest, all.size() - at);
    // A longer match is of use only if no nearer one is as long.
    size_t found = kShortest - 1;
    for (size_t distance = 1; distance <= std::min(at, kFarthest - 1) && found < most; ++distance) {
      const char* const from = all.data() + at - distance;
      if (from[found] != all[at + found]) continue;
      size_t length = 0;
      while (length < most && from[length] == all[at + length]) ++length;
      const uint32_t distance_bits = kDistanceBits + distance_of(distance).extra_bits;
      for (; found < length; ++found) {
        const Coded coded = length_of(found + 1);
        offer(found + 1, distance, code_of(coded.symbol).bits + coded.extra_bits + distance_bits);
      }
    }
  }
  std::vector<size_t> ends;
  for (size_t end = text.size(); end > 0; end -= steps[end].length) ends.push_back(end);
  out.put(kFixedHeader, 3);
  for (const size_t end : std::vector<size_t>(ends.rbegin(), ends.rend())) {
    const Step& step = steps[end];
    const Coded coded =
        step.length == 1 ? Coded{static_cast<uint8_t>(text[end - 1]), 0, 0} : length_of(step.length);
    put_code(out, code_of(coded.symbol).value, code_of(coded.symbol).bits);
    if (coded.extra_bits > 0) out.put(coded.extra, coded.extra_bits);
    if (step.length == 1) continue;
    const Coded distance = distance_of(step.distance);
    put_code(out, distance.symbol, kDistanceBits);
    if (distance.extra_bits > 0) out.put(distance.extra, distance.extra_bits);
  }
  put_code(out, code_of(kEndOfBlock).value, code_of(kEndOfBlock).bits);
}

}  // namespace llmtap
