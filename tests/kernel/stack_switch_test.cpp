// SPDX-License-Identifier: Apache-2.0
// A program that leaves a TLS call by switching to another stack, and calls from there: it must do
// with the probe what it does without.
#include <openssl/bio.h>
#include <sys/socket.h>
#include <ucontext.h>
#include <unistd.h>

#include <pthread.h>

#include <array>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "capture_fixture.h"
#include "tls_fixture.h"

namespace llmtap {
namespace {

const std::string kAsked = "GET /a HTTP/1.1\r\n\r\n";

// A BIO over a socket that runs `before_read` before it reads.
struct SwitchingBio {
  int fd = -1;
  std::function<void()> before_read;
};

int bio_read(BIO* bio, char* to, int bytes) {
  auto* self = static_cast<SwitchingBio*>(BIO_get_data(bio));
  if (self->before_read) std::exchange(self->before_read, nullptr)();
  return static_cast<int>(recv(self->fd, to, static_cast<size_t>(bytes), 0));
}
int bio_write(BIO* bio, const char* from, int bytes) {
  return static_cast<int>(send(static_cast<SwitchingBio*>(BIO_get_data(bio))->fd, from,
                               static_cast<size_t>(bytes), MSG_NOSIGNAL));
}
long bio_control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }
int bio_create(BIO* bio) {
  BIO_set_init(bio, 1);
  return 1;
}

// A client whose server has answered: what SSL_read returns is on its way.
struct Client {
  TcpPair pair;
  SwitchingBio bio;
  SSL* ssl = nullptr;
  std::string got;

