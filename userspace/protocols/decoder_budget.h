// SPDX-License-Identifier: Apache-2.0
// The memory that all content decoders share. Decoders allocate through it, so the bound is exact,
// whatever window a hostile stream asks for.
#pragma once

#include <cstddef>
#include <cstdlib>

namespace llmtap {

class DecoderBudget {
 public:
  explicit DecoderBudget(size_t max_bytes) : max_bytes_(max_bytes) {}
  DecoderBudget(const DecoderBudget&) = delete;
  DecoderBudget& operator=(const DecoderBudget&) = delete;

  // Null when the budget is spent: the libraries report it as their out-of-memory.
  void* allocate(size_t bytes) {
    if (bytes > max_bytes_ || used_ + bytes + sizeof(Header) > max_bytes_) return nullptr;
    auto* header = static_cast<Header*>(std::malloc(bytes + sizeof(Header)));
    if (!header) return nullptr;
    header->bytes = bytes;
    used_ += bytes + sizeof(Header);
    return header + 1;
  }
  void release(void* memory) {
    if (!memory) return;
    Header* header = static_cast<Header*>(memory) - 1;
    used_ -= header->bytes + sizeof(Header);
    std::free(header);
  }
  size_t used() const { return used_; }

 private:
  struct alignas(std::max_align_t) Header {
    size_t bytes;
  };
  size_t max_bytes_;
  size_t used_ = 0;
};

}  // namespace llmtap
