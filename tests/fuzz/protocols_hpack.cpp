// SPDX-License-Identifier: Apache-2.0
// Input: header blocks of one direction, each behind a byte that says its length. Oracle: nghttp2's
// inflater. As long as both go on, ours delivers the same fields; it refuses what nghttp2 refuses, but
// for a table or a string beyond the bounds that nghttp2 was given. How the bytes are cut changes nothing,
// and a decoder that forgot delivers the same fields or unknown ones.
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "base/check.h"
#include "protocols/http2/hpack_decoder.h"

namespace {

using namespace llmtap;

constexpr size_t kTableBytes = 4096, kStringBytes = 65536;

struct Collected : http2::HpackFieldSink {
  std::vector<http2::HeaderTable::Entry> fields;
  bool unknown = false;
  void on_field(const http2::HpackField& field) override {
    fields.push_back(
        {std::string(field.name), std::string(field.value), field.name_known, field.value_known});
    unknown |= !field.name_known || !field.value_known;
  }
};

struct Reference {
  nghttp2_hd_inflater* inflater = nullptr;
  Reference() { LLMTAP_CHECK(nghttp2_hd_inflate_new(&inflater) == 0); }
  ~Reference() { nghttp2_hd_inflate_del(inflater); }
  Reference(const Reference&) = delete;
  Reference& operator=(const Reference&) = delete;

  bool decode(std::span<const uint8_t> block, std::vector<http2::HeaderTable::Entry>& out) {
    while (true) {
      nghttp2_nv field;
      int flags = 0;
      const ssize_t used = nghttp2_hd_inflate_hd2(inflater, &field, &flags, block.data(), block.size(), 1);
      if (used < 0) return false;
      block = block.subspan(static_cast<size_t>(used));
      if (flags & NGHTTP2_HD_INFLATE_EMIT)
        out.push_back({{reinterpret_cast<const char*>(field.name), field.namelen},
                       {reinterpret_cast<const char*>(field.value), field.valuelen}});
      if (flags & NGHTTP2_HD_INFLATE_FINAL) break;
      if ((flags & NGHTTP2_HD_INFLATE_EMIT) == 0 && block.empty()) break;
    }
    nghttp2_hd_inflate_end_headers(inflater);
    return true;
  }
};

bool decode(http2::HpackDecoder& decoder, std::span<const uint8_t> block, size_t step, Collected& out) {
  decoder.begin_block();
  for (size_t at = 0; at < block.size(); at += std::min(step, block.size() - at)) {
    const auto part = block.subspan(at, std::min(step, block.size() - at));
    const std::vector<uint8_t> piece(part.begin(), part.end());
    if (!decoder.feed(piece, out)) return false;
  }
  return decoder.end_block();
}

bool same(const http2::HeaderTable::Entry& a, const http2::HeaderTable::Entry& b) {
  return a.name == b.name && a.value == b.value && a.name_known == b.name_known &&
         a.value_known == b.value_known;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::span<const uint8_t> input(data, size);
  Reference reference;
  http2::HpackDecoder whole(kTableBytes, kStringBytes), bytewise(kTableBytes, kStringBytes),
      forgetful(kTableBytes, kStringBytes);
  forgetful.forget();
  while (!input.empty()) {
    const size_t length = std::min<size_t>(input[0], input.size() - 1);
    const auto block = input.subspan(1, length);
    input = input.subspan(1 + length);
    std::vector<http2::HeaderTable::Entry> want;
    Collected got, cut, forgot;
    const bool accepted = reference.decode(block, want);
    const bool ok = decode(whole, block, SIZE_MAX, got);
    LLMTAP_CHECK(decode(bytewise, block, 1, cut) == ok);
    LLMTAP_CHECK(
        std::equal(got.fields.begin(), got.fields.end(), cut.fields.begin(), cut.fields.end(), same));
    decode(forgetful, block, SIZE_MAX, forgot);
    if (accepted && !ok) std::fprintf(stderr, "nghttp2 accepts a block that ours refuses\n");
    LLMTAP_CHECK(!accepted || ok);
    if (!accepted) {
      // What it delivered before it stopped is the same; after that the two have nothing in common.
      LLMTAP_CHECK(ok || got.fields.size() >= want.size() || got.unknown);
      break;
    }
    LLMTAP_CHECK(got.unknown ||
                 std::equal(want.begin(), want.end(), got.fields.begin(), got.fields.end(), same));
    LLMTAP_CHECK(whole.table_bytes() <= kTableBytes);
    LLMTAP_CHECK(forgot.fields.size() == want.size());
    for (size_t i = 0; i < want.size(); ++i) {
      const auto& field = forgot.fields[i];
      LLMTAP_CHECK(!field.name_known || field.name == want[i].name);
      LLMTAP_CHECK(!field.value_known || field.value == want[i].value);
    }
    if (got.unknown) break;
  }
  return 0;
}
