// SPDX-License-Identifier: Apache-2.0
// The coded bodies of a traffic through the coding's library and nothing else.
#pragma once

#include <brotli/decode.h>
#include <zlib.h>
#include <zstd.h>

#include <array>
#include <unordered_map>

#include "base/check.h"
#include "bench/traffic.h"

namespace llmtap::bench {

// Bytes that came out.
inline uint64_t decode_bare(const Traffic& traffic) {
  struct Decoder {
    z_stream zlib{};
    BrotliDecoderState* brotli = nullptr;
    ZSTD_DCtx* zstd = nullptr;
  };
  std::unordered_map<uint32_t, Decoder> open;
  std::array<uint8_t, 16 * 1024> buffer;
  uint64_t out_bytes = 0;
  for (const CodedPiece& piece : traffic.pieces) {
    const auto [at, fresh] = open.try_emplace(piece.body);
    Decoder& decoder = at->second;
    const auto* in = reinterpret_cast<const uint8_t*>(traffic.coded_bytes.data()) + piece.begin;
    bool ended = false;
    switch (traffic.coding) {
      case Coding::kGzip:
        if (fresh) LLMTAP_CHECK(inflateInit2(&decoder.zlib, 15 + 16) == Z_OK);
        decoder.zlib.next_in = const_cast<Bytef*>(in);
        decoder.zlib.avail_in = static_cast<uInt>(piece.size);
        do {
          decoder.zlib.next_out = buffer.data();
          decoder.zlib.avail_out = buffer.size();
          ended = inflate(&decoder.zlib, Z_SYNC_FLUSH) == Z_STREAM_END;
          out_bytes += buffer.size() - decoder.zlib.avail_out;
        } while (!ended && (decoder.zlib.avail_in > 0 || decoder.zlib.avail_out == 0));
        if (ended) inflateEnd(&decoder.zlib);
        break;
      case Coding::kBrotli: {
        if (fresh) decoder.brotli = BrotliDecoderCreateInstance(nullptr, nullptr, nullptr);
        size_t left = piece.size;
        BrotliDecoderResult result = BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT;
        while (result == BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT) {
          uint8_t* to = buffer.data();
          size_t room = buffer.size();
          result = BrotliDecoderDecompressStream(decoder.brotli, &left, &in, &room, &to, nullptr);
          out_bytes += buffer.size() - room;
        }
        ended = result == BROTLI_DECODER_RESULT_SUCCESS;
        if (ended) BrotliDecoderDestroyInstance(decoder.brotli);
        break;
      }
      case Coding::kZstd: {
        if (fresh) decoder.zstd = ZSTD_createDCtx();
        ZSTD_inBuffer from{in, piece.size, 0};
        bool full = true;
        while (!ended && (from.pos < from.size || full)) {
          ZSTD_outBuffer to{buffer.data(), buffer.size(), 0};
          ended = ZSTD_decompressStream(decoder.zstd, &to, &from) == 0;
          out_bytes += to.pos;
          full = to.pos == to.size;
        }
        if (ended) ZSTD_freeDCtx(decoder.zstd);
        break;
      }
      case Coding::kNone: break;
    }
    if (ended) open.erase(at);
  }
  LLMTAP_CHECK(open.empty());
  return out_bytes;
}

}  // namespace llmtap::bench
