// SPDX-License-Identifier: Apache-2.0
// A body as a server compresses it: flushed behind every piece, so that each can be read at once.
#pragma once

#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/check.h"

namespace llmtap::test {

class Compressor {
 public:
  virtual ~Compressor() = default;
  virtual std::string add(std::string_view piece) = 0;
  virtual std::string finish() = 0;
};

class Gzip : public Compressor {
 public:
  Gzip() { LLMTAP_CHECK(deflateInit2(&stream_, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK); }
  ~Gzip() override { deflateEnd(&stream_); }
  Gzip(const Gzip&) = delete;
  Gzip& operator=(const Gzip&) = delete;
  std::string add(std::string_view piece) override { return run(piece, Z_SYNC_FLUSH); }
  std::string finish() override { return run({}, Z_FINISH); }

 private:
  std::string run(std::string_view piece, int flush) {
    std::string out(deflateBound(&stream_, piece.size()) + 64, '\0');
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(piece.data()));
    stream_.avail_in = static_cast<uInt>(piece.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(out.size());
    LLMTAP_CHECK(deflate(&stream_, flush) == (flush == Z_FINISH ? Z_STREAM_END : Z_OK) &&
                 stream_.avail_in == 0);
    out.resize(out.size() - stream_.avail_out);
    return out;
  }
  z_stream stream_{};
};

class Brotli : public Compressor {
 public:
  std::string add(std::string_view piece) override { return run(piece, BROTLI_OPERATION_FLUSH); }
  std::string finish() override { return run({}, BROTLI_OPERATION_FINISH); }

 private:
  std::string run(std::string_view piece, BrotliEncoderOperation operation) {
    std::string out(BrotliEncoderMaxCompressedSize(piece.size()) + 64, '\0');
    const auto* in = reinterpret_cast<const uint8_t*>(piece.data());
    auto* to = reinterpret_cast<uint8_t*>(out.data());
    size_t in_left = piece.size(), out_left = out.size();
    LLMTAP_CHECK(
        BrotliEncoderCompressStream(state_.get(), operation, &in_left, &in, &out_left, &to, nullptr) &&
        in_left == 0 && !BrotliEncoderHasMoreOutput(state_.get()));
    out.resize(out.size() - out_left);
    return out;
  }
  std::unique_ptr<BrotliEncoderState, decltype(&BrotliEncoderDestroyInstance)> state_{
      BrotliEncoderCreateInstance(nullptr, nullptr, nullptr), BrotliEncoderDestroyInstance};
};

class Zstd : public Compressor {
 public:
  std::string add(std::string_view piece) override { return run(piece, ZSTD_e_flush); }
  std::string finish() override { return run({}, ZSTD_e_end); }

 private:
  std::string run(std::string_view piece, ZSTD_EndDirective directive) {
    std::string out(ZSTD_compressBound(piece.size()) + 64, '\0');
    ZSTD_inBuffer in{piece.data(), piece.size(), 0};
    ZSTD_outBuffer to{out.data(), out.size(), 0};
    LLMTAP_CHECK(ZSTD_compressStream2(state_.get(), &to, &in, directive) == 0 && in.pos == in.size);
    out.resize(to.pos);
    return out;
  }
  std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> state_{ZSTD_createCCtx(), ZSTD_freeCCtx};
};

}  // namespace llmtap::test
