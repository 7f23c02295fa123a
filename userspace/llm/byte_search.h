// SPDX-License-Identifier: Apache-2.0
// The scanner's inner loops: sixteen bytes at a time where the CPU has SSE2. Inline, because most
// strings of an event are shorter than the cost of a call.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace llmtap {
namespace byte_search {

inline bool string_special(char c) { return c == '"' || c == '\\'; }
inline bool container_special(char c) { return c == '"' || c == '{' || c == '}' || c == '[' || c == ']'; }

#if defined(__SSE2__)
inline __m128i load(const char* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
inline uint32_t mask_of(__m128i matches) { return static_cast<uint32_t>(_mm_movemask_epi8(matches)); }

inline uint32_t string_special_mask(__m128i bytes) {
  return mask_of(
      _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'))));
}

inline uint32_t container_special_mask(__m128i bytes) {
  // '[' | 0x20 is '{' and ']' | 0x20 is '}'.
  const __m128i folded = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
  const __m128i braces =
      _mm_or_si128(_mm_cmpeq_epi8(folded, _mm_set1_epi8('{')), _mm_cmpeq_epi8(folded, _mm_set1_epi8('}')));
  return mask_of(_mm_or_si128(braces, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'))));
}
#endif

}  // namespace byte_search

// First '"' or '\\' in [p, end), else end.
inline const char* find_string_special(const char* p, const char* end) {
#if defined(__SSE2__)
  for (; end - p >= 16; p += 16)
    if (const uint32_t mask = byte_search::string_special_mask(byte_search::load(p)))
      return p + std::countr_zero(mask);
#endif
  while (p < end && !byte_search::string_special(*p)) ++p;
  return p;
}

// First quote, brace or bracket in [p, end), else end.
inline const char* find_container_special(const char* p, const char* end) {
#if defined(__SSE2__)
  for (; end - p >= 16; p += 16)
    if (const uint32_t mask = byte_search::container_special_mask(byte_search::load(p)))
      return p + std::countr_zero(mask);
#endif
  while (p < end && !byte_search::container_special(*p)) ++p;
  return p;
}

// As find_string_special; adds the characters passed over (UTF-8 lead bytes) and how many of them
// have three or four bytes.
const char* count_text(const char* p, const char* end, uint64_t& characters, uint64_t& wide);

// The same counts of all of `n` bytes.
void count_characters(const char* bytes, size_t n, uint64_t& characters, uint64_t& wide);

// What a backslash and `c` stand for; 0: \u, or no escape.
char json_unescaped(char c);

// Copies a string's inside to [out, out_end), escapes of one character replaced. Both move behind what
// was copied; stops at the closing quote, at a backslash of anything else (\u, cut, no escape), at the
// end, and when there is room for less than 16 bytes.
void unescape_text(const char*& p, const char* end, char*& out, const char* out_end);

// The value of a hexadecimal digit, or -1.
inline int json_hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char folded = static_cast<char>(c | 0x20);
  return folded >= 'a' && folded <= 'f' ? folded - 'a' + 10 : -1;
}

// The length of the whole valid escape at `p` (2, or 6 for \u), 0 if it is cut or none.
inline size_t escape_length(const char* p, const char* end) {
  if (end - p < 2) return 0;
  switch (p[1]) {
    case '"':
    case '\\':
    case '/':
    case 'n':
    case 't':
    case 'r':
    case 'b':
    case 'f': return 2;
    case 'u':
      if (end - p < 6) return 0;
      for (int i = 2; i < 6; ++i)
        if (json_hex_digit(p[i]) < 0) return 0;
      return 6;
    default: return 0;
  }
}

// Passes over a string's inside, whole valid escapes included: stops at the closing quote, at the
// end, or at an escape that is cut or not valid.
inline const char* skip_string(const char* p, const char* end) {
  for (;;) {
    p = find_string_special(p, end);
    if (p == end || *p == '"') return p;
    const size_t length = escape_length(p, end);
    if (length == 0) return p;
    p += length;
  }
}

}  // namespace llmtap
