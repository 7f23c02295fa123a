// SPDX-License-Identifier: Apache-2.0
// Two links at one place, one of all processes and one of a process alone: each call is seen once, whichever
// of them comes and goes; and what passed unseen is never taken for seen.
#include <sys/mman.h>

#include <array>
#include <atomic>
#include <chrono>
#include <new>
#include <thread>

#include "capture/process_links.h"
#include "capture_fixture.h"
#include "tls_fixture.h"

namespace llmtap {
namespace {

using namespace std::chrono_literals;

const std::string kRequest =
    "POST /v1/messages HTTP/1.1\r\nHost: api.example.test\r\nContent-Length: 5\r\n\r\nhello";
const std::string kReply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
constexpr uint8_t kFile = 7;

// Seen by the forked process too.
struct Shared {
  std::atomic<bool> go = false, stop = false, leave = false;
  std::atomic<uint64_t> written = 0;
  std::atomic<uint32_t> asked = 0, answered = 0;

  static Shared* make() {
    void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return new (memory) Shared;
  }
};

// With sessions, and with entry and return apart, as before Linux 6.13.
class NarrowTest : public CaptureTest, public ::testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(open({.uprobe_sessions = GetParam()}));
    if (probe_->hit_cost_ns() == 0) GTEST_SKIP() << "links of one process are not to be relied on here";
  }
  // Before any link: a process that inherits the descriptor of one keeps it alive.
  uint32_t start(const std::function<int()>& body) {
    const uint32_t tgid = fork_body([&] {
      while (!state_->go) std::this_thread::sleep_for(1ms);
      return body();
    });
    shared_ = attach({.file = kFile, .epoch = 1});
    state_->go = true;
    return tgid;
  }
  void TearDown() override { munmap(state_, sizeof(Shared)); }
  std::unique_ptr<UprobeLink> attach(const LinkReach& reach) {
    auto link = probe_->attach_uprobes(libssl_path(), libssl_places(), reach);
    EXPECT_TRUE(link.has_value()) << link.error().message;
    return link ? *std::move(link) : nullptr;
  }
  void counts(uint32_t tgid, CountedLink link) {
    ASSERT_EQ(probe_->count_link(tgid, kFile, link), UprobeAttacher::Told::kYes);
  }
  std::unique_ptr<UprobeLink> attach_own(uint32_t tgid) {
    counts(tgid, CountedLink::kBoth);
    auto own = attach({.tgid = tgid, .file = kFile, .epoch = 1});
    counts(tgid, CountedLink::kOwn);
    return own;
  }
  // A client that asks once each time it is told to, and its server.
  int ask_when_told() {
    return tls_exchange(
        contexts_,
        [&](SSL* ssl) {
          for (uint32_t done = 0; !state_->stop;) {
            if (state_->asked == done) continue;
            if (!tls_write_all(ssl, kRequest) || tls_read(ssl, kReply.size()) != kReply) return false;
            state_->answered = ++done;
          }
          return true;
        },
        [&](SSL* ssl) {
          while (tls_read(ssl, kRequest.size()) == kRequest)
            if (!tls_write_all(ssl, kReply)) return false;
          return true;
        });
  }
  void ask() {
    const uint32_t number = ++state_->asked;
    poll_until([&] { return state_->answered == number; });
  }
  void end(uint32_t tgid) {
    state_->stop = state_->leave = true;
    expect_success(tgid);
    poll_until([&] { return seen_.exits.contains(tgid); });
  }
  std::vector<const SeenConnection*> clients(uint32_t tgid) const {
    std::vector<const SeenConnection*> found;
    for (const SeenConnection* connection : seen_.connections(tgid, LLMTAP_SOURCE_OPENSSL))
      if (connection->written().starts_with("POST")) found.push_back(connection);
    return found;
  }

  TlsContexts contexts_;
  Shared* state_ = Shared::make();
  std::unique_ptr<UprobeLink> shared_;
};

