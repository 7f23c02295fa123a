// SPDX-License-Identifier: Apache-2.0
// First byte: the coding; second: how it is cut. Oracle: a stream that decodes gives the same bytes
// however it is cut, and all memory comes back.
#include <algorithm>
#include <string>
#include <vector>

#include "base/check.h"
#include "protocols/content_decoder.h"

namespace {

using namespace llmtap;

constexpr size_t kMaxOutput = 1 << 20;

// "!" at the end: damaged. What came before the damage may depend on the cuts.
std::string decode(Coding coding, std::span<const uint8_t> input, size_t step) {
  DecoderBudget budget(32 << 20);
  std::string out;
  bool good = true;
  {
    const auto decoder = ContentDecoder::make(coding, budget);
    LLMTAP_CHECK(decoder != nullptr);
    for (size_t at = 0; at < input.size() && good; at += step) {
      const auto part = input.subspan(at, std::min(step, input.size() - at));
      const std::vector<uint8_t> piece(part.begin(), part.end());
      good = decoder->decode(piece, [&](std::span<const uint8_t> bytes) {
        out.append(bytes.begin(), bytes.end());
        return out.size() < kMaxOutput;
      });
    }
  }
  LLMTAP_CHECK(budget.used() == 0);
  return good ? out : "!";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2 || size > 65536) return 0;
  static constexpr Coding kCodings[] = {Coding::kGzip, Coding::kDeflate, Coding::kBrotli, Coding::kZstd};
  const Coding coding = kCodings[data[0] % 4];
  const std::span<const uint8_t> input(data + 2, size - 2);
  LLMTAP_CHECK(decode(coding, input, 65536) == decode(coding, input, 1 + data[1] % 63));
  return 0;
}
