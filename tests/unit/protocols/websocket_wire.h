// SPDX-License-Identifier: Apache-2.0
// Writes WebSocket frames.
#pragma once

#include <zlib.h>

#include <string>
#include <string_view>

namespace llmtap::test {

inline constexpr uint8_t kFin = 0x80, kCompressed = 0x40, kText = 1, kBinary = 2, kClose = 8, kPing = 9;

inline std::string frame(unsigned first, std::string_view payload, bool masked) {
  std::string bytes(1, static_cast<char>(first));
  const char mask = masked ? '\x80' : '\0';
  const size_t n = payload.size();
  if (n < 126) {
    bytes.push_back(static_cast<char>(mask | static_cast<char>(n)));
  } else {
    const bool wide = n > 0xffff;
    bytes.push_back(static_cast<char>(mask | (wide ? 127 : 126)));
    for (int shift = wide ? 56 : 8; shift >= 0; shift -= 8)
      bytes.push_back(static_cast<char>(n >> shift & 0xff));
  }
  static constexpr std::string_view kKey = "\x37\xfa\x21\x3d";  // RFC 6455 5.7
  if (masked) bytes.append(kKey);
  for (size_t i = 0; i < n; ++i)
    bytes.push_back(masked ? static_cast<char>(payload[i] ^ kKey[i % 4]) : payload[i]);
  return bytes;
}
inline std::string sent(std::string_view text, unsigned first = kFin | kText) {
  return frame(first, text, true);
}
inline std::string got(std::string_view text, unsigned first = kFin | kText) {
  return frame(first, text, false);
}

// permessage-deflate of one side (RFC 7692 7.2.1).
class Deflater {
 public:
  explicit Deflater(bool keeps_context, int level = 6, int window_bits = 15) : keeps_context_(keeps_context) {
    deflateInit2(&stream_, level, Z_DEFLATED, -window_bits, 8, Z_DEFAULT_STRATEGY);
  }
  ~Deflater() { deflateEnd(&stream_); }
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;
  std::string operator()(std::string text) {
    std::string out(text.size() + 1024, '\0');
    stream_.next_in = reinterpret_cast<Bytef*>(text.data());
    stream_.avail_in = static_cast<uInt>(text.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(out.size());
    deflate(&stream_, Z_SYNC_FLUSH);
    out.resize(out.size() - stream_.avail_out - 4);
    if (!keeps_context_) deflateReset(&stream_);
    return out;
  }

 private:
  z_stream stream_{};
  bool keeps_context_;
};

inline std::string upgrade_request(std::string_view path, std::string_view fields = "") {
  return "GET " + std::string(path) +
         " HTTP/1.1\r\nHost: api.openai.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
         std::string(fields) + "\r\n";
}
inline std::string upgrade_reply(std::string_view extensions = "") {
  return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
         (extensions.empty() ? std::string()
                             : "Sec-WebSocket-Extensions: " + std::string(extensions) + "\r\n") +
         "\r\n";
}

}  // namespace llmtap::test
