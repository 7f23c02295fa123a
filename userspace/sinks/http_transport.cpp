// SPDX-License-Identifier: Apache-2.0
#include "sinks/http_transport.h"

#include <netdb.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace llmtap {
namespace {

using Clock = std::chrono::steady_clock;

std::string openssl_reason() {
  char text[256] = "unknown reason";
  if (const unsigned long code = ERR_get_error(); code != 0) ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return text;
}

struct AddressInfo {
  addrinfo* list = nullptr;
  AddressInfo() = default;
  AddressInfo(const AddressInfo&) = delete;
  AddressInfo& operator=(const AddressInfo&) = delete;
  ~AddressInfo() {
    if (list) freeaddrinfo(list);
  }
};

bool is_loopback(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof v4);
    return (ntohl(v4.sin_addr.s_addr) >> 24) == 127;
  }
  sockaddr_in6 v6{};
  std::memcpy(&v6, &address, sizeof v6);
  return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr) != 0;
}

Result<ListeningSocket> bind_to(const addrinfo& info) {
  ListeningSocket socket;
  socket.fd = FileDescriptor(::socket(info.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (socket.fd.get() < 0) return Error{std::strerror(errno)};
  const int on = 1, off = 0;
  setsockopt(socket.fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (info.ai_family == AF_INET6) setsockopt(socket.fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  if (bind(socket.fd.get(), info.ai_addr, info.ai_addrlen) != 0 || listen(socket.fd.get(), 64) != 0)
    return Error{std::strerror(errno),
                 errno == EADDRINUSE
                     ? "another process listens there: stop it, or choose another address with "
                       "metrics.listen"
                 : errno == EACCES
                     ? "ports below 1024 need CAP_NET_BIND_SERVICE: choose another one with metrics.listen"
                     : "set metrics.listen to an address of this machine, or :9464 for all of them"};
  sockaddr_storage bound{};
  socklen_t length = sizeof bound;
  char host[NI_MAXHOST] = "", port[NI_MAXSERV] = "";
  auto* generic = reinterpret_cast<sockaddr*>(&bound);
  if (getsockname(socket.fd.get(), generic, &length) != 0 ||
      getnameinfo(generic, length, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) !=
          0)
    return Error{"cannot tell the bound address"};
  socket.host = host;
  socket.port = static_cast<uint16_t>(std::stoi(port));
  socket.loopback = is_loopback(bound);
  return socket;
}

}  // namespace

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) ::close(fd_);
}

std::string ListeningSocket::address() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<ListeningSocket> listen_on(const std::string& address) {
  const std::string what = "listen on " + address;
  const Error malformed{what + ": not an address of the form host:port",
                        "write for example 127.0.0.1:9464, [::1]:9464 or :9464"};
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) return malformed;
  std::string host = address.substr(0, colon);
  const std::string port = address.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']') && host.size() > 2) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find_first_of("[]:") != std::string::npos) {
    return malformed;
  }
  if (port.empty() || port.size() > 5 || port.find_first_not_of("0123456789") != std::string::npos ||
      std::stoi(port) > 65535)
    return malformed;

  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  AddressInfo found;
  if (const int failed =
          getaddrinfo(host.empty() ? nullptr : host.c_str(), port.c_str(), &hints, &found.list))
    return Error{what + ": " + gai_strerror(failed), malformed.hint};
  // Without a host, one IPv6 socket takes both families; where IPv6 is off the next entry is IPv4.
  Error last{"no address"};
  for (const int family : {host.empty() ? AF_INET6 : AF_UNSPEC, AF_UNSPEC}) {
    for (const addrinfo* info = found.list; info; info = info->ai_next) {
      if (family != AF_UNSPEC && info->ai_family != family) continue;
      Result<ListeningSocket> socket = bind_to(*info);
      if (socket) return socket;
      last = socket.error();
    }
  }
  return Result<ListeningSocket>(last).context(what);
}

