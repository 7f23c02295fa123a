// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

namespace llmtap {

struct ByteRange {
  size_t offset = 0, length = 0;
  bool operator==(const ByteRange&) const = default;
};

// Ascending; what is adjacent is one range.
class ByteRanges {
 public:
  void add(size_t offset, size_t length = 1) {
    if (length == 0) return;
    if (!ranges_.empty() && ranges_.back().offset + ranges_.back().length == offset)
      ranges_.back().length += length;
    else
      ranges_.push_back({offset, length});
  }
  std::vector<ByteRange> take() { return std::move(ranges_); }

 private:
  std::vector<ByteRange> ranges_;
};

}  // namespace llmtap
