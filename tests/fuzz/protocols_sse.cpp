// SPDX-License-Identifier: Apache-2.0
// First byte: how it is cut, and SSE or NDJSON. Oracle: events do not depend on the cuts.
#include <algorithm>
#include <vector>

#include "base/check.h"
#include "fuzz/protocols_trace.h"
#include "protocols/ndjson_decoder.h"
#include "protocols/sse_decoder.h"

namespace {

using namespace llmtap;

template <typename Decoder>
std::string decode(Decoder decoder, std::span<const uint8_t> input, size_t step) {
  fuzz::Trace trace;
  EventOutput out(trace, {}, Side::kResponse);
  for (size_t at = 0; at < input.size(); at += step) {
    const auto part = input.subspan(at, std::min(step, input.size() - at));
    const std::vector<uint8_t> piece(part.begin(), part.end());
    decoder.feed(piece, 1, out);
  }
  if constexpr (std::is_same_v<Decoder, SseDecoder>)
    decoder.finish(1, out);
  else
    decoder.finish(true, 1, out);
  return trace.text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1 || size > 4096) return 0;
  const std::span<const uint8_t> input(data + 1, size - 1);
  const size_t step = 1 + data[0] % 31;
  const bool sse = decode(SseDecoder(64), input, 4096) == decode(SseDecoder(64), input, step);
  LLMTAP_CHECK(sse);
  const bool ndjson = decode(NdjsonDecoder(), input, 4096) == decode(NdjsonDecoder(), input, step);
  LLMTAP_CHECK(ndjson);
  return 0;
}
