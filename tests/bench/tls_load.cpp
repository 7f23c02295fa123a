// SPDX-License-Identifier: Apache-2.0
// LLM traffic over TLS at a given rate, from one client process to one server process:
//
//   bench_tls_load CERT_DIR streams N EVENTS_PER_SECOND SECONDS BYTES
//       N streams at once, each with so many events of so many bytes a second; 0: as fast as it goes, and
//       SECONDS is then the number of thousand events in all.
//   bench_tls_load CERT_DIR calls PER_SECOND SECONDS DELAY_MS REQUEST_BYTES REPLY_BYTES
//       keep-alive calls begun at fixed times, each answered after the delay. Times count from when a
//       call was due, so that a client that falls behind does not hide it.
//
// Prints {"open":N} when all streams run, and one JSON line of results at the end.
#include <sys/epoll.h>
#include <sys/wait.h>

#include <array>
#include <deque>
#include <span>

#include "tls_common.h"

namespace llmtap::bench {
namespace {

struct Connection {
  Ssl ssl;
  int fd = -1;
  size_t left = 0;  // of the message that is being read
  Clock::time_point due;
};
using Connections = std::vector<Connection>;

struct Load {
  size_t connections = 0, events = 0;  // events of a stream; 0: calls
  size_t calls = 0;
  Clock::duration interval{};  // between two events of all streams, or two calls
  Clock::duration delay{};
};

// One side's connections, made one after the other so that neither side needs a state machine for it.
Connections make_connections(SSL_CTX* context, const Listener& listener, size_t count, bool server) {
  Connections all(count);
  for (Connection& one : all) {
    one.fd = server ? listener.accept() : connect_to(listener.port);
    one.ssl = make_ssl(context, one.fd, server);
    if (SSL_do_handshake(one.ssl.get()) != 1) fail("TLS handshake");
  }
  return all;
}

void sleep_until(Clock::time_point due) {
  const auto since_boot =
      std::chrono::duration_cast<std::chrono::nanoseconds>(due.time_since_epoch()).count();
  const timespec time{since_boot / 1'000'000'000, since_boot % 1'000'000'000};
  ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nullptr);
}

class Poller {
 public:
  explicit Poller(Connections& all) : all_(all) {
    for (size_t i = 0; i < all.size(); ++i) {
      set_blocking(all[i].fd, false);
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.u64 = i;
      ::epoll_ctl(fd_, EPOLL_CTL_ADD, all[i].fd, &event);
    }
  }
  ~Poller() { ::close(fd_); }
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  // Connections with something to read; waits until `due` at most.
  std::span<const epoll_event> wait(Clock::time_point due) {
    const auto left = std::max(Clock::duration::zero(), due - Clock::now());
    const auto nanoseconds = std::chrono::duration_cast<std::chrono::nanoseconds>(left).count();
    const timespec time{nanoseconds / 1'000'000'000, nanoseconds % 1'000'000'000};
    const int n = ::epoll_pwait2(fd_, events_.data(), static_cast<int>(events_.size()), &time, nullptr);
    return {events_.data(), static_cast<size_t>(std::max(0, n))};
  }

  // Reads what is there. True when the message of `one` is complete. `ended`: the peer closed.
  bool read(Connection& one, bool& ended) {
    do {
      const int got =
          SSL_read(one.ssl.get(), buffer_.data(), static_cast<int>(std::min(one.left, buffer_.size())));
      if (got <= 0) {
        if (SSL_get_error(one.ssl.get(), got) == SSL_ERROR_WANT_READ) return false;
        ended = true;
        ::epoll_ctl(fd_, EPOLL_CTL_DEL, one.fd, nullptr);
        return false;
      }
      one.left -= static_cast<size_t>(got);
    } while (one.left > 0 && SSL_pending(one.ssl.get()) > 0);
    return one.left == 0;
  }
  Connection& at(const epoll_event& event) { return all_[event.data.u64]; }

