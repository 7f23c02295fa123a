// SPDX-License-Identifier: Apache-2.0
// A client and a server that do nothing but TLS, shaped like LLM calls, to measure what a probe adds:
//
//   bench_tls_pair CERT_DIR calls  COUNT           one keep-alive connection, request and 1 KB reply
//   bench_tls_pair CERT_DIR stream STREAMS EVENTS  each event of 250 bytes is its own write
//   bench_tls_pair CERT_DIR flood  CONNECTIONS EVENTS   all at once, as fast as it goes
//   bench_tls_pair CERT_DIR plain_https COUNT      as calls, but no LLM: GET /health
//
// Prints one JSON line. Client and server are two processes; latency is the client's.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "bench_tls_pair: %s\n", what);
  ERR_print_errors_fp(stderr);
  std::exit(1);
}

struct ContextDeleter {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using Context = std::unique_ptr<SSL_CTX, ContextDeleter>;

class Connection {
 public:
  Connection(SSL_CTX* context, int fd, bool server) : ssl_(SSL_new(context)), fd_(fd) {
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    SSL_set_fd(ssl_, fd);
    if ((server ? SSL_accept(ssl_) : SSL_connect(ssl_)) != 1) fail("TLS handshake");
  }
  ~Connection() {
    SSL_shutdown(ssl_);
    SSL_free(ssl_);
    ::close(fd_);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void write(std::string_view bytes) {
    if (SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size())) != static_cast<int>(bytes.size()))
      fail("SSL_write");
  }
  // Bytes read; 0 at the end.
  int read() { return std::max(0, SSL_read(ssl_, buffer_, sizeof buffer_)); }
  std::string_view last(int bytes) const { return {buffer_, static_cast<size_t>(bytes)}; }
  bool read_exactly(size_t bytes) {
    while (bytes > 0) {
      const int got = SSL_read(ssl_, buffer_, static_cast<int>(std::min(bytes, sizeof buffer_)));
      if (got <= 0) return false;
      bytes -= static_cast<size_t>(got);
    }
    return true;
  }

 private:
  SSL* ssl_;
  int fd_;
  char buffer_[16384];
};

std::string padded(std::string text, size_t size, std::string_view tail) {
  text.append(size - text.size() - tail.size(), 'x');
  return text.append(tail);
}

std::string with_length(std::string head, const std::string& body) {
  return head + "content-type: application/json\r\ncontent-length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

struct Texts {
  std::string request, reply, stream_request, stream_head, event, stream_end;

  explicit Texts(bool llm) {
    const std::string host = "host: 127.0.0.1\r\nauthorization: Bearer sk-test\r\n";
    const std::string body =
        padded(R"({"model":"bench-model","messages":[{"role":"user","content":")", 400, R"("}]})");
    request = llm ? with_length("POST /v1/chat/completions HTTP/1.1\r\n" + host, body)
                  : "GET /health HTTP/1.1\r\n" + host + "\r\n";
    const std::string reply_body = padded(
        R"({"id":"chatcmpl-1","object":"chat.completion","model":"bench-model","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":")",
        900, R"("}}],"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21}})");
    reply = with_length("HTTP/1.1 200 OK\r\n", reply_body);
    stream_request =
        with_length("POST /v1/chat/completions HTTP/1.1\r\n" + host,
                    padded(R"({"model":"bench-model","stream":true,"messages":[{"role":"user","content":")",
                           400, R"("}]})"));
    stream_head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    event = chunk(padded(
        R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","model":"bench-model","choices":[{"index":0,"finish_reason":null,"delta":{"content":")",
        244, "\"}}]}\n\n"));
    stream_end = chunk(
                     "data: "
                     "{\"id\":\"chatcmpl-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_"
                     "tokens\":12}}\n\n") +
                 chunk("data: [DONE]\n\n") + "0\r\n\r\n";
  }
  static std::string chunk(const std::string& data) {
    char size[20];
    std::snprintf(size, sizeof size, "%zx\r\n", data.size());
    return size + data + "\r\n";
  }
};

void answer(SSL_CTX* context, int fd, const Texts& texts, size_t events) {
  Connection connection(context, fd, true);
  const size_t request = events ? texts.stream_request.size() : texts.request.size();
  while (connection.read_exactly(request)) {
    if (!events) {
      connection.write(texts.reply);
      continue;
    }
    connection.write(texts.stream_head);
    for (size_t i = 0; i < events; ++i) connection.write(texts.event);
    connection.write(texts.stream_end);
  }
}

