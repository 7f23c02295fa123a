// SPDX-License-Identifier: Apache-2.0
// Bytes that the program has allocated now.
#pragma once

#include <malloc.h>

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define LLMTAP_TEST_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LLMTAP_TEST_ASAN 1
#endif
#endif
#ifdef LLMTAP_TEST_ASAN
// Of <sanitizer/allocator_interface.h>, which GCC's packages leave out.
extern "C" size_t __sanitizer_get_current_allocated_bytes();
#endif

namespace llmtap::test {

// glibc counts what is free and kept at hand: 7 pieces of each of 64 sizes up to a KiB.
#ifdef LLMTAP_TEST_ASAN
inline constexpr size_t kHeapNoise = 0;
#else
inline constexpr size_t kHeapNoise = 256 * 1024;
#endif

inline size_t heap_bytes() {
#ifdef LLMTAP_TEST_ASAN
  return __sanitizer_get_current_allocated_bytes();
#else
  const auto info = mallinfo2();
  return info.uordblks + info.hblkhd;
#endif
}

}  // namespace llmtap::test
