// SPDX-License-Identifier: Apache-2.0
// Content codings: gzip, deflate, br, zstd. Pushed bytes; whatever the sender flushed comes out at
// once. Output is bounded by ratio, memory by the shared budget.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "protocols/decoder_budget.h"

namespace llmtap {

enum class Coding : uint8_t { kIdentity, kGzip, kDeflate, kBrotli, kZstd, kUnsupported };

// By its token in Content-Encoding or Transfer-Encoding, any case; "x-gzip" is gzip.
Coding coding_by_name(std::string_view token);

class ContentDecoder {
 public:
  virtual ~ContentDecoder() = default;
  // False: the stream is damaged or over the budget; nothing more may be fed. Output may have come
  // before. Pieces given to `output` are valid during that call only; it returns false to stop.
  virtual bool decode(std::span<const uint8_t> bytes,
                      const std::function<bool(std::span<const uint8_t>)>& output) = 0;
  // The stream said that it ended; bytes after that are ignored.
  virtual bool at_end() const = 0;

  // Null if the budget is spent. Not for kIdentity and kUnsupported.
  static std::unique_ptr<ContentDecoder> make(Coding coding, DecoderBudget& budget);
};

}  // namespace llmtap
