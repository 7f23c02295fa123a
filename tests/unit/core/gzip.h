// SPDX-License-Identifier: Apache-2.0
// A body as a server compresses it: flushed behind every piece, so that each can be read at once.
#pragma once

#include <zlib.h>

#include <string>
#include <string_view>

#include "base/check.h"

namespace llmtap::test {

class Gzip {
 public:
  Gzip() { LLMTAP_CHECK(deflateInit2(&stream_, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK); }
  ~Gzip() { deflateEnd(&stream_); }
  Gzip(const Gzip&) = delete;
  Gzip& operator=(const Gzip&) = delete;
  std::string add(std::string_view piece) { return run(piece, Z_SYNC_FLUSH); }
  std::string finish() { return run({}, Z_FINISH); }

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

}  // namespace llmtap::test