TEST_P(NarrowTest, AThousandSwitchesUnderAStreamLoseNothingAndDoubleNothing) {
  const int switches_wanted = GetParam() ? 1000 : 200;
  const uint32_t tgid = start([&] {
    return tls_exchange(
        contexts_,
        [&](SSL* ssl) {
          if (!tls_write_all(ssl, kRequest)) return false;
          for (uint64_t i = 0; !state_->stop; ++i) {
            if (!tls_write_all(ssl, std::to_string(i) + "\n")) return false;
            state_->written = i + 1;
            std::this_thread::sleep_for(20us);
          }
          return SSL_shutdown(ssl) >= 0;
        },
        [&](SSL* ssl) {
          std::array<char, 4096> bytes{};
          while (SSL_read(ssl, bytes.data(), bytes.size()) > 0) continue;
          return true;
        });
  });
  poll_until([&] { return state_->written > 100; });
  std::atomic<int> switches = 0;
  std::thread switcher([&] {
    const auto wait = [&](bool own) {
      while (probe_->in_call(tgid, own, 0)) std::this_thread::yield();
    };
    for (int i = 0; i < switches_wanted; i += 4) {
      auto own = attach_own(tgid);
      wait(false);
      shared_.reset();
      shared_ = attach({.file = kFile, .epoch = 1});
      counts(tgid, CountedLink::kBoth);
      wait(true);
      own.reset();
      counts(tgid, CountedLink::kShared);
      switches = i + 4;
    }
  });
  for (int i = 4; i <= switches_wanted; i += 4) poll_until([&] { return switches >= i; });
  switcher.join();
  end(tgid);

  std::string expected = kRequest;
  for (uint64_t i = 0; i < state_->written; ++i) expected += std::to_string(i) + "\n";
  const auto found = clients(tgid);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_TRUE(found[0]->written() == expected)
      << found[0]->written().size() << " of " << expected.size() << " bytes";
  EXPECT_EQ(found[0]->stream[LLMTAP_WRITE].gap_bytes, 0u);
  size_t readers = 0;
  for (const SeenConnection* connection : seen_.connections(tgid, LLMTAP_SOURCE_OPENSSL)) {
    if (!connection->read().starts_with("POST")) continue;
    ++readers;
    EXPECT_TRUE(connection->read() == expected) << connection->read().size() << " of " << expected.size();
  }
  EXPECT_EQ(readers, 1u);
  EXPECT_EQ(probe_->statistics().lost[LLMTAP_LOST_NO_ARGS].events, 0u);
}

TEST_P(NarrowTest, WhatPassedUnseenEndsTheConnection) {
  const uint32_t tgid = start([&] { return ask_when_told(); });
  ask();
  shared_.reset();
  ask();
  shared_ = attach({.file = kFile, .epoch = 2});
  ask();
  ask();
  end(tgid);

  const auto found = clients(tgid);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0]->written(), kRequest);
  EXPECT_EQ(found[0]->read(), kReply);
  ASSERT_TRUE(found[0]->ends.contains(LLMTAP_END_CLOSED));
  EXPECT_TRUE(found[0]->ends.at(LLMTAP_END_CLOSED).hdr.flags & LLMTAP_FLAG_NOT_SEEN);
  EXPECT_EQ(found[1]->written(), kRequest + kRequest);
  EXPECT_EQ(found[1]->read(), kReply + kReply);
  // Reads of the server were underway when the link went and when it came; the next one is seen.
  std::string asked;
  for (const SeenConnection* connection : seen_.connections(tgid, LLMTAP_SOURCE_OPENSSL))
    if (connection->written().starts_with("HTTP")) asked += connection->read() + "|";
  EXPECT_EQ(asked, kRequest + "|" + kRequest + "|");
  EXPECT_FALSE(found[1]->facts.first_byte_seen);
  ASSERT_TRUE(found[1]->ends.contains(LLMTAP_END_CLOSED));
  EXPECT_FALSE(found[1]->ends.at(LLMTAP_END_CLOSED).hdr.flags & LLMTAP_FLAG_NOT_SEEN);
}

