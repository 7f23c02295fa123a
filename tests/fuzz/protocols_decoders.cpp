// SPDX-License-Identifier: Apache-2.0
// First byte: the coding; second: how it is cut. Oracle: the libraries' functions for whole buffers accept
// what ours accepts, with the same bytes; how it is cut changes nothing, and all memory comes back.
// For ZSTD_getFrameHeader.
#define ZSTD_STATIC_LINKING_ONLY
#include <brotli/decode.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "base/check.h"
#include "protocols/content_decoder.h"

namespace {

using namespace llmtap;

constexpr size_t kMaxOutput = 1 << 20;

struct Decoded {
  std::string bytes;
  bool good = true, ended = false, too_much = false;
  // What came before the damage may depend on the cuts.
  bool operator==(const Decoded& other) const {
    return good == other.good && (!good || (bytes == other.bytes && ended == other.ended));
  }
};

Decoded decode(Coding coding, std::span<const uint8_t> input, size_t step) {
  DecoderBudget budget(32 << 20);
  Decoded result;
  {
    const auto decoder = ContentDecoder::make(coding, budget);
    LLMTAP_CHECK(decoder != nullptr);
    for (size_t at = 0; at < input.size() && result.good; at += step) {
      const auto part = input.subspan(at, std::min(step, input.size() - at));
      const std::vector<uint8_t> piece(part.begin(), part.end());
      result.good = decoder->decode(piece, [&](std::span<const uint8_t> bytes) {
        result.bytes.append(bytes.begin(), bytes.end());
        result.too_much = result.bytes.size() >= kMaxOutput;
        return !result.too_much;
      });
    }
    result.ended = result.good && decoder->at_end();
  }
  LLMTAP_CHECK(budget.used() == 0);
  return result;
}

uint8_t* output_buffer() {
  static std::vector<uint8_t> buffer(kMaxOutput);
  return buffer.data();
}

// The members of a gzip file, or one zlib or raw stream. Other bytes behind the end are padding.
std::optional<std::string> whole_zlib(std::span<const uint8_t> input, int window_bits) {
  std::string out;
  do {
    z_stream stream{};
    LLMTAP_CHECK(inflateInit2(&stream, window_bits) == Z_OK);
    stream.next_in = const_cast<Bytef*>(input.data());
    stream.avail_in = static_cast<uInt>(input.size());
    stream.next_out = output_buffer();
    stream.avail_out = kMaxOutput;
    const int status = inflate(&stream, Z_FINISH);
    out.append(reinterpret_cast<const char*>(output_buffer()), kMaxOutput - stream.avail_out);
    input = input.last(stream.avail_in);
    inflateEnd(&stream);
    if (status != Z_STREAM_END) return std::nullopt;
  } while (window_bits > 15 && !input.empty() && input[0] == 0x1f);
  return out;
}

std::optional<std::string> whole_brotli(std::span<const uint8_t> input) {
  size_t size = kMaxOutput;
  if (BrotliDecoderDecompress(input.size(), input.data(), &size, output_buffer()) !=
      BROTLI_DECODER_RESULT_SUCCESS)
    return std::nullopt;
  return std::string(reinterpret_cast<const char*>(output_buffer()), size);
}

std::optional<std::string> whole_zstd(std::span<const uint8_t> input) {
  const size_t size = ZSTD_decompress(output_buffer(), kMaxOutput, input.data(), input.size());
  if (ZSTD_isError(size)) return std::nullopt;
  return std::string(reinterpret_cast<const char*>(output_buffer()), size);
}

// What the whole buffer's function does not look at: a window beyond RFC 9659, to which ours says no, and
// blocks beyond the window (RFC 8878 3.1.1.2.4).
bool within_window(std::span<const uint8_t> input, size_t output_bytes) {
  while (!input.empty()) {
    ZSTD_frameHeader header;
    if (ZSTD_getFrameHeader(&header, input.data(), input.size()) != 0) return false;
    const bool skipped = header.frameType == ZSTD_skippableFrame;
    if (!skipped && (header.windowSize > 8 << 20 || header.windowSize < output_bytes)) return false;
    const size_t size = ZSTD_findFrameCompressedSize(input.data(), input.size());
    if (ZSTD_isError(size)) return false;
    input = input.subspan(size);
  }
  return true;
}

std::optional<std::string> whole(Coding coding, std::span<const uint8_t> input) {
  switch (coding) {
    case Coding::kGzip: return whole_zlib(input, 15 + 16);
    case Coding::kDeflate:
      return whole_zlib(input, (input[0] & 0x0f) == 8 && (input[0] >> 4) <= 7 ? 15 : -15);
    case Coding::kBrotli: return whole_brotli(input);
    default: return whole_zstd(input);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 3 || size > 65536) return 0;
  static constexpr Coding kCodings[] = {Coding::kGzip, Coding::kDeflate, Coding::kBrotli, Coding::kZstd};
  const Coding coding = kCodings[data[0] % 4];
  const std::span<const uint8_t> input(data + 2, size - 2);
  const Decoded ours = decode(coding, input, 65536);
  const Decoded pieces = decode(coding, input, 1 + data[1] % 63);
  if (ours.too_much || pieces.too_much) return 0;
  const std::optional<std::string> want = whole(coding, input);
  // Behind an empty last block libzstd misses bytes that a frame's header promised, unless the frame lies in
  // one piece: the same bytes, once with and once without the word that they are damaged.
  LLMTAP_CHECK(ours == pieces || (coding == Coding::kZstd && !want));
  if (want && (coding != Coding::kZstd || within_window(input, want->size())))
    LLMTAP_CHECK(ours.good && ours.ended && ours.bytes == *want);
  // Brotli's refuses bytes behind the end; ours passes over them, as it does over a gzip file's padding.
  if (ours.ended && (coding == Coding::kGzip || coding == Coding::kDeflate))
    LLMTAP_CHECK(want && *want == ours.bytes);
  return 0;
}
