// SPDX-License-Identifier: Apache-2.0
// Reads server name and ALPN from the ClientHello at the start of a TLS byte stream (RFC 8446 4.1.2,
// RFC 6066 3, RFC 7301). Pushed bytes, any split; handshake message may span records.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace llmtap {

struct ClientHello {
  std::string sni;                // lower case; empty if absent
  std::vector<std::string> alpn;  // as offered, at most 16
};

class ClientHelloReader {
 public:
  enum class State : uint8_t { kMore, kDone, kNotHello };

  explicit ClientHelloReader(size_t max_bytes) : max_bytes_(max_bytes) {}

  // Bytes after kDone or kNotHello are ignored.
  State feed(std::span<const uint8_t> bytes);
  State state() const { return state_; }
  const ClientHello& hello() const { return hello_; }

 private:
  State stop(State state);
  State check_message();

  size_t max_bytes_;
  State state_ = State::kMore;
  uint8_t record_header_[5] = {};
  size_t header_bytes_ = 0;
  size_t record_left_ = 0;
  std::vector<uint8_t> message_;  // handshake bytes so far
  ClientHello hello_;
};

}  // namespace llmtap
