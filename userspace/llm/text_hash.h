// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace llmtap {

// 64-bit hash of a byte sequence, the same however it is cut into pieces. Of this process only: it may
// change with the next version.
class TextHash {
 public:
  void add(const char* bytes, size_t n);
  uint64_t value() const;

 private:
  static uint64_t mix(uint64_t state, uint64_t block);
  // Blocks of eight bytes go to the lanes in turn: four products at a time.
  static constexpr size_t kLanes = 4;
  std::array<uint64_t, kLanes> lanes_{0x9e3779b97f4a7c15, 0xd1b54a32d192ed03, 0x8cb92ba72f3d8dd7,
                                      0xabc98388fb8fac03};
  uint64_t pending_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace llmtap
