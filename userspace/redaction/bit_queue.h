// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace llmtap {

// Bits in deflate's order (RFC 1951 3.1.1), the first in the lowest place of a byte.
class BitQueue {
 public:
  void put(uint32_t value, size_t bits) {
    for (size_t i = 0; i < bits; i += 8)
      put_byte(static_cast<uint8_t>(value >> i), std::min<size_t>(8, bits - i));
  }
  void put(std::span<const uint8_t> bytes, size_t bits) {
    for (size_t i = 0; i < bits; i += 8) put_byte(bytes[i / 8], std::min<size_t>(8, bits - i));
  }
  size_t bits() const { return bits_; }
  size_t kept_bytes() const { return bytes_.capacity(); }
  // The first bits, up to whole bytes; zeros behind the last one.
  void take(std::span<uint8_t> out) {
    const size_t have = std::min(out.size(), bytes_.size());
    std::copy_n(bytes_.begin(), have, out.begin());
    std::ranges::fill(out.subspan(have), uint8_t{0});
    bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(have));
    bits_ -= std::min(bits_, have * 8);
  }
  void clear() { *this = {}; }

 private:
  void put_byte(uint8_t byte, size_t bits) {
    byte = static_cast<uint8_t>(byte & ((1u << bits) - 1));
    const size_t phase = bits_ % 8;
    if (phase == 0)
      bytes_.push_back(byte);
    else
      bytes_.back() = static_cast<uint8_t>(bytes_.back() | byte << phase);
    if (phase != 0 && phase + bits > 8) bytes_.push_back(static_cast<uint8_t>(byte >> (8 - phase)));
    bits_ += bits;
  }
  std::vector<uint8_t> bytes_;
  size_t bits_ = 0;
};

}  // namespace llmtap
