// SPDX-License-Identifier: Apache-2.0
#include "protocols/websocket/message_inflater.h"

#include <array>

namespace llmtap::websocket {
namespace {

constexpr size_t kOutputBytes = 16 * 1024;
constexpr std::array<uint8_t, 4> kFlushTail{0, 0, 0xff, 0xff};

void* zlib_allocate(void* budget, uInt items, uInt size) {
  return static_cast<DecoderBudget*>(budget)->allocate(size_t{items} * size);
}
void zlib_release(void* budget, void* memory) { static_cast<DecoderBudget*>(budget)->release(memory); }

}  // namespace

MessageInflater::MessageInflater(bool keeps_context, const Limits& limits, DecoderBudget& budget)
    : keeps_context_(keeps_context), limits_(&limits) {
  stream_.zalloc = zlib_allocate;
  stream_.zfree = zlib_release;
  stream_.opaque = &budget;
}

MessageInflater::~MessageInflater() { forget(); }

void MessageInflater::forget() {
  if (open_) inflateEnd(&stream_);
  open_ = false;
}

bool MessageInflater::fail() {
  lost_ = true;
  forget();
  return false;
}

void MessageInflater::lose() { fail(); }

// Pieces are those of reads and writes: far below zlib's 4 GiB.
bool MessageInflater::feed(std::span<const uint8_t> bytes, const Output& output) {
  if (lost_) return false;
  if (!open_) {
    // Any window that was negotiated fits into the largest.
    if (inflateInit2(&stream_, -15) != Z_OK) return fail();
    open_ = true;
  }
  std::array<uint8_t, kOutputBytes> buffer;
  stream_.next_in = const_cast<Bytef*>(bytes.data());
  stream_.avail_in = static_cast<uInt>(bytes.size());
  do {
    stream_.next_out = buffer.data();
    stream_.avail_out = static_cast<uInt>(buffer.size());
    const uInt given = stream_.avail_in;
    const int status = inflate(&stream_, Z_SYNC_FLUSH);
    const size_t produced = buffer.size() - stream_.avail_out;
    in_bytes_ += given - stream_.avail_in;
    out_bytes_ += produced;
    if (out_bytes_ > limits_->decompress_floor_bytes && out_bytes_ / limits_->decompress_ratio > in_bytes_)
      return fail();
    if (produced != 0) output({buffer.data(), produced});
    if (status == Z_BUF_ERROR) break;  // needs more input
    if (status != Z_OK && status != Z_STREAM_END) return fail();
    // RFC 7692 7.2.3.4: a block may be the last of its stream; the next one begins anew.
    if (status == Z_STREAM_END && inflateReset(&stream_) != Z_OK) return fail();
  } while (stream_.avail_in > 0 || stream_.avail_out == 0);
  return true;
}

bool MessageInflater::end_message(const Output& output) {
  const bool good = feed(kFlushTail, output);
  in_bytes_ = out_bytes_ = 0;
  if (!keeps_context_) {
    forget();
    lost_ = false;
  }
  return good;
}

}  // namespace llmtap::websocket
