// SPDX-License-Identifier: Apache-2.0
#include "llm/byte_search.h"

#include <algorithm>
#include <array>

namespace llmtap {
namespace {

constexpr std::array<char, 256> kUnescaped = [] {
  std::array<char, 256> table{};
  table['n'] = '\n';
  table['t'] = '\t';
  table['r'] = '\r';
  table['b'] = '\b';
  table['f'] = '\f';
  table['"'] = '"';
  table['\\'] = '\\';
  table['/'] = '/';
  return table;
}();

}  // namespace

char json_unescaped(char c) { return kUnescaped[static_cast<unsigned char>(c)]; }

const char* count_text(const char* p, const char* end, uint64_t& characters, uint64_t& wide) {
  const char* const stop = find_string_special(p, end);
  count_characters(p, static_cast<size_t>(stop - p), characters, wide);
  return stop;
}

void count_characters(const char* bytes, size_t n, uint64_t& characters, uint64_t& wide) {
#if defined(__SSE2__)
  const __m128i zero = _mm_setzero_si128();
  const __m128i long_lead = _mm_set1_epi8(static_cast<char>(0xe0));
  while (n >= 16) {
    // In bytes, which hold so many.
    size_t vectors = std::min<size_t>(n / 16, 255);
    n -= vectors * 16;
    __m128i leads = zero, long_leads = zero;
    for (; vectors > 0; --vectors, bytes += 16) {
      const __m128i each = byte_search::load(bytes);
      // Matches are -1. Signed, continuation bytes are below -64; unsigned, leads of three and four are the
      // highest.
      leads = _mm_sub_epi8(leads, _mm_cmpgt_epi8(each, _mm_set1_epi8(-65)));
      long_leads = _mm_sub_epi8(long_leads, _mm_cmpeq_epi8(_mm_max_epu8(each, long_lead), each));
    }
    alignas(16) uint64_t lanes[2];
    _mm_store_si128(reinterpret_cast<__m128i*>(lanes), _mm_sad_epu8(leads, zero));
    characters += lanes[0] + lanes[1];
    _mm_store_si128(reinterpret_cast<__m128i*>(lanes), _mm_sad_epu8(long_leads, zero));
    wide += lanes[0] + lanes[1];
  }
#endif
  for (; n > 0; --n, ++bytes) {
    const auto byte = static_cast<unsigned char>(*bytes);
    characters += (byte & 0xc0) != 0x80;
    wide += byte >= 0xe0;
  }
}

void unescape_text(const char*& p, const char* end, char*& out, const char* out_end) {
  // At a backslash: true if it was an escape of one character.
  const auto unescape = [&] {
    if (end - p < 2) return false;
    const char plain = json_unescaped(p[1]);
    if (plain == 0) return false;
    *out++ = plain;
    p += 2;
    return true;
  };
#if defined(__SSE2__)
  while (end - p >= 16 && out_end - out >= 16) {
    const __m128i bytes = byte_search::load(p);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), bytes);
    const uint32_t mask = byte_search::string_special_mask(bytes);
    const int plain = mask == 0 ? 16 : std::countr_zero(mask);
    p += plain;
    out += plain;
    if (mask != 0 && (*p == '"' || !unescape())) return;
  }
#endif
  while (p < end && out_end - out >= 16 && *p != '"') {
    if (*p != '\\')
      *out++ = *p++;
    else if (!unescape())
      return;
  }
}

}  // namespace llmtap