TEST_P(NarrowTest, WhatIsFreedUnseenGoesWithItsSocket) {
  const uint32_t tgid = start([&] {
    const int status = ask_when_told();
    while (!state_->leave) std::this_thread::sleep_for(1ms);
    return status;
  });
  ask();
  EXPECT_GE(probe_->statistics().connections_open, 4u);  // two sockets and what is above them
  shared_.reset();
  state_->stop = true;
  poll_until([&] { return probe_->statistics().connections_open == 0; });
  const auto found = clients(tgid);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_TRUE(found[0]->ends.contains(LLMTAP_END_CLOSED));
  EXPECT_FALSE(seen_.exits.contains(tgid));
  end(tgid);
}

TEST_P(NarrowTest, AnOwnLinkFollowsAllThreadsOfItsProcessThroughTheSharedOnesAbsence) {
  const uint32_t tgid = start([&] { return ask_when_told(); });
  ask();
  const auto own = attach_own(tgid);
  poll_until([&] { return !probe_->in_call(tgid, false, 0) || state_->answered < 2; });
  ask();  // the server's read underway began under the shared link
  poll_until([&] { return !probe_->in_call(tgid, false, 0); });
  shared_.reset();
  const uint32_t other = run([&] {
    return tls_exchange(
        contexts_,
        [](SSL* ssl) { return tls_write_all(ssl, kRequest) && tls_read(ssl, kReply.size()) == kReply; },
        [](SSL* ssl) { return tls_read(ssl, kRequest.size()) == kRequest && tls_write_all(ssl, kReply); });
  });
  ask();
  shared_ = attach({.file = kFile, .epoch = 2});
  ask();
  end(tgid);

  EXPECT_TRUE(clients(other).empty());
  const auto found = clients(tgid);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0]->written(), kRequest + kRequest + kRequest + kRequest);
  EXPECT_EQ(found[0]->read(), kReply + kReply + kReply + kReply);
}

TEST_P(NarrowTest, AThreadThatWaitsInACallIsSeenToBeInIt) {
  const uint32_t tgid = start([&] { return ask_when_told(); });
  ask();
  // The server reads.
  poll_until([&] { return probe_->in_call(tgid, false, 0); });
  const auto own = attach_own(tgid);
  EXPECT_TRUE(probe_->in_call(tgid, false, 0));
  ask();
  poll_until([&] { return !probe_->in_call(tgid, false, 0); });
  end(tgid);
  EXPECT_FALSE(probe_->in_call(tgid, false, 0)) << "of a process that is gone";
}

TEST_P(NarrowTest, HitsAreCountedOfProcessesWithoutEvidence) {
  const uint32_t tgid = start([&] { return ask_when_told(); });
  const uint64_t at_start = probe_->shared_hits()[kFile];
  ask();
  const uint64_t hits = probe_->shared_hits()[kFile];
  EXPECT_GE(hits, at_start + 4);  // a read and a write at each end
  // The server reads again.
  poll_until([&] { return probe_->in_call(tgid, false, 0); });
  probe_->mark_evident(tgid);
  const uint64_t after = probe_->shared_hits()[kFile];
  ask();
  EXPECT_EQ(probe_->shared_hits()[kFile], after);
  end(tgid);
}

TEST_P(NarrowTest, AProcessThatIsGoneIsNotFlagged) {
  const uint32_t tgid = run([] { return 0; });
  EXPECT_EQ(probe_->count_link(tgid, kFile, CountedLink::kOwn), UprobeAttacher::Told::kGone);
}

INSTANTIATE_TEST_SUITE_P(Sessions, NarrowTest, ::testing::Bool(),
                         [](const auto& suite) { return suite.param ? "with" : "without"; });

}  // namespace
}  // namespace llmtap