  bool connect(const TlsContexts& contexts, BIO_METHOD* method, const std::string& reply) {
    bool served = false;
    std::thread server([&] {
      SSL* peer = SSL_new(contexts.server);
      SSL_set_fd(peer, pair.server);
      served = SSL_accept(peer) == 1 && tls_read(peer, kAsked.size()) == kAsked && tls_write_all(peer, reply);
      SSL_free(peer);
    });
    bio.fd = pair.client;
    ssl = SSL_new(contexts.client);
    BIO* below = BIO_new(method);
    BIO_set_data(below, &bio);
    SSL_set_bio(ssl, below, below);
    const bool asked = SSL_connect(ssl) == 1 && tls_write_all(ssl, kAsked);
    server.join();
    return asked && served;
  }
  ~Client() { SSL_free(ssl); }
};

ucontext_t main_context, fiber_context;
std::function<void()> fiber_body;

// getcontext() returns twice for all the compiler knows.
void make_fiber(void* stack, size_t bytes) {
  getcontext(&fiber_context);
  fiber_context.uc_stack.ss_sp = stack;
  fiber_context.uc_stack.ss_size = bytes;
  fiber_context.uc_link = &main_context;
  makecontext(&fiber_context, [] { fiber_body(); }, 0);
}

// Fiber A reads on the thread's own stack, fiber B on another. `a_first`: A's call returns before B's,
// which was entered inside it; else after.
int switch_inside_reads(const TlsContexts& contexts, bool a_first) {
  BIO_METHOD* method = BIO_meth_new(BIO_TYPE_SOURCE_SINK | 0x7f, "switching");
  BIO_meth_set_read(method, bio_read);
  BIO_meth_set_write(method, bio_write);
  BIO_meth_set_ctrl(method, bio_control);
  BIO_meth_set_create(method, bio_create);
  const std::string reply_a = "HTTP/1.1 200 OK\r\n\r\nthis is the reply of A",
                    reply_b = "HTTP/1.1 200 OK\r\n\r\nB's";
  Client a, b;
  if (!a.connect(contexts, method, reply_a) || !b.connect(contexts, method, reply_b)) return 1;

  std::vector<char> stack(256 * 1024);
  make_fiber(stack.data(), stack.size());
  fiber_body = [&] { b.got = tls_read(b.ssl, reply_b.size()); };

  a.bio.before_read = [] { swapcontext(&main_context, &fiber_context); };
  if (a_first) b.bio.before_read = [] { swapcontext(&fiber_context, &main_context); };
  a.got = tls_read(a.ssl, reply_a.size());
  if (a_first) {
    if (!b.got.empty()) return 2;
    swapcontext(&main_context, &fiber_context);
  }
  BIO_meth_free(method);
  return a.got == reply_a && b.got == reply_b ? 0 : 3;
}

class StackSwitchTest : public CaptureTest, public ::testing::WithParamInterface<bool> {};

TEST_P(StackSwitchTest, TheProgramIsNotHarmed) {
  ASSERT_NO_FATAL_FAILURE(open());
  if (!probe_->statistics().uprobe_sessions) GTEST_SKIP() << "no uprobe sessions in this kernel";
  std::vector<uint32_t> switched;
  probe_->on_stack_switch([&](uint32_t tgid) { switched.push_back(tgid); });
  auto link = probe_->attach_uprobes(libssl_path(), libssl_places());
  ASSERT_TRUE(link.has_value()) << link.error().message;
  TlsContexts contexts;
  std::array<int, 2> gate{};
  ASSERT_EQ(pipe(gate.data()), 0);
  const uint32_t tgid = fork_body([&] {
    const int result = switch_inside_reads(contexts, GetParam());
    // Not again seen after that: a whole exchange on the thread's own stack.
    if (result == 0 && tls_exchange(
                           contexts, [](SSL* ssl) { return tls_write_all(ssl, kAsked + "x"); },
                           [](SSL* ssl) { return tls_read(ssl, kAsked.size() + 1) == kAsked + "x"; }) != 0)
      return 4;
    char go = 0;
    return ::read(gate[0], &go, 1) == 1 ? result : 5;
  });
  poll_until([&] { return !switched.empty(); });
  EXPECT_EQ(switched, std::vector<uint32_t>{tgid});
  ASSERT_EQ(::write(gate[1], "x", 1), 1);
  poll_until([&] { return seen_.exits.contains(tgid); });
  expect_success(tgid);
  size_t asked = 0;
  for (const SeenConnection* connection : seen_.connections(tgid, LLMTAP_SOURCE_OPENSSL)) {
    EXPECT_EQ(connection->written().find(kAsked + "x"), std::string::npos);
    asked += connection->written() == kAsked;
  }
  EXPECT_EQ(asked, 2U);
}

INSTANTIATE_TEST_SUITE_P(BothOrders, StackSwitchTest, ::testing::Bool());

// Threads with stacks of the thread library, of another size and of the program's own, are no fibers.
TEST_F(CaptureTest, ThreadsAreNotTakenForFibers) {
  ASSERT_NO_FATAL_FAILURE(open());
  std::vector<uint32_t> switched;
  probe_->on_stack_switch([&](uint32_t tgid) { switched.push_back(tgid); });
  auto link = probe_->attach_uprobes(libssl_path(), libssl_places());
  ASSERT_TRUE(link.has_value()) << link.error().message;
  TlsContexts contexts;
  const uint32_t tgid = run([&] {
    std::vector<char> own(1 << 20);
    for (const int kind : {0, 1, 2}) {
      pthread_attr_t attributes;
      pthread_attr_init(&attributes);
      if (kind == 1) pthread_attr_setstacksize(&attributes, 128 * 1024);
      if (kind == 2)
        pthread_attr_setstack(&attributes, own.data() + (16 - reinterpret_cast<uintptr_t>(own.data()) % 16),
                              512 * 1024);
      pthread_t thread{};
      const auto body = [](void* from) -> void* {
        const auto& of = *static_cast<TlsContexts*>(from);
        return reinterpret_cast<void*>(static_cast<intptr_t>(tls_exchange(
            of, [](SSL* ssl) { return tls_write_all(ssl, kAsked); },
            [](SSL* ssl) { return tls_read(ssl, kAsked.size()) == kAsked; })));
      };
      void* result = nullptr;
      if (pthread_create(&thread, &attributes, body, &contexts) != 0 || pthread_join(thread, &result) != 0 ||
          result)
        return kind + 1;
    }
    return 0;
  });
  size_t asked = 0;
  for (const SeenConnection* connection : seen_.connections(tgid, LLMTAP_SOURCE_OPENSSL))
    asked += connection->written() == kAsked;
  EXPECT_EQ(asked, 3U);
  EXPECT_TRUE(switched.empty());
}

}  // namespace
}  // namespace llmtap
