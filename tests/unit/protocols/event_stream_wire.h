// SPDX-License-Identifier: Apache-2.0
// Writes AWS event-stream messages.
#pragma once

#include <zlib.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace llmtap::test {

inline std::string be32(size_t value) {
  std::string bytes;
  for (const int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<char>(value >> shift & 0xff));
  return bytes;
}

inline std::string with_sum(std::string bytes) {
  return bytes +
         be32(crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size())));
}

inline std::string string_header(std::string_view name, std::string_view value) {
  std::string bytes(1, static_cast<char>(name.size()));
  bytes.append(name).push_back('\7');
  return bytes.append(be32(value.size()).substr(2)).append(value);
}

inline std::string message(std::string_view headers, std::string_view payload) {
  return with_sum(with_sum(be32(16 + headers.size() + payload.size()) + be32(headers.size()))
                      .append(headers)
                      .append(payload));
}

inline std::string event_message(std::string_view type, std::string_view payload) {
  return message(string_header(":event-type", type) + string_header(":content-type", "application/json") +
                     string_header(":message-type", "event"),
                 payload);
}

inline std::string exception_message(std::string_view type, std::string_view payload) {
  return message(string_header(":exception-type", type) + string_header(":content-type", "application/json") +
                     string_header(":message-type", "exception"),
                 payload);
}

inline std::string base64(std::string_view text) {
  static constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < text.size(); i += 3) {
    uint32_t bits = 0;
    const size_t n = std::min<size_t>(3, text.size() - i);
    for (size_t k = 0; k < 3; ++k) bits = bits << 8 | (k < n ? static_cast<uint8_t>(text[i + k]) : 0u);
    for (size_t k = 0; k < 4; ++k) out.push_back(k <= n ? kAlphabet[bits >> (18 - 6 * k) & 63] : '=');
  }
  return out;
}

inline std::string chunk_message(std::string_view vendor_json) {
  return event_message("chunk", "{\"bytes\":\"" + base64(vendor_json) + "\",\"p\":\"abcdefgh\"}");
}

}  // namespace llmtap::test
