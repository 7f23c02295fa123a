// SPDX-License-Identifier: Apache-2.0
// Writes HTTP/2 as a peer does. Header blocks are nghttp2's.
#pragma once

#include <nghttp2/nghttp2.h>

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocols/http2/frame.h"

namespace llmtap::test::h2 {

using http2::FrameType;
using http2::kEndHeaders;
using http2::kEndStream;
using http2::kPadded;

inline const std::string kPreface{http2::kConnectionPreface};

inline std::string be(uint64_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out.push_back(static_cast<char>(value >> (8 * i)));
  return out;
}

inline std::string frame(FrameType type, uint8_t flags, uint32_t stream, std::string_view payload) {
  return be(payload.size(), 3) + static_cast<char>(type) + static_cast<char>(flags) + be(stream, 4) +
         std::string(payload);
}

inline const std::string kSettings = frame(FrameType::kSettings, 0, 0, be(0x0003'00000064, 6));
inline std::string data(uint32_t stream, std::string_view bytes, uint8_t flags = 0) {
  return frame(FrameType::kData, flags, stream, bytes);
}
inline std::string padded(std::string_view content, uint8_t padding) {
  return static_cast<char>(padding) + std::string(content) + std::string(padding, '\0');
}
inline std::string reset(uint32_t stream, uint32_t code = 8) {
  return frame(FrameType::kRstStream, 0, stream, be(code, 4));
}
inline std::string goaway(uint32_t last, uint32_t code = 0) {
  return frame(FrameType::kGoaway, 0, 0, be(last, 4) + be(code, 4) + "bye");
}

// In this order: an encoder has a state, and the operands of + have none.
inline std::string join(std::initializer_list<std::string> parts) {
  std::string out;
  for (const std::string& part : parts) out += part;
  return out;
}

using Fields = std::vector<std::pair<std::string, std::string>>;

// The header blocks of one direction.
class Encoder {
 public:
  explicit Encoder(size_t table_bytes = 4096) {
    nghttp2_hd_deflater* made = nullptr;
    nghttp2_hd_deflate_new(&made, table_bytes);
    deflater_.reset(made);
  }
  void resize(size_t bytes) { nghttp2_hd_deflate_change_table_size(deflater_.get(), bytes); }
  std::string block(const Fields& fields, bool index = true) {
    std::vector<nghttp2_nv> list;
    for (const auto& [name, value] : fields)
      list.push_back({bytes(name), bytes(value), name.size(), value.size(),
                      static_cast<uint8_t>(index ? NGHTTP2_NV_FLAG_NONE : NGHTTP2_NV_FLAG_NO_INDEX)});
    std::string out(nghttp2_hd_deflate_bound(deflater_.get(), list.data(), list.size()), '\0');
    const auto size = nghttp2_hd_deflate_hd(deflater_.get(), reinterpret_cast<uint8_t*>(out.data()),
                                            out.size(), list.data(), list.size());
    out.resize(static_cast<size_t>(size));
    return out;
  }
  std::string headers(uint32_t stream, const Fields& fields, uint8_t flags = kEndHeaders) {
    return frame(FrameType::kHeaders, flags, stream, block(fields));
  }

 private:
  struct Delete {
    void operator()(nghttp2_hd_deflater* d) const { nghttp2_hd_deflate_del(d); }
  };
  static uint8_t* bytes(const std::string& text) {
    return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));
  }
  std::unique_ptr<nghttp2_hd_deflater, Delete> deflater_;
};

inline Fields post(const std::string& path, Fields more = {{"content-type", "application/json"}}) {
  Fields fields = {{":method", "POST"}, {":scheme", "https"}, {":authority", "api.example"}, {":path", path}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}
inline Fields get(const std::string& path) {
  return {{":method", "GET"}, {":scheme", "https"}, {":authority", "api.example"}, {":path", path}};
}
inline Fields ok(const std::string& type = "application/json", Fields more = {}) {
  Fields fields = {{":status", "200"}, {"content-type", type}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

}  // namespace llmtap::test::h2
