// SPDX-License-Identifier: Apache-2.0
#include "llm/byte_search.h"

#include <bit>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace llmtap {
namespace {

bool string_special(char c) { return c == '"' || c == '\\'; }
bool container_special(char c) { return c == '"' || c == '{' || c == '}' || c == '[' || c == ']'; }

#if defined(__SSE2__)
__m128i load(const char* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
uint32_t mask_of(__m128i matches) { return static_cast<uint32_t>(_mm_movemask_epi8(matches)); }

uint32_t string_special_mask(__m128i bytes) {
  return mask_of(
      _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'))));
}

uint32_t container_special_mask(__m128i bytes) {
  // '[' | 0x20 is '{' and ']' | 0x20 is '}'.
  const __m128i folded = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
  const __m128i braces =
      _mm_or_si128(_mm_cmpeq_epi8(folded, _mm_set1_epi8('{')), _mm_cmpeq_epi8(folded, _mm_set1_epi8('}')));
  return mask_of(_mm_or_si128(braces, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'))));
}
#endif

}  // namespace

const char* find_string_special(const char* p, const char* end) {
#if defined(__SSE2__)
  for (; end - p >= 16; p += 16)
    if (const uint32_t mask = string_special_mask(load(p))) return p + std::countr_zero(mask);
#endif
  while (p < end && !string_special(*p)) ++p;
  return p;
}

const char* find_container_special(const char* p, const char* end) {
#if defined(__SSE2__)
  for (; end - p >= 16; p += 16)
    if (const uint32_t mask = container_special_mask(load(p))) return p + std::countr_zero(mask);
#endif
  while (p < end && !container_special(*p)) ++p;
  return p;
}

const char* count_text(const char* p, const char* end, uint64_t& characters, uint64_t& wide) {
#if defined(__SSE2__)
  const __m128i zero = _mm_setzero_si128();
  const __m128i one = _mm_set1_epi8(1);
  __m128i sum_characters = zero, sum_wide = zero;
  for (; end - p >= 16; p += 16) {
    const __m128i bytes = load(p);
    if (string_special_mask(bytes) != 0) break;
    // Signed, continuation bytes are below -64, and leads of three and four bytes lie in -32 … -1.
    const __m128i lead = _mm_cmpgt_epi8(bytes, _mm_set1_epi8(-65));
    const __m128i long_lead =
        _mm_and_si128(_mm_cmpgt_epi8(bytes, _mm_set1_epi8(-33)), _mm_cmplt_epi8(bytes, zero));
    sum_characters = _mm_add_epi64(sum_characters, _mm_sad_epu8(_mm_and_si128(lead, one), zero));
    sum_wide = _mm_add_epi64(sum_wide, _mm_sad_epu8(_mm_and_si128(long_lead, one), zero));
  }
  alignas(16) uint64_t lanes[2];
  _mm_store_si128(reinterpret_cast<__m128i*>(lanes), sum_characters);
  characters += lanes[0] + lanes[1];
  _mm_store_si128(reinterpret_cast<__m128i*>(lanes), sum_wide);
  wide += lanes[0] + lanes[1];
#endif
  for (; p < end && !string_special(*p); ++p) {
    const auto byte = static_cast<unsigned char>(*p);
    characters += (byte & 0xc0) != 0x80;
    wide += byte >= 0xe0;
  }
  return p;
}

}  // namespace llmtap
