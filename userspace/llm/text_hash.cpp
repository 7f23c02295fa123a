// SPDX-License-Identifier: Apache-2.0
#include "llm/text_hash.h"

#include <cstring>

namespace llmtap {

void TextHash::add(const char* bytes, size_t n) {
  size_t filled = bytes_ & 7;
  bytes_ += n;
  while (n > 0 && filled != 0) {
    pending_ |= uint64_t{static_cast<unsigned char>(*bytes)} << (8 * filled);
    ++bytes, --n;
    filled = (filled + 1) & 7;
    if (filled == 0) {
      state_ = mix(state_, pending_);
      pending_ = 0;
    }
  }
  for (; n >= 8; bytes += 8, n -= 8) {
    uint64_t block = 0;
    std::memcpy(&block, bytes, 8);
    state_ = mix(state_, block);
  }
  for (size_t i = 0; i < n; ++i)
    pending_ |= uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * (filled + i));
}

uint64_t TextHash::mix(uint64_t state, uint64_t block) {
  state = (state ^ block) * 0xff51afd7ed558ccd;
  return state ^ (state >> 32);
}

uint64_t TextHash::value() const {
  const uint64_t hash = mix(mix(state_, pending_), bytes_);
  return hash == 0 ? 1 : hash;
}

}  // namespace llmtap
