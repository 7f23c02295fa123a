// SPDX-License-Identifier: Apache-2.0
#include "cli/http_get.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>

#include "base/ascii.h"

namespace llmtap {
namespace {

constexpr size_t kMaxReplyBytes = 64 << 20;

using Clock = std::chrono::steady_clock;

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

Error system_error(int error) { return Error{std::strerror(error)}; }

Result<> wait_for(int fd, short events, Clock::time_point deadline) {
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd entry{fd, events, 0};
    const int n = left > 0 ? ::poll(&entry, 1, static_cast<int>(left)) : 0;
    if (n > 0) return Ok{};
    if (n == 0) return Error{"no answer in time"};
    if (errno != EINTR) return system_error(errno);
  }
}

Result<> connect_to(int fd, const ListenAddress& address, Clock::time_point deadline) {
  sockaddr_storage storage{};
  socklen_t length = 0;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
  if (address.host.find(':') == std::string::npos) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(address.port);
    length = sizeof(*v4);
    if (inet_pton(AF_INET, address.host.c_str(), &v4->sin_addr) != 1) return Error{"not an IP address"};
  } else {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(address.port);
    length = sizeof(*v6);
    if (inet_pton(AF_INET6, address.host.c_str(), &v6->sin6_addr) != 1) return Error{"not an IP address"};
  }
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&storage), length) == 0) return Ok{};
  if (errno != EINPROGRESS && errno != EINTR) return system_error(errno);
  LLMTAP_TRY(wait_for(fd, POLLOUT, deadline));
  int error = 0;
  socklen_t size = sizeof(error);
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return system_error(errno);
  if (error != 0) return system_error(error);
  return Ok{};
}

Result<std::string> exchange(int fd, const std::string& request, Clock::time_point deadline) {
  for (size_t sent = 0; sent < request.size();) {
    const ssize_t n = ::send(fd, request.data() + sent, request.size() - sent, MSG_NOSIGNAL);
    if (n >= 0) {
      sent += static_cast<size_t>(n);
    } else if (errno == EAGAIN) {
      LLMTAP_TRY(wait_for(fd, POLLOUT, deadline));
    } else if (errno != EINTR) {
      return system_error(errno);
    }
  }
  std::string reply;
  char buffer[16384];
  for (;;) {
    const ssize_t n = ::recv(fd, buffer, sizeof(buffer), 0);
    if (n == 0) return reply;
    if (n > 0) {
      reply.append(buffer, static_cast<size_t>(n));
      if (reply.size() > kMaxReplyBytes) return Error{"the reply is larger than 64 MiB"};
    } else if (errno == EAGAIN) {
      LLMTAP_TRY(wait_for(fd, POLLIN, deadline));
    } else if (errno != EINTR) {
      return system_error(errno);
    }
  }
}

}  // namespace

Result<HttpReply> parse_http_reply(const std::string& bytes) {
  const Error not_http{"the reply is not HTTP", "is another program listening there, or is TLS switched on?"};
  const std::string_view text = bytes;
  const size_t head_end = text.find("\r\n\r\n");
  if (!text.starts_with("HTTP/1.") || head_end == std::string_view::npos || head_end < 12) return not_http;
  HttpReply reply;
  if (std::from_chars(text.data() + 9, text.data() + 12, reply.status).ec != std::errc{}) return not_http;
  std::string_view head = text.substr(0, head_end + 2);
  std::optional<size_t> length;
  for (head.remove_prefix(head.find("\r\n") + 2); !head.empty(); head.remove_prefix(head.find("\r\n") + 2)) {
    const std::string_view line = head.substr(0, head.find("\r\n"));
    const size_t colon = std::min(line.find(':'), line.size());
    if (iequals(line.substr(0, colon), "transfer-encoding"))
      return Error{"the reply is chunked, which this program's server never does",
                   "is another program listening there?"};
    if (!iequals(line.substr(0, colon), "content-length") || colon == line.size()) continue;
    std::string_view value = line.substr(colon + 1);
    while (value.starts_with(' ')) value.remove_prefix(1);
    size_t number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc{} || end != value.data() + value.size()) return not_http;
    length = number;
  }
  reply.body = text.substr(head_end + 4);
  if (length && reply.body.size() < *length) return Error{"the reply was cut off"};
  if (length) reply.body.resize(*length);
  return reply;
}

Result<HttpReply> http_get(const ListenAddress& address, const std::string& target,
                           std::chrono::milliseconds timeout) {
  const bool v6 = address.host.find(':') != std::string::npos;
  const std::string place =
      (v6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
  const auto deadline = Clock::now() + timeout;
  const Socket socket(::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (socket.fd() < 0) return system_error(errno);
  LLMTAP_TRY(connect_to(socket.fd(), address, deadline).context("cannot reach " + place));
  const std::string request = "GET " + target + " HTTP/1.1\r\nHost: " + place +
                              "\r\nAccept: application/json\r\nConnection: close\r\n\r\n";
  const std::string reply = LLMTAP_TRY(exchange(socket.fd(), request, deadline).context(place));
  return parse_http_reply(reply).context(place);
}

}  // namespace llmtap