Result<TlsContext> make_tls_context(const WebConfig::Tls& tls) {
  TlsContext context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  if (!context) return Error{"cannot set up TLS: " + openssl_reason()};
  SSL_CTX* raw = context.get();
  SSL_CTX_set_min_proto_version(raw, tls.min_version ? tls.min_version : TLS1_2_VERSION);
  if (tls.max_version) SSL_CTX_set_max_proto_version(raw, tls.max_version);
  // Renegotiation and compression are only attack surface here.
  SSL_CTX_set_options(raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(raw, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (SSL_CTX_use_certificate_chain_file(raw, tls.cert_file.c_str()) != 1)
    return Error{"cannot use certificate " + tls.cert_file + ": " + openssl_reason()};
  if (SSL_CTX_use_PrivateKey_file(raw, tls.key_file.c_str(), SSL_FILETYPE_PEM) != 1)
    return Error{"cannot use private key " + tls.key_file + ": " + openssl_reason()};
  if (SSL_CTX_check_private_key(raw) != 1)
    return Error{"private key " + tls.key_file + " does not belong to " + tls.cert_file};
  // With client certificates, OpenSSL refuses to resume sessions that lack this.
  constexpr unsigned char kSessionContext[] = "llmtap";
  SSL_CTX_set_session_id_context(raw, kSessionContext, sizeof kSessionContext - 1);
  switch (tls.client_auth) {
    case ClientAuth::kNone: break;
    case ClientAuth::kRequest:
    case ClientAuth::kRequireAny:
      SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, [](int, X509_STORE_CTX*) { return 1; });
      break;
    case ClientAuth::kVerifyIfGiven:
    case ClientAuth::kRequireAndVerify:
      // A missing certificate is refused later, by route: health probes of an orchestrator have none.
      if (SSL_CTX_load_verify_locations(raw, tls.client_ca_file.c_str(), nullptr) != 1)
        return Error{"cannot use client_ca_file " + tls.client_ca_file + ": " + openssl_reason()};
      SSL_CTX_set_client_CA_list(raw, SSL_load_client_CA_file(tls.client_ca_file.c_str()));
      SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, nullptr);
      break;
  }
  return context;
}

HttpTransport::HttpTransport(FileDescriptor fd, TlsContext tls, int stop_fd)
    : fd_(std::move(fd)), tls_(std::move(tls)), stop_fd_(stop_fd) {
  if (!tls_) return;
  ssl_ = SSL_new(tls_.get());
  if (ssl_) SSL_set_fd(ssl_, fd_.get());
}

HttpTransport::~HttpTransport() { SSL_free(ssl_); }

bool HttpTransport::wait(short events, Deadline deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    pollfd fds[2] = {{fd_.get(), events, 0}, {stop_fd_, POLLIN, 0}};
    const int ready = poll(fds, 2, static_cast<int>(std::min<long>(left, 60'000)));
    if (ready < 0 && errno != EINTR) return false;
    if (ready > 0) return fds[1].revents == 0;
  }
}

bool HttpTransport::handshake(Deadline deadline) {
  if (!tls_) return true;
  if (!ssl_) return false;
  for (;;) {
    ERR_clear_error();
    const int result = SSL_accept(ssl_);
    if (result == 1) return true;
    const int why = SSL_get_error(ssl_, result);
    if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) return false;
    if (!wait(why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, deadline)) return false;
  }
}

bool HttpTransport::has_client_certificate() const {
  return ssl_ && SSL_get0_peer_certificate(ssl_) != nullptr;
}

long HttpTransport::read(char* into, size_t size, Deadline deadline) {
  for (;;) {
    short events = POLLIN;
    if (ssl_) {
      ERR_clear_error();
      const int got = SSL_read(ssl_, into, static_cast<int>(size));
      if (got > 0) return got;
      const int why = SSL_get_error(ssl_, got);
      if (why == SSL_ERROR_ZERO_RETURN) return 0;
      if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) return -1;
      if (why == SSL_ERROR_WANT_WRITE) events = POLLOUT;
    } else {
      const ssize_t got = recv(fd_.get(), into, size, 0);
      if (got >= 0) return got;
      if (errno != EAGAIN && errno != EINTR) return -1;
    }
    if (!wait(events, deadline)) return kTimedOut;
  }
}

bool HttpTransport::write(std::string_view bytes, Deadline deadline) {
  while (!bytes.empty()) {
    short events = POLLOUT;
    long sent = -1;
    if (ssl_) {
      ERR_clear_error();
      sent = SSL_write(ssl_, bytes.data(), static_cast<int>(std::min<size_t>(bytes.size(), 1 << 20)));
      const int why = sent > 0 ? SSL_ERROR_NONE : SSL_get_error(ssl_, static_cast<int>(sent));
      if (sent <= 0 && why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) return false;
      if (why == SSL_ERROR_WANT_READ) events = POLLIN;
    } else {
      sent = send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno != EAGAIN && errno != EINTR) return false;
    }
    if (sent > 0) {
      bytes.remove_prefix(static_cast<size_t>(sent));
    } else if (!wait(events, deadline)) {
      return false;
    }
  }
  return true;
}

void HttpTransport::close_gracefully() {
  if (ssl_) SSL_shutdown(ssl_);
  // Closing with unread bytes would reset the connection and destroy the reply on its way.
  shutdown(fd_.get(), SHUT_WR);
  char rest[4096];
  const Deadline deadline = Clock::now() + std::chrono::milliseconds(500);
  size_t drained = 0;
  while (drained < (1 << 20)) {
    const ssize_t got = recv(fd_.get(), rest, sizeof rest, 0);
    if (got > 0) {
      drained += static_cast<size_t>(got);
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR) || !wait(POLLIN, deadline)) {
      return;
    }
  }
}

}  // namespace llmtap
