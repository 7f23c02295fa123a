// SPDX-License-Identifier: Apache-2.0
// What the TLS load generators share: certificates, sockets, the texts of an LLM call, and times.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace llmtap::bench {

using Clock = std::chrono::steady_clock;

[[noreturn]] inline void fail(const char* what) {
  std::fprintf(stderr, "bench: %s\n", what);
  ERR_print_errors_fp(stderr);
  std::exit(1);
}

struct SslDeleter {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using Context = std::unique_ptr<SSL_CTX, SslDeleter>;
using Ssl = std::unique_ptr<SSL, SslDeleter>;

inline Context server_context(const std::string& certs) {
  Context context(SSL_CTX_new(TLS_server_method()));
  if (SSL_CTX_use_certificate_chain_file(context.get(), (certs + "/server.pem").c_str()) != 1 ||
      SSL_CTX_use_PrivateKey_file(context.get(), (certs + "/server.key").c_str(), SSL_FILETYPE_PEM) != 1)
    fail("the certificate");
  return context;
}

// Ten thousand connections of the generator itself would otherwise hold 34 KiB of buffers each.
inline Context lean(Context context) {
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_num_tickets(context.get(), 0);
  return context;
}

inline Ssl make_ssl(SSL_CTX* context, int fd, bool server) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  Ssl ssl(SSL_new(context));
  SSL_set_fd(ssl.get(), fd);
  if (server)
    SSL_set_accept_state(ssl.get());
  else
    SSL_set_connect_state(ssl.get());
  return ssl;
}

inline void set_blocking(int fd, bool blocking) {
  const int flags = ::fcntl(fd, F_GETFL);
  ::fcntl(fd, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

struct Listener {
  int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  uint16_t port = 0;

  Listener() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (::bind(fd, reinterpret_cast<sockaddr*>(&address), length) != 0 || ::listen(fd, 4096) != 0 ||
        ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0)
      fail("listen");
    port = ntohs(address.sin_port);
  }
  int accept() const {
    const int accepted = ::accept(fd, nullptr, nullptr);
    if (accepted < 0) fail("accept");
    return accepted;
  }
};

inline int connect_to(uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail("connect");
  return fd;
}

inline void write_all(SSL* ssl, std::string_view bytes) {
  if (SSL_write(ssl, bytes.data(), static_cast<int>(bytes.size())) != static_cast<int>(bytes.size()))
    fail("SSL_write");
}

// Sentences with the escapes of real prompts: a scanner's speed depends on them.
inline std::string prose(size_t bytes) {
  static constexpr std::string_view kSentence =
      R"(The quick brown fox said \"over the lazy dog\" and went on.\n)";
  std::string text;
  while (text.size() + kSentence.size() <= bytes) text += kSentence;
  return text.append(bytes - text.size(), 'x');
}

inline std::string padded(std::string_view head, size_t bytes, std::string_view tail) {
  if (head.size() + tail.size() > bytes) fail("the text is too short for its frame");
  return std::string(head) + prose(bytes - head.size() - tail.size()) + std::string(tail);
}

inline std::string chunk(const std::string& data) {
  char size[20];
  std::snprintf(size, sizeof size, "%zx\r\n", data.size());
  return size + data + "\r\n";
}

inline std::string with_length(const std::string& head, const std::string& body) {
  return head + "content-type: application/json\r\ncontent-length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

// One call of the chat completions API. An event is as long as its record on the wire is to be.
struct Texts {
  std::string request, reply, stream_request, stream_head, event, stream_end;

  Texts(size_t request_bytes, size_t reply_bytes, size_t event_bytes) {
    const std::string head =
        "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer sk-test\r\n";
    request = with_length(head, padded(R"({"model":"bench-model","messages":[{"role":"user","content":")",
                                       request_bytes, R"("}]})"));
    stream_request = with_length(
        head, padded(R"({"model":"bench-model","stream":true,"messages":[{"role":"user","content":")",
                     request_bytes, R"("}]})"));
    reply = with_length(
        "HTTP/1.1 200 OK\r\n",
        padded(
            R"({"id":"chatcmpl-00000000","object":"chat.completion","model":"bench-model","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":")",
            reply_bytes, R"("}}],"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21}})"));
    stream_head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    constexpr size_t kFraming = 6;  // "fa\r\n" and "\r\n"
    event = chunk(padded(
        R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","model":"bench-model","choices":[{"index":0,"finish_reason":null,"delta":{"content":")",
        event_bytes - kFraming, "\"}}]}\n\n"));
    stream_end = chunk(
                     "data: "
                     "{\"id\":\"chatcmpl-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_"
                     "tokens\":12}}\n\n") +
                 chunk("data: [DONE]\n\n") + "0\r\n\r\n";
  }
  size_t stream_bytes(size_t events) const {
    return stream_head.size() + events * event.size() + stream_end.size();
  }
};

inline double cpu_seconds(int who) {
  rusage usage{};
  ::getrusage(who, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

inline double quantile(std::vector<double>& values, double q) {
  if (values.empty()) return 0;
  const size_t at = std::min(values.size() - 1, static_cast<size_t>(q * static_cast<double>(values.size())));
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(at));
  return values[at];
}

}  // namespace llmtap::bench
