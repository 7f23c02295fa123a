// SPDX-License-Identifier: Apache-2.0
// Content codings as a server applies them: flushed after every piece.
#pragma once

#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/check.h"
#include "bench/traffic.h"

namespace llmtap::bench {

class Encoder {
 public:
  virtual ~Encoder() = default;
  virtual std::string encode(std::string_view bytes, bool last) = 0;
  static std::unique_ptr<Encoder> make(Coding coding);
};

class GzipEncoder final : public Encoder {
 public:
  GzipEncoder() {
    LLMTAP_CHECK(deflateInit2(&stream_, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  }
  ~GzipEncoder() override { deflateEnd(&stream_); }
  GzipEncoder(const GzipEncoder&) = delete;
  GzipEncoder& operator=(const GzipEncoder&) = delete;
  std::string encode(std::string_view bytes, bool last) override {
    std::string out(bytes.size() + 1024, '\0');
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream_.avail_in = static_cast<uInt>(bytes.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(out.size());
    const int status = deflate(&stream_, last ? Z_FINISH : Z_SYNC_FLUSH);
    LLMTAP_CHECK(status == (last ? Z_STREAM_END : Z_OK) && stream_.avail_in == 0);
    out.resize(out.size() - stream_.avail_out);
    return out;
  }

 private:
  z_stream stream_{};
};

class BrotliEncoder final : public Encoder {
 public:
  BrotliEncoder() : state_(BrotliEncoderCreateInstance(nullptr, nullptr, nullptr)) {
    BrotliEncoderSetParameter(state_, BROTLI_PARAM_QUALITY, 4);
    BrotliEncoderSetParameter(state_, BROTLI_PARAM_LGWIN, 18);
  }
  ~BrotliEncoder() override { BrotliEncoderDestroyInstance(state_); }
  BrotliEncoder(const BrotliEncoder&) = delete;
  BrotliEncoder& operator=(const BrotliEncoder&) = delete;
  std::string encode(std::string_view bytes, bool last) override {
    std::string out(bytes.size() + 1024, '\0');
    size_t in_left = bytes.size(), out_left = out.size();
    const auto* in = reinterpret_cast<const uint8_t*>(bytes.data());
    auto* to = reinterpret_cast<uint8_t*>(out.data());
    LLMTAP_CHECK(BrotliEncoderCompressStream(state_, last ? BROTLI_OPERATION_FINISH : BROTLI_OPERATION_FLUSH,
                                             &in_left, &in, &out_left, &to, nullptr) &&
                 in_left == 0 && !BrotliEncoderHasMoreOutput(state_));
    out.resize(out.size() - out_left);
    return out;
  }

 private:
  BrotliEncoderState* state_;
};

class ZstdEncoder final : public Encoder {
 public:
  ZstdEncoder() : stream_(ZSTD_createCCtx()) { ZSTD_CCtx_setParameter(stream_, ZSTD_c_windowLog, 18); }
  ~ZstdEncoder() override { ZSTD_freeCCtx(stream_); }
  ZstdEncoder(const ZstdEncoder&) = delete;
  ZstdEncoder& operator=(const ZstdEncoder&) = delete;
  std::string encode(std::string_view bytes, bool last) override {
    std::string to(bytes.size() + 1024, '\0');
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    ZSTD_outBuffer out{to.data(), to.size(), 0};
    LLMTAP_CHECK(ZSTD_compressStream2(stream_, &out, &in, last ? ZSTD_e_end : ZSTD_e_flush) == 0 &&
                 in.pos == in.size);
    to.resize(out.pos);
    return to;
  }

 private:
  ZSTD_CCtx* stream_;
};

inline std::unique_ptr<Encoder> Encoder::make(Coding coding) {
  if (coding == Coding::kGzip) return std::make_unique<GzipEncoder>();
  if (coding == Coding::kBrotli) return std::make_unique<BrotliEncoder>();
  if (coding == Coding::kZstd) return std::make_unique<ZstdEncoder>();
  return nullptr;
}

}  // namespace llmtap::bench
