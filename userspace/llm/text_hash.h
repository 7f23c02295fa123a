// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace llmtap {

// 64-bit hash of a byte sequence, the same however it is cut into pieces.
class TextHash {
 public:
  void add(const char* bytes, size_t n);
  uint64_t value() const;

 private:
  static uint64_t mix(uint64_t state, uint64_t block);
  uint64_t state_ = 0x9e3779b97f4a7c15;
  uint64_t pending_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace llmtap
