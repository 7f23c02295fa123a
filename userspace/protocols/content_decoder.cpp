// SPDX-License-Identifier: Apache-2.0
#include "protocols/content_decoder.h"

// For ZSTD_customMem: exported by the shared library since 1.4.
#define ZSTD_STATIC_LINKING_ONLY
#include <brotli/decode.h>
#include <zlib.h>
#include <zstd.h>

#include <array>
#include <limits>

#include "base/ascii.h"

namespace llmtap {
namespace {

constexpr size_t kOutputBytes = 16 * 1024;
// RFC 9659: a zstd window for HTTP must not exceed 8 MB.
constexpr int kZstdWindowLog = 23;

using Emit = std::function<bool(std::span<const uint8_t>)>;

void* zlib_allocate(void* budget, uInt items, uInt size) {
  if (size != 0 && items > std::numeric_limits<uInt>::max() / size) return nullptr;
  return static_cast<DecoderBudget*>(budget)->allocate(static_cast<size_t>(items) * size);
}
void budget_release(void* budget, void* memory) { static_cast<DecoderBudget*>(budget)->release(memory); }
void* budget_allocate(void* budget, size_t bytes) {
  return static_cast<DecoderBudget*>(budget)->allocate(bytes);
}

class ZlibDecoder : public ContentDecoder {
 public:
  ZlibDecoder(bool gzip, DecoderBudget& budget) : gzip_(gzip) {
    stream_.zalloc = zlib_allocate;
    stream_.zfree = budget_release;
    stream_.opaque = &budget;
  }
  ~ZlibDecoder() override {
    if (open_) inflateEnd(&stream_);
  }
  ZlibDecoder(const ZlibDecoder&) = delete;
  ZlibDecoder& operator=(const ZlibDecoder&) = delete;

  bool at_end() const override { return ended_; }

  bool decode(std::span<const uint8_t> bytes, const Emit& output) override {
    if (bytes.empty()) return true;
    if (!open_) {
      // "deflate" is zlib by RFC 9110 8.4.1.2, raw deflate from many senders. Raw begins with a block
      // header: with low nibble 8 it would be a stored block whose padding is not zero.
      const bool zlib = (bytes[0] & 0x0f) == 8 && (bytes[0] >> 4) <= 7;
      if (inflateInit2(&stream_, gzip_ ? 15 + 16 : zlib ? 15 : -15) != Z_OK) return false;
      open_ = true;
    }
    std::array<uint8_t, kOutputBytes> buffer;
    while (!bytes.empty()) {
      if (ended_ && !next_member(bytes)) return true;
      stream_.next_in = const_cast<Bytef*>(bytes.data());
      stream_.avail_in = static_cast<uInt>(std::min<size_t>(bytes.size(), 1 << 30));
      const uInt given = stream_.avail_in;
      do {
        stream_.next_out = buffer.data();
        stream_.avail_out = buffer.size();
        const int status = inflate(&stream_, Z_SYNC_FLUSH);
        const size_t produced = buffer.size() - stream_.avail_out;
        if (produced && !output({buffer.data(), produced})) return false;
        if (status == Z_STREAM_END) {
          ended_ = true;
          break;
        }
        if (status == Z_BUF_ERROR) break;  // needs more input
        if (status != Z_OK) return false;
      } while (stream_.avail_in > 0 || stream_.avail_out == 0);
      bytes = bytes.subspan(given - stream_.avail_in);
      if (!ended_ && stream_.avail_in > 0) return false;
    }
    return true;
  }

 private:
  // RFC 1952 2.2: a gzip file is a sequence of members. Other bytes behind the end are padding.
  bool next_member(std::span<const uint8_t>& bytes) {
    if (!gzip_ || trailing_ || bytes[0] != 0x1f) {
      trailing_ = true;
      return false;
    }
    ended_ = false;
    return inflateReset(&stream_) == Z_OK;
  }

  z_stream stream_{};
  const bool gzip_;
  bool open_ = false, ended_ = false, trailing_ = false;
};

class BrotliDecoder : public ContentDecoder {
 public:
  explicit BrotliDecoder(DecoderBudget& budget)
      : state_(BrotliDecoderCreateInstance(budget_allocate, budget_release, &budget)) {}
  ~BrotliDecoder() override {
    if (state_) BrotliDecoderDestroyInstance(state_);
  }
  BrotliDecoder(const BrotliDecoder&) = delete;
  BrotliDecoder& operator=(const BrotliDecoder&) = delete;

