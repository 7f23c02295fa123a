// SPDX-License-Identifier: Apache-2.0
// Sockets of our own HTTP server: listening, and one accepted connection with or without TLS whose
// every operation has a deadline.
#pragma once

#include <openssl/ssl.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "llmtap/result.h"
#include "sinks/web_config.h"

namespace llmtap {

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd = -1) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileDescriptor();
  int get() const { return fd_; }

 private:
  int fd_;
};

struct ListeningSocket {
  FileDescriptor fd;
  std::string host;  // numeric, as bound
  uint16_t port = 0;
  bool loopback = false;
  std::string address() const;  // host:port, IPv6 in brackets
};

// "host:port", "[v6]:port" or ":port"; port 0 takes a free one.
Result<ListeningSocket> listen_on(const std::string& address);

using TlsContext = std::shared_ptr<SSL_CTX>;
Result<TlsContext> make_tls_context(const WebConfig::Tls& tls);

class HttpTransport {
 public:
  using Deadline = std::chrono::steady_clock::time_point;

  // `stop_fd` becomes readable when the server stops: every wait ends.
  HttpTransport(FileDescriptor fd, TlsContext tls, int stop_fd);
  ~HttpTransport();
  HttpTransport(const HttpTransport&) = delete;
  HttpTransport& operator=(const HttpTransport&) = delete;

  bool handshake(Deadline deadline);
  bool has_client_certificate() const;
  // Bytes read; 0: the peer closed; -1: failed; -2: the deadline passed or the server stops.
  static constexpr long kTimedOut = -2;
  long read(char* into, size_t size, Deadline deadline);
  bool write(std::string_view bytes, Deadline deadline);
  void close_gracefully();

 private:
  bool wait(short events, Deadline deadline);

  FileDescriptor fd_;
  TlsContext tls_;
  SSL* ssl_ = nullptr;
  int stop_fd_;
};

}  // namespace llmtap
