// SPDX-License-Identifier: Apache-2.0
#include "llm/text_hash.h"

#include <cstring>

namespace llmtap {

namespace {

uint64_t load8(const char* p) {
  uint64_t block = 0;
  std::memcpy(&block, p, 8);
  return block;
}

// Fewer than eight bytes, at least one; halves may overlap, they hold the same bytes there.
uint64_t load_few(const char* p, size_t n) {
  if (n >= 4) {
    uint32_t low = 0, high = 0;
    std::memcpy(&low, p, 4);
    std::memcpy(&high, p + n - 4, 4);
    return low | uint64_t{high} << (8 * (n - 4));
  }
  uint64_t block = static_cast<unsigned char>(p[0]);
  if (n > 1) block |= uint64_t{static_cast<unsigned char>(p[1])} << 8;
  if (n > 2) block |= uint64_t{static_cast<unsigned char>(p[2])} << 16;
  return block;
}

}  // namespace

// The text is a sequence of blocks of eight bytes, little endian, whatever the pieces.
void TextHash::add(const char* bytes, size_t n) {
  const size_t filled = bytes_ & 7, shift = 8 * filled;
  size_t lane = bytes_ / 8 % kLanes;
  bytes_ += n;
  if (shift == 0 && lane == 0 && n >= 8 * kLanes) {
    auto lanes = lanes_;
    for (; n >= 8 * kLanes; bytes += 8 * kLanes, n -= 8 * kLanes)
      for (size_t i = 0; i < kLanes; ++i) lanes[i] = mix(lanes[i], load8(bytes + 8 * i));
    lanes_ = lanes;
  }
  const auto add_block = [&](uint64_t block) {
    lanes_[lane] = mix(lanes_[lane], pending_ | block << shift);
    lane = (lane + 1) % kLanes;
    pending_ = shift == 0 ? 0 : block >> (64 - shift);
  };
  for (; n >= 8; bytes += 8, n -= 8) add_block(load8(bytes));
  if (n == 0) return;
  const uint64_t block = load_few(bytes, n);
  if (filled + n >= 8)
    add_block(block);
  else
    pending_ |= block << shift;
}

uint64_t TextHash::mix(uint64_t state, uint64_t block) {
  state = (state ^ block) * 0xff51afd7ed558ccd;
  return state ^ (state >> 32);
}

uint64_t TextHash::value() const {
  uint64_t hash = mix(bytes_, pending_);
  for (const uint64_t lane : lanes_) hash = mix(hash, lane);
  return hash == 0 ? 1 : hash;
}

}  // namespace llmtap
