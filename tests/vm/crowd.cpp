// SPDX-License-Identifier: Apache-2.0
// Makes a kernel preempt whatever it can: crowd SECONDS. Sixteen short-lived clients at a time each make one
// LLM call over plain HTTP to a server with a thread for each, while every CPU is also kept busy. Prints how
// many calls were answered whole; exit status 1 when one was not.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

constexpr int kClientsAtOnce = 16;
constexpr std::string_view kBody = R"({"model":"crowd","messages":[{"role":"user","content":"hi"}]})";
constexpr std::string_view kReply =
    R"({"id":"c","object":"chat.completion","model":"crowd","choices":[{"index":0,"finish_reason":"stop",)"
    R"("message":{"role":"assistant","content":"ok"}}],"usage":{"prompt_tokens":5,"completion_tokens":7}})";

std::string message(std::string_view first_line, std::string_view body) {
  return std::string(first_line) +
         "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\nConnection: close\r\n\r\n" + std::string(body);
}

const std::string& request() {
  static const std::string text = message("POST /v1/chat/completions HTTP/1.1\r\nHost: crowd", kBody);
  return text;
}

const std::string& reply() {
  static const std::string text = message("HTTP/1.1 200 OK", kReply);
  return text;
}

bool send_all(int fd, std::string_view bytes) {
  return ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
}

bool receive(int fd, size_t bytes) {
  char buffer[1024];
  while (bytes > 0) {
    const ssize_t got = ::recv(fd, buffer, sizeof buffer, 0);
    if (got <= 0) return false;
    bytes -= std::min(bytes, static_cast<size_t>(got));
  }
  return true;
}

[[noreturn]] void serve(int listener) {
  for (;;) {
    const int fd = ::accept(listener, nullptr, nullptr);
    if (fd < 0) continue;
    std::thread([fd] {
      if (receive(fd, request().size())) send_all(fd, reply());
      ::close(fd);
    }).detach();
  }
}

bool call(const sockaddr_in& server) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return ::connect(fd, reinterpret_cast<const sockaddr*>(&server), sizeof server) == 0 &&
         send_all(fd, request()) && receive(fd, reply().size());
}

template <typename Work>
pid_t start(Work work) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(work() ? 0 : 1);
  return pid;
}

}  // namespace

int main(int argc, char** argv) {
  const int seconds = argc == 2 ? std::atoi(argv[1]) : 0;
  if (seconds <= 0) {
    std::fprintf(stderr, "usage: crowd SECONDS\n");
    return 2;
  }
  sockaddr_in server{};
  server.sin_family = AF_INET;
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof server;
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::bind(listener, reinterpret_cast<sockaddr*>(&server), size) != 0 ||
      ::getsockname(listener, reinterpret_cast<sockaddr*>(&server), &size) != 0 ||
      ::listen(listener, 512) != 0) {
    std::perror("crowd: listen");
    return 1;
  }
  std::vector<pid_t> others{start([listener]() -> bool { serve(listener); })};
  for (long cpu = ::sysconf(_SC_NPROCESSORS_ONLN); cpu > 0; --cpu)
    others.push_back(start([]() -> bool {
      for (;;) asm volatile("");
    }));
  long answered = 0, failed = 0;
  int clients = 0;
  const auto reap = [&] {
    int status = 0;
    if (::wait(&status) <= 0) return;
    --clients;
    ++(status == 0 ? answered : failed);
  };
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  while (std::chrono::steady_clock::now() < end) {
    for (; clients < kClientsAtOnce; ++clients)
      if (start([&] { return call(server); }) < 0) break;
    reap();
  }
  while (clients > 0) reap();
  for (const pid_t pid : others) ::kill(pid, SIGKILL);
  std::printf("%ld\n", answered);
  if (failed > 0) std::fprintf(stderr, "crowd: %ld calls failed\n", failed);
  return failed > 0 ? 1 : 0;
}
