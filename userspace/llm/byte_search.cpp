// SPDX-License-Identifier: Apache-2.0
#include "llm/byte_search.h"

namespace llmtap {

const char* count_text(const char* p, const char* end, uint64_t& characters, uint64_t& wide) {
#if defined(__SSE2__)
  if (end - p >= 16) {
    const __m128i zero = _mm_setzero_si128();
    const __m128i one = _mm_set1_epi8(1);
    __m128i sum_characters = zero, sum_wide = zero;
    for (; end - p >= 16; p += 16) {
      const __m128i bytes = byte_search::load(p);
      if (byte_search::string_special_mask(bytes) != 0) break;
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
  }
#endif
  for (; p < end && !byte_search::string_special(*p); ++p) {
    const auto byte = static_cast<unsigned char>(*p);
    characters += (byte & 0xc0) != 0x80;
    wide += byte >= 0xe0;
  }
  return p;
}

}  // namespace llmtap
