// SPDX-License-Identifier: Apache-2.0
// What a probe adds to calls of a process that makes no LLM call: bench_loops BATCHES. Each batch times a
// thousand calls of each kind in turn; the median of the batches is the result, in nanoseconds a call:
//
//   send, receive   64 bytes over TCP, neither HTTP nor TLS
//   file            read of a regular file, write to /dev/null: hooked calls, no socket
//   other           a system call that nobody hooks
//   push            a function that begins with `push`, the cheapest place for an entry and a return probe
#include <sys/syscall.h>

#include <cstring>
#include <filesystem>

#include "tls_common.h"

// A file of its own symbol, found by bench_empty_probe.
asm(R"(
  .text
  .p2align 4
  .globl bench_push_target
  .type bench_push_target, @function
bench_push_target:
  push %rbp
  mov %rsp, %rbp
  pop %rbp
  ret
  .size bench_push_target, .-bench_push_target
)");
extern "C" __attribute__((visibility("default"))) void bench_push_target();

namespace llmtap::bench {
namespace {

constexpr size_t kCalls = 1000, kBytes = 64;

class Loops {
 public:
  Loops() {
    const Listener listener;
    sender_ = connect_to(listener.port);
    receiver_ = listener.accept();
    ::close(listener.fd);
    const int on = 1;
    for (const int fd : {sender_, receiver_}) ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    std::string path = std::filesystem::temp_directory_path() / "bench_loops.XXXXXX";
    file_ = ::mkstemp(path.data());
    ::unlink(path.c_str());
    null_ = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    const std::string content(kBytes * kCalls, 'y');
    if (file_ < 0 || null_ < 0 ||
        ::write(file_, content.data(), content.size()) != static_cast<ssize_t>(content.size()))
      fail("the files");
    std::memset(bytes_, 'x', sizeof bytes_);
    std::memset(burst_, 'x', sizeof burst_);
  }

  // Read in one call what a burst of sends left, and the other way round: the one side's cost is a
  // fiftieth of the other's figure.
  void send() {
    if (::send(sender_, bytes_, kBytes, 0) != kBytes) fail("send");
    if (++sent_ % kBurst == 0) take(kBytes * kBurst);
  }
  void receive() {
    if (received_++ % kBurst == 0 && ::send(sender_, burst_, sizeof burst_, 0) != sizeof burst_) fail("send");
    if (::recv(receiver_, bytes_, kBytes, 0) != kBytes) fail("recv");
  }
  void file() {
    if (::read(file_, bytes_, kBytes) != kBytes || ::write(null_, bytes_, kBytes) != kBytes)
      fail("the files");
  }
  void rewind() { ::lseek(file_, 0, SEEK_SET); }

 private:
  static constexpr size_t kBurst = 50;

  void take(size_t bytes) {
    if (::recv(receiver_, burst_, bytes, MSG_WAITALL) != static_cast<ssize_t>(bytes)) fail("recv");
  }

  size_t sent_ = 0, received_ = 0;
  int sender_ = -1, receiver_ = -1, file_ = -1, null_ = -1;
  char bytes_[kBytes], burst_[kBytes * kBurst];
};

template <typename Call>
double nanoseconds(size_t calls_each, Call call) {
  const auto start = Clock::now();
  for (size_t i = 0; i < kCalls; ++i) call();
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count() /
         static_cast<double>(kCalls * calls_each);
}

int run(int argc, char** argv) {
  if (argc != 2) fail("usage: bench_loops BATCHES");
  const size_t batches = std::strtoul(argv[1], nullptr, 10);
  Loops loops;
  std::vector<double> send, receive, file, other, push;
  for (size_t i = 0; i < batches; ++i) {
    loops.rewind();
    send.push_back(nanoseconds(1, [&] { loops.send(); }));
    receive.push_back(nanoseconds(1, [&] { loops.receive(); }));
    file.push_back(nanoseconds(2, [&] { loops.file(); }));
    other.push_back(nanoseconds(1, [] { ::syscall(SYS_getppid); }));
    push.push_back(nanoseconds(1, [] { bench_push_target(); }));
  }
  std::printf("{\"send_ns\":%.2f,\"receive_ns\":%.2f,\"file_ns\":%.2f,\"other_ns\":%.2f,\"push_ns\":%.2f}\n",
              quantile(send, 0.5), quantile(receive, 0.5), quantile(file, 0.5), quantile(other, 0.5),
              quantile(push, 0.5));
  return 0;
}

}  // namespace
}  // namespace llmtap::bench

int main(int argc, char** argv) { return llmtap::bench::run(argc, argv); }
