// SPDX-License-Identifier: Apache-2.0
#include "streams/client_hello.h"

#include <algorithm>

namespace llmtap {
namespace {

constexpr uint8_t kHandshakeRecord = 22;
constexpr uint8_t kClientHelloMessage = 1;
constexpr size_t kMaxRecordBytes = 16384 + 256;  // RFC 8446 5.2, the most that any record may hold
constexpr size_t kMaxProtocols = 16;
constexpr uint16_t kServerName = 0;
constexpr uint16_t kAlpn = 16;

// A view that is cut from the front. A read beyond its end makes it bad and yields zeros.
class Cursor {
 public:
  explicit Cursor(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  bool ok() const { return ok_; }
  bool empty() const { return bytes_.empty(); }
  std::span<const uint8_t> take(size_t n) {
    if (n > bytes_.size()) {
      ok_ = false;
      bytes_ = {};
      return {};
    }
    auto taken = bytes_.first(n);
    bytes_ = bytes_.subspan(n);
    return taken;
  }
  size_t number(size_t width) {
    size_t value = 0;
    for (uint8_t byte : take(width)) value = value << 8 | byte;
    return value;
  }
  Cursor vector(size_t width) { return Cursor(take(number(width))); }
  std::span<const uint8_t> rest() const { return bytes_; }

 private:
  std::span<const uint8_t> bytes_;
  bool ok_ = true;
};

// RFC 6066 3: a host name in ASCII (A-labels), no trailing dot. Anything else is not shown as a name.
std::string host_name(std::span<const uint8_t> bytes) {
  std::string name;
  if (bytes.size() > 255) return name;
  for (uint8_t byte : bytes) {
    const char c = static_cast<char>(byte);
    const bool upper = c >= 'A' && c <= 'Z';
    if (!upper && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '.' && c != '_')
      return {};
    name.push_back(upper ? static_cast<char>(c - 'A' + 'a') : c);
  }
  return name;
}

void read_server_name(Cursor extension, ClientHello& hello) {
  Cursor list = extension.vector(2);
  while (!list.empty()) {
    const size_t type = list.number(1);
    Cursor name = list.vector(2);
    if (type == 0 && hello.sni.empty()) hello.sni = host_name(name.rest());
  }
}

void read_alpn(Cursor extension, ClientHello& hello) {
  Cursor list = extension.vector(2);
  while (!list.empty() && hello.alpn.size() < kMaxProtocols) {
    const auto name = list.vector(1).rest();
    if (!name.empty()) hello.alpn.emplace_back(name.begin(), name.end());
  }
}

// Whether `body` is a ClientHello; unknown extensions are skipped, a cut one ends the reading.
bool read_hello(std::span<const uint8_t> body, ClientHello& hello) {
  Cursor cursor(body);
  if (cursor.number(2) >> 8 != 3) return false;
  cursor.take(32);   // random
  cursor.vector(1);  // legacy_session_id
  cursor.vector(2);  // cipher_suites
  cursor.vector(1);  // legacy_compression_methods
  if (!cursor.ok()) return false;
  Cursor extensions = cursor.vector(2);
  while (!extensions.empty()) {
    const size_t type = extensions.number(2);
    const Cursor extension = extensions.vector(2);
    if (!extensions.ok()) break;
    if (type == kServerName) read_server_name(extension, hello);
    if (type == kAlpn) read_alpn(extension, hello);
  }
  return true;
}

}  // namespace

ClientHelloReader::State ClientHelloReader::stop(State state) {
  std::vector<uint8_t>().swap(message_);
  return state_ = state;
}

ClientHelloReader::State ClientHelloReader::check_message() {
  if (message_.empty()) return state_;
  if (message_[0] != kClientHelloMessage) return stop(State::kNotHello);
  if (message_.size() < 4) return state_;
  const size_t length =
      static_cast<size_t>(message_[1]) << 16 | static_cast<size_t>(message_[2]) << 8 | message_[3];
  if (length > max_bytes_) return stop(State::kNotHello);
  if (message_.size() < 4 + length) return state_;
  const bool whole = read_hello(std::span<const uint8_t>(message_).subspan(4, length), hello_);
  return stop(whole ? State::kDone : State::kNotHello);
}

ClientHelloReader::State ClientHelloReader::feed(std::span<const uint8_t> bytes) {
  while (state_ == State::kMore && !bytes.empty()) {
    if (record_left_ == 0) {
      record_header_[header_bytes_++] = bytes[0];
      bytes = bytes.subspan(1);
      if (record_header_[0] != kHandshakeRecord) return stop(State::kNotHello);
      if (header_bytes_ >= 2 && record_header_[1] != 3) return stop(State::kNotHello);
      if (header_bytes_ < sizeof(record_header_)) continue;
      header_bytes_ = 0;
      record_left_ = static_cast<size_t>(record_header_[3]) << 8 | record_header_[4];
      if (record_left_ == 0 || record_left_ > kMaxRecordBytes) return stop(State::kNotHello);
      continue;
    }
    const size_t n = std::min({record_left_, bytes.size(), max_bytes_ + 4 - message_.size()});
    message_.insert(message_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
    record_left_ -= n;
    bytes = bytes.subspan(n);
    check_message();
  }
  return state_;
}

}  // namespace llmtap
