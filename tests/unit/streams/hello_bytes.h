// SPDX-License-Identifier: Apache-2.0
// A ClientHello as a client would send it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace llmtap::test {

inline void put(std::vector<uint8_t>& out, size_t value, size_t width) {
  for (size_t i = width; i-- > 0;) out.push_back(static_cast<uint8_t>(value >> (8 * i)));
}

inline void put_vector(std::vector<uint8_t>& out, const std::vector<uint8_t>& bytes, size_t width) {
  put(out, bytes.size(), width);
  out.insert(out.end(), bytes.begin(), bytes.end());
}

inline std::vector<uint8_t> client_hello(std::string_view name, const std::vector<std::string>& protocols,
                                         size_t record_bytes = 16384) {
  std::vector<uint8_t> extensions;
  put(extensions, 0x0a0a, 2);  // GREASE
  put(extensions, 0, 2);
  if (!name.empty()) {
    std::vector<uint8_t> entry{0}, list;
    put_vector(entry, {name.begin(), name.end()}, 2);
    put_vector(list, entry, 2);
    put(extensions, 0, 2);
    put_vector(extensions, list, 2);
  }
  if (!protocols.empty()) {
    std::vector<uint8_t> names, list;
    for (const std::string& protocol : protocols) put_vector(names, {protocol.begin(), protocol.end()}, 1);
    put_vector(list, names, 2);
    put(extensions, 16, 2);
    put_vector(extensions, list, 2);
  }
  std::vector<uint8_t> body{3, 3};
  body.insert(body.end(), 32, 0x5a);
  put_vector(body, std::vector<uint8_t>(32, 1), 1);
  put_vector(body, {0x13, 0x01, 0x13, 0x02}, 2);
  put_vector(body, {0}, 1);
  put_vector(body, extensions, 2);
  std::vector<uint8_t> message{1};
  put_vector(message, body, 3);
  std::vector<uint8_t> records;
  for (size_t at = 0; at < message.size(); at += record_bytes) {
    const size_t n = std::min(record_bytes, message.size() - at);
    records.insert(records.end(), {22, 3, 1});
    put(records, n, 2);
    records.insert(records.end(), message.begin() + static_cast<std::ptrdiff_t>(at),
                   message.begin() + static_cast<std::ptrdiff_t>(at + n));
  }
  return records;
}

}  // namespace llmtap::test
