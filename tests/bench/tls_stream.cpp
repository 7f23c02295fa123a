// SPDX-License-Identifier: Apache-2.0
// What one TLS call costs: bench_tls_stream CERT_DIR STREAMS EVENTS BYTES
//
// Client and server are one thread, so no call waits for another: the time of each SSL_write of an event
// and of the SSL_read that takes it is the cost of that call alone. Prints one JSON line.
#include "tls_common.h"

namespace llmtap::bench {
namespace {

void handshake(SSL* client, SSL* server) {
  for (int i = 0; i < 100; ++i) {
    const int client_done = SSL_do_handshake(client), server_done = SSL_do_handshake(server);
    if (client_done == 1 && server_done == 1) return;
  }
  fail("TLS handshake");
}

class Pair {
 public:
  explicit Pair(const std::string& certs)
      : server_context_(server_context(certs)), client_context_(SSL_CTX_new(TLS_client_method())) {
    const Listener listener;
    client_fd_ = connect_to(listener.port);
    server_fd_ = listener.accept();
    ::close(listener.fd);
    client_ = make_ssl(client_context_.get(), client_fd_, false);
    server_ = make_ssl(server_context_.get(), server_fd_, true);
    for (const int fd : {client_fd_, server_fd_}) set_blocking(fd, false);
    handshake(client_.get(), server_.get());
    for (const int fd : {client_fd_, server_fd_}) set_blocking(fd, true);
  }

  void stream(const Texts& texts, size_t events) {
    write_all(client_.get(), texts.stream_request);
    take(server_.get(), texts.stream_request.size());
    write_all(server_.get(), texts.stream_head);
    take(client_.get(), texts.stream_head.size());
    for (size_t i = 0; i < events; ++i) {
      const auto start = Clock::now();
      write_all(server_.get(), texts.event);
      const auto written = Clock::now();
      const int got = SSL_read(client_.get(), buffer_, sizeof buffer_);
      const auto done = Clock::now();
      if (got != static_cast<int>(texts.event.size())) fail("an event came in pieces");
      write_us.push_back(microseconds(written - start));
      read_us.push_back(microseconds(done - written));
    }
    write_all(server_.get(), texts.stream_end);
    take(client_.get(), texts.stream_end.size());
  }

  std::vector<double> write_us, read_us;

 private:
  static double microseconds(Clock::duration time) {
    return std::chrono::duration<double, std::micro>(time).count();
  }

  void take(SSL* ssl, size_t bytes) {
    while (bytes > 0) {
      const int got = SSL_read(ssl, buffer_, static_cast<int>(std::min(bytes, sizeof buffer_)));
      if (got <= 0) fail("the peer ended early");
      bytes -= static_cast<size_t>(got);
    }
  }

  Context server_context_, client_context_;
  int client_fd_ = -1, server_fd_ = -1;
  Ssl client_, server_;
  char buffer_[16384];
};

int run(int argc, char** argv) {
  if (argc != 5) fail("usage: bench_tls_stream CERT_DIR STREAMS EVENTS BYTES");
  const size_t streams = std::strtoul(argv[2], nullptr, 10), events = std::strtoul(argv[3], nullptr, 10);
  const Texts texts(400, 900, std::strtoul(argv[4], nullptr, 10));
  const auto pair = std::make_unique<Pair>(argv[1]);
  pair->stream(texts, events);  // warm
  pair->write_us.clear();
  pair->read_us.clear();
  const double cpu = cpu_seconds(RUSAGE_SELF);
  for (size_t i = 0; i < streams; ++i) pair->stream(texts, events);
  const double used = cpu_seconds(RUSAGE_SELF) - cpu;
  std::vector<double> both = pair->write_us;
  both.insert(both.end(), pair->read_us.begin(), pair->read_us.end());
  std::printf(
      "{\"streams\":%zu,\"calls\":%zu,\"p50_us\":%.3f,\"p99_us\":%.3f,\"write_p50_us\":%.3f,\"write_p99_us\":"
      "%.3f,"
      "\"read_p50_us\":%.3f,\"read_p99_us\":%.3f,\"cpu_us\":%.3f}\n",
      streams + 1, both.size(), quantile(both, 0.5), quantile(both, 0.99), quantile(pair->write_us, 0.5),
      quantile(pair->write_us, 0.99), quantile(pair->read_us, 0.5), quantile(pair->read_us, 0.99),
      used / static_cast<double>(both.size()) * 1e6);
  return 0;
}

}  // namespace
}  // namespace llmtap::bench

int main(int argc, char** argv) { return llmtap::bench::run(argc, argv); }