 private:
  Connections& all_;
  int fd_ = ::epoll_create1(EPOLL_CLOEXEC);
  std::array<epoll_event, 256> events_;
  std::array<char, 16384> buffer_;
};

void read_request(SSL* ssl, size_t bytes) {
  char buffer[16384];
  while (bytes > 0) {
    const int got = SSL_read(ssl, buffer, static_cast<int>(std::min(bytes, sizeof buffer)));
    if (got <= 0) fail("the request ended early");
    bytes -= static_cast<size_t>(got);
  }
}

void serve_streams(Connections& all, const Texts& texts, const Load& load) {
  for (Connection& one : all) {
    read_request(one.ssl.get(), texts.stream_request.size());
    write_all(one.ssl.get(), texts.stream_head);
  }
  auto due = Clock::now();
  for (size_t i = 0; i < load.events; ++i)
    for (Connection& one : all) {
      if (due > Clock::now()) sleep_until(due);
      write_all(one.ssl.get(), texts.event);
      due += load.interval;
    }
  for (Connection& one : all) write_all(one.ssl.get(), texts.stream_end);
}

// As long as it was: the calls' traces are known by their replies, and are to be different ones.
void count_up_id(std::string& reply) {
  size_t digit = reply.find('"', reply.find("chatcmpl-"));
  while (reply[--digit] == '9') reply[digit] = '0';
  ++reply[digit];
}

// Bodies of more than a socket's buffer: written in full before anything else is done.
void answer(Connection& one, const std::string& reply) {
  set_blocking(one.fd, true);
  write_all(one.ssl.get(), reply);
  set_blocking(one.fd, false);
}

void serve_calls(Connections& all, const Texts& texts, const Load& load) {
  for (Connection& one : all) one.left = texts.request.size();
  Poller poller(all);
  std::string reply = texts.reply;
  std::deque<std::pair<Clock::time_point, Connection*>> waiting;
  size_t open = all.size();
  while (open > 0) {
    for (const epoll_event& event :
         poller.wait(waiting.empty() ? Clock::now() + std::chrono::seconds(1) : waiting.front().first)) {
      Connection& one = poller.at(event);
      bool ended = false;
      if (poller.read(one, ended)) {
        waiting.emplace_back(Clock::now() + load.delay, &one);
        one.left = texts.request.size();
      }
      if (ended) --open;
    }
    for (; !waiting.empty() && waiting.front().first <= Clock::now(); waiting.pop_front()) {
      count_up_id(reply);
      answer(*waiting.front().second, reply);
    }
  }
}

[[noreturn]] void serve(const Listener& listener, const std::string& certs, const Texts& texts,
                        const Load& load) {
  const Context context = lean(server_context(certs));
  Connections all = make_connections(context.get(), listener, load.connections, true);
  if (load.events > 0)
    serve_streams(all, texts, load);
  else
    serve_calls(all, texts, load);
  // The client closes first.
  char byte = 0;
  for (Connection& one : all) {
    set_blocking(one.fd, true);
    SSL_read(one.ssl.get(), &byte, 1);
    ::close(one.fd);
  }
  std::exit(0);
}

struct Results {
  std::vector<double> latency_us;
  uint64_t bytes = 0;  // plaintext, both directions, as one side moved it
};

void run_streams(Connections& all, const Texts& texts, const Load& load, Results& results) {
  const size_t expected = texts.stream_bytes(load.events);
  for (Connection& one : all) {
    write_all(one.ssl.get(), texts.stream_request);
    one.left = expected;
  }
  Poller poller(all);
  size_t running = all.size(), opened = 0;
  while (running > 0)
    for (const epoll_event& event : poller.wait(Clock::now() + std::chrono::seconds(1))) {
      Connection& one = poller.at(event);
      const bool first = one.left == expected;
      bool ended = false;
      const bool complete = poller.read(one, ended);
      if (ended) fail("a stream ended early");
      if (first && one.left < expected && ++opened == all.size()) {
        std::printf("{\"open\":%zu}\n", opened);
        std::fflush(stdout);
      }
      if (complete) --running;
    }
  results.bytes = all.size() * (texts.stream_request.size() + expected);
}

void run_calls(Connections& all, const Texts& texts, const Load& load, Results& results) {
  Poller poller(all);
  std::vector<Connection*> idle;
  for (Connection& one : all) idle.push_back(&one);
  results.latency_us.reserve(load.calls);
  auto due = Clock::now();
  size_t begun = 0, done = 0;
  while (done < load.calls) {
    for (; begun < load.calls && !idle.empty() && due <= Clock::now(); ++begun, due += load.interval) {
      Connection& one = *idle.back();
      idle.pop_back();
      one.left = texts.reply.size();
      one.due = due;
      set_blocking(one.fd, true);
      write_all(one.ssl.get(), texts.request);
      set_blocking(one.fd, false);
    }
    const bool waits_for_reply = idle.empty() || begun == load.calls;
    for (const epoll_event& event :
         poller.wait(waits_for_reply ? Clock::now() + std::chrono::seconds(1) : due)) {
      Connection& one = poller.at(event);
      bool ended = false;
      if (poller.read(one, ended)) {
        results.latency_us.push_back(
            std::chrono::duration<double, std::micro>(Clock::now() - one.due).count());
        ++done;
        idle.push_back(&one);
      }
      if (ended) fail("a reply ended early");
    }
  }
  results.bytes = load.calls * (texts.request.size() + texts.reply.size());
}

size_t number(const char* text) { return std::strtoul(text, nullptr, 10); }

int run(int argc, char** argv) {
  const std::string_view mode = argc > 2 ? argv[2] : "";
  const bool streams = mode == "streams" && argc == 7, calls = mode == "calls" && argc == 8;
  if (!streams && !calls)
    fail(
        "usage: bench_tls_load CERT_DIR streams N EVENTS_PER_SECOND SECONDS BYTES | calls PER_SECOND SECONDS "
        "DELAY_MS REQUEST_BYTES REPLY_BYTES");
  const size_t first = number(argv[3]), second = number(argv[4]), third = number(argv[5]);
  Load load;
  if (streams) {
    load.connections = first;
    load.events = second ? second * third : third * 1000 / first;
    if (second) load.interval = std::chrono::nanoseconds(1'000'000'000 / (first * second));
    if (load.events == 0) fail("no events");
  } else {
    load.calls = first * second;
    load.interval = std::chrono::nanoseconds(1'000'000'000 / first);
    load.delay = std::chrono::milliseconds(third);
    load.connections = first * (third + 300) / 1000 + 1;  // as many as wait, and 300 ms of slack
  }
  const Texts texts =
      streams ? Texts(400, 900, number(argv[6])) : Texts(number(argv[6]), number(argv[7]), 250);

  const Listener listener;
  const pid_t child = ::fork();
  if (child == 0) serve(listener, argv[1], texts, load);
  const Context context = lean(Context(SSL_CTX_new(TLS_client_method())));
  Connections all = make_connections(context.get(), listener, load.connections, false);
  const double cpu = cpu_seconds(RUSAGE_SELF);
  const auto start = Clock::now();
  Results results;
  if (streams)
    run_streams(all, texts, load, results);
  else
    run_calls(all, texts, load, results);
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  const double used = cpu_seconds(RUSAGE_SELF) - cpu;
  for (Connection& one : all) {
    SSL_shutdown(one.ssl.get());
    ::close(one.fd);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  const size_t units = streams ? load.connections * load.events : load.calls;
  std::printf(
      "{\"calls\":%zu,\"units\":%zu,\"seconds\":%.6f,\"per_second\":%.1f,\"bytes\":%llu,\"p50_us\":%.1f,"
      "\"p99_us\":%.1f,"
      "\"client_cpu_s\":%.3f,\"server_cpu_s\":%.3f}\n",
      streams ? load.connections : load.calls, units, seconds, static_cast<double>(units) / seconds,
      static_cast<unsigned long long>(results.bytes), quantile(results.latency_us, 0.5),
      quantile(results.latency_us, 0.99), used, cpu_seconds(RUSAGE_CHILDREN));
  return status == 0 ? 0 : 1;
}

}  // namespace
}  // namespace llmtap::bench

int main(int argc, char** argv) { return llmtap::bench::run(argc, argv); }
