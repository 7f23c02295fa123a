// SPDX-License-Identifier: Apache-2.0
// First byte: how it is cut; second: where bytes are lost. Checksums are made right behind the input, for
// a fuzzer does not find them: a message whose prelude's lengths fit gets its sums. Oracle: events do not
// depend on the cuts.
#include <zlib.h>

#include <algorithm>
#include <vector>

#include "base/check.h"
#include "fuzz/protocols_trace.h"
#include "protocols/eventstream/event_stream_decoder.h"

namespace {

using namespace llmtap;

uint32_t number(const uint8_t* p) {
  return static_cast<uint32_t>(p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3]);
}
void put_sum(std::vector<uint8_t>& bytes, size_t begin, size_t end) {
  const uLong sum = crc32(0, bytes.data() + begin, static_cast<uInt>(end - begin));
  for (size_t i = 0; i < 4; ++i) bytes[end + i] = static_cast<uint8_t>(sum >> (24 - 8 * i));
}

std::vector<uint8_t> with_sums(std::span<const uint8_t> input) {
  std::vector<uint8_t> bytes(input.begin(), input.end());
  for (size_t at = 0; at + 16 <= bytes.size();) {
    const size_t length = number(&bytes[at]);
    if (length < 16 || length > bytes.size() - at) break;
    put_sum(bytes, at, at + 8);
    put_sum(bytes, at, at + length - 4);
    at += length;
  }
  return bytes;
}

std::string decode(std::span<const uint8_t> input, size_t step, size_t gap_at) {
  fuzz::Trace trace;
  EventOutput out(trace, {}, Side::kResponse);
  EventStreamDecoder decoder(64);
  bool good = true;
  const auto feed = [&](std::span<const uint8_t> part) {
    for (size_t at = 0; good && at < part.size(); at += step) {
      const auto bytes = part.subspan(at, std::min(step, part.size() - at));
      const std::vector<uint8_t> piece(bytes.begin(), bytes.end());
      good = decoder.feed(piece, 1, out);
    }
  };
  feed(input.first(std::min(gap_at, input.size())));
  if (gap_at < input.size()) {
    const size_t lost = std::min<size_t>(7, input.size() - gap_at);
    if (good) decoder.gap(lost, 1, out);
    feed(input.subspan(gap_at + lost));
  }
  decoder.finish(1, out);
  return trace.text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2 || size > 4096) return 0;
  const std::vector<uint8_t> input = with_sums({data + 2, size - 2});
  const size_t step = 1 + data[0] % 31;
  for (const size_t gap : {SIZE_MAX, size_t{data[1]}}) {
    const bool same = decode(input, 8192, gap) == decode(input, step, gap);
    LLMTAP_CHECK(same);
  }
  return 0;
}