  bool ok() const { return state_ != nullptr; }
  bool at_end() const override { return BrotliDecoderIsFinished(state_); }

  bool decode(std::span<const uint8_t> bytes, const Emit& output) override {
    std::array<uint8_t, kOutputBytes> buffer;
    const uint8_t* next = bytes.data();
    size_t left = bytes.size();
    while (!at_end()) {
      uint8_t* out = buffer.data();
      size_t room = buffer.size();
      const auto status = BrotliDecoderDecompressStream(state_, &left, &next, &room, &out, nullptr);
      const size_t produced = buffer.size() - room;
      if (produced && !output({buffer.data(), produced})) return false;
      if (status == BROTLI_DECODER_RESULT_ERROR) return false;
      if (status == BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT) break;
    }
    return true;
  }

 private:
  BrotliDecoderState* state_;
};

class ZstdDecoder : public ContentDecoder {
 public:
  explicit ZstdDecoder(DecoderBudget& budget)
      : stream_(ZSTD_createDStream_advanced({budget_allocate, budget_release, &budget})) {
    if (stream_) ZSTD_DCtx_setParameter(stream_, ZSTD_d_windowLogMax, kZstdWindowLog);
  }
  ~ZstdDecoder() override {
    if (stream_) ZSTD_freeDStream(stream_);
  }
  ZstdDecoder(const ZstdDecoder&) = delete;
  ZstdDecoder& operator=(const ZstdDecoder&) = delete;

  bool ok() const { return stream_ != nullptr; }
  bool at_end() const override { return ended_; }

  bool decode(std::span<const uint8_t> bytes, const Emit& output) override {
    std::array<uint8_t, kOutputBytes> buffer;
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    bool full = false;
    while (in.pos < in.size || full) {
      if (between_frames_ && in.pos < in.size && !begins_frame(bytes[in.pos])) return false;
      ZSTD_outBuffer out{buffer.data(), buffer.size(), 0};
      const size_t consumed = in.pos;
      const size_t status = ZSTD_decompressStream(stream_, &out, &in);
      if (out.pos && !output({buffer.data(), out.pos})) return false;
      if (ZSTD_isError(status)) return false;
      ended_ = between_frames_ = status == 0;  // further frames may follow (RFC 8878 3.1)
      full = out.pos == out.size && !ended_;
      if (out.pos == 0 && in.pos == consumed) break;
    }
    return true;
  }

 private:
  // RFC 8878 3.1: the magic number of a frame, or of one to skip. The library may know formats older than
  // the standard too (first bytes 1e, 22 to 27): their decoders allocate past the budget, with windows of
  // their own.
  static bool begins_frame(uint8_t first) { return first == 0x28 || (first & 0xf0) == 0x50; }

  ZSTD_DStream* stream_;
  bool ended_ = false, between_frames_ = true;
};

}  // namespace

Coding coding_by_name(std::string_view token) {
  static constexpr struct {
    std::string_view name;
    Coding coding;
  } kCodings[] = {{"identity", Coding::kIdentity}, {"gzip", Coding::kGzip}, {"x-gzip", Coding::kGzip},
                  {"deflate", Coding::kDeflate},   {"br", Coding::kBrotli}, {"zstd", Coding::kZstd}};
  for (const auto& known : kCodings)
    if (iequals(known.name, token)) return known.coding;
  return Coding::kUnsupported;
}

std::unique_ptr<ContentDecoder> ContentDecoder::make(Coding coding, DecoderBudget& budget) {
  switch (coding) {
    case Coding::kGzip:
    case Coding::kDeflate: return std::make_unique<ZlibDecoder>(coding == Coding::kGzip, budget);
    case Coding::kBrotli: {
      auto decoder = std::make_unique<BrotliDecoder>(budget);
      return decoder->ok() ? std::move(decoder) : nullptr;
    }
    case Coding::kZstd: {
      auto decoder = std::make_unique<ZstdDecoder>(budget);
      return decoder->ok() ? std::move(decoder) : nullptr;
    }
    default: return nullptr;
  }
}

}  // namespace llmtap