[[noreturn]] void serve(int listener, const std::string& certs, const Texts& texts, size_t connections,
                        size_t events) {
  Context context(SSL_CTX_new(TLS_server_method()));
  if (SSL_CTX_use_certificate_chain_file(context.get(), (certs + "/server.pem").c_str()) != 1 ||
      SSL_CTX_use_PrivateKey_file(context.get(), (certs + "/server.key").c_str(), SSL_FILETYPE_PEM) != 1)
    fail("the certificate");
  std::vector<std::thread> threads;
  for (size_t i = 0; i < connections; ++i) {
    const int fd = ::accept(listener, nullptr, nullptr);
    if (fd < 0) fail("accept");
    threads.emplace_back(answer, context.get(), fd, std::cref(texts), events);
  }
  for (std::thread& thread : threads) thread.join();
  std::exit(0);
}

int connect_to(uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail("connect");
  return fd;
}

double cpu_seconds(int who) {
  rusage usage{};
  ::getrusage(who, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Samples {
  std::vector<double> us;
  double at(double quantile) {
    if (us.empty()) return 0;
    std::ranges::sort(us);
    return us[std::min(us.size() - 1, static_cast<size_t>(quantile * static_cast<double>(us.size())))];
  }
};

// One exchange at a time; microseconds each.
Samples calls(Connection& connection, const Texts& texts, size_t count) {
  Samples samples;
  samples.us.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    const auto start = Clock::now();
    connection.write(texts.request);
    if (!connection.read_exactly(texts.reply.size())) fail("the reply ended early");
    samples.us.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
  }
  return samples;
}

// Microseconds from one arrival to the next within each stream.
Samples stream(Connection& connection, const Texts& texts, size_t events) {
  Samples samples;
  samples.us.reserve(events);
  connection.write(texts.stream_request);
  size_t left = texts.stream_head.size() + events * texts.event.size() + texts.stream_end.size();
  auto last = Clock::now();
  while (left > 0) {
    const int got = connection.read();
    if (got == 0) fail("the stream ended early");
    const auto now = Clock::now();
    samples.us.push_back(std::chrono::duration<double, std::micro>(now - last).count());
    last = now;
    left -= std::min(left, static_cast<size_t>(got));
  }
  return samples;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) fail("usage: bench_tls_pair CERT_DIR calls|stream|flood|plain_https COUNT [EVENTS]");
  const std::string certs = argv[1], mode = argv[2];
  const size_t count = std::strtoul(argv[3], nullptr, 10);
  const size_t events = argc > 4 ? std::strtoul(argv[4], nullptr, 10) : 0;
  const bool flood = mode == "flood", streaming = flood || mode == "stream";
  if (count == 0 || streaming != (events > 0)) fail("streams take EVENTS, calls take none");
  const Texts texts(mode != "plain_https");
  const size_t connections = flood ? count : 1;

  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (::bind(listener, reinterpret_cast<sockaddr*>(&address), length) != 0 || ::listen(listener, 4096) != 0 ||
      ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) != 0)
    fail("listen");
  const pid_t child = ::fork();
  if (child == 0) serve(listener, certs, texts, connections, events);

  Context context(SSL_CTX_new(TLS_client_method()));
  std::vector<std::unique_ptr<Connection>> all;
  for (size_t i = 0; i < connections; ++i)
    all.push_back(std::make_unique<Connection>(context.get(), connect_to(ntohs(address.sin_port)), false));
  const double cpu = cpu_seconds(RUSAGE_SELF);
  const auto start = Clock::now();
  Samples samples;
  if (flood) {
    std::vector<std::thread> threads;
    for (auto& connection : all) threads.emplace_back([&] { stream(*connection, texts, events); });
    for (std::thread& thread : threads) thread.join();
  } else if (streaming) {
    for (size_t i = 0; i < count; ++i) {
      Samples one = stream(*all.front(), texts, events);
      samples.us.insert(samples.us.end(), one.us.begin(), one.us.end());
    }
  } else {
    calls(*all.front(), texts, std::min<size_t>(count, 200));  // warm
    samples = calls(*all.front(), texts, count);
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  const double used = cpu_seconds(RUSAGE_SELF) - cpu;
  all.clear();
  int status = 0;
  ::waitpid(child, &status, 0);
  const double units = static_cast<double>(count) * (streaming ? static_cast<double>(events) : 1);
  std::printf(
      "{\"mode\":\"%s\",\"units\":%.0f,\"seconds\":%.6f,\"per_second\":%.1f,\"p50_us\":%.2f,\"p99_us\":%.2f,"
      "\"client_cpu_us\":%.3f,\"server_cpu_us\":%.3f}\n",
      mode.c_str(), units, seconds, units / seconds, samples.at(0.5), samples.at(0.99), used / units * 1e6,
      cpu_seconds(RUSAGE_CHILDREN) / units * 1e6);
  return status == 0 ? 0 : 1;
}
