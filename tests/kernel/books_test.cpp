// SPDX-License-Identifier: Apache-2.0
// The kernel's books of bytes: what passed was captured, left out or lost by name; and TCP's own counters
// say that nothing else passed.
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "capture/unique_fd.h"
#include "capture_fixture.h"

namespace llmtap {
namespace {

const std::string kRequest = "POST /v1/chat HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody";

class BooksTest : public CaptureTest {
 protected:
  // Other programs of the machine move bytes, too: whole when nothing is on its way.
  void expect_balance() {
    poll_until([&] {
      const ProbeStatistics now = probe_->statistics();
      uint64_t lost = 0;
      for (const auto& count : now.lost) lost += count.bytes;
      return now.byte_book.passed == now.byte_book.captured + now.byte_book.left_out + lost &&
             now.byte_book.captured == now.captured_bytes_delivered;
    });
  }
  const SeenConnection* client_of(uint32_t tgid) {
    for (const SeenConnection* connection : seen_.connections(tgid, LLMTAP_SOURCE_SOCKET))
      if (connection->facts.role == LLMTAP_ROLE_CLIENT) return connection;
    return nullptr;
  }
};

TEST_F(BooksTest, BalanceWhateverBecomesOfTheBytes) {
  open({.ring_bytes = 1 << 20});
  seen_.on_data = [&](const llmtap_data_event& data) {
    if (data.direction == LLMTAP_READ && data.original_bytes == 3000)
      probe_->set_verdict(data.hdr.conn_id, Verdict::kMuted);
  };
  run([] {
    TcpPair pair;
    // Copied; of no known form; muted in the middle; beside the hooks' view of memory.
    const std::string other(5000, 'x'), part = pattern(3000);
    for (int turn = 0; turn < 50; ++turn) {
      if (!send_all(pair.client, kRequest) || receive(pair.server, kRequest.size()) != kRequest) return 1;
      for (int i = 0; i < 10; ++i)
        if (!send_all(pair.server, part) || receive(pair.client, part.size()) != part) return 2;
    }
    TcpPair unknown;
    if (!send_all(unknown.client, other) || receive(unknown.server, other.size()) != other) return 3;
    const int file = ::open("/proc/self/exe", O_RDONLY);
    if (!send_all(pair.client, kRequest) || ::sendfile(pair.client, file, nullptr, 4096) != 4096) return 4;
    ::close(file);
    return receive(pair.server, kRequest.size() + 4096).size() == kRequest.size() + 4096 ? 0 : 5;
  });
  const ProbeStatistics now = probe_->statistics();
  EXPECT_GT(now.byte_book.left_out, 0U);
  EXPECT_GE(now.byte_book.captured, 51U * 2 * kRequest.size());
  EXPECT_GE(now.lost[LLMTAP_LOST_BYPASS].bytes, 4096U);
  expect_balance();
}

TEST_F(BooksTest, BalanceWhileNobodyReads) {
  open({.ring_bytes = 64 << 10});
  const uint32_t tgid = fork_body([] {
    TcpPair pair;
    for (int i = 0; i < 500; ++i) {
      if (!send_all(pair.client, kRequest) || receive(pair.server, kRequest.size()) != kRequest) return 1;
      // In several records, of which some find no room.
      const std::string large = pattern(600'000);
      if (i % 100 == 0) {
        std::thread writer([&] { send_all(pair.server, large); });
        const bool same = receive(pair.client, large.size()) == large;
        writer.join();
        if (!same) return 2;
      }
    }
    return 0;
  });
  expect_success(tgid);
  EXPECT_GT(probe_->statistics().lost[LLMTAP_LOST_RING_FULL].bytes, 0U);
  expect_balance();
}

// No record, no gap: what the streams miss has the kernel's own name.
// What a record would have stood for that found no room, said by the next one of the direction.
class FullRingTest : public BooksTest {
 protected:
  // Many calls of `move` on one connection while nobody reads, `before_many` ahead of them, one with a
  // reader.
  template <typename Move>
  void run(const std::function<void()>& before_many, Move move) {
    std::array<int, 2> said{}, go{};
    ASSERT_EQ(pipe(said.data()), 0);
    ASSERT_EQ(pipe(go.data()), 0);
    const auto wait = [&] {
      char byte = 0;
      return ::write(said[1], "x", 1) == 1 && ::read(go[0], &byte, 1) == 1;
    };
    tgid_ = fork_body([&] {
      TcpPair pair;
      const auto moves = [&] {
        return move(pair.client) && receive(pair.server, kRequest.size()) == kRequest;
      };
      if (!send_all(pair.client, kRequest) || receive(pair.server, kRequest.size()) != kRequest || !wait())
        return 1;
      for (int i = 0; i < kMany; ++i)
        if (!moves()) return 2;
      return wait() && moves() ? 0 : 3;
    });
    seen_.on_data = [&](const llmtap_data_event& data) {
      if (data.hdr.tgid != tgid_ || data.direction != LLMTAP_WRITE) return;
      (data.hdr.flags & LLMTAP_FLAG_LEFT_OUT ? left_out_ : unnamed_) += data.offset - next_;
      lost_[data.loss] += data.original_bytes - data.captured_bytes;
      next_ = data.offset + data.original_bytes;
    };
    char byte = 0;
    ASSERT_EQ(::read(said[0], &byte, 1), 1);
    poll_until([&] { return next_ == kRequest.size(); });
    before_many();
    ASSERT_EQ(::write(go[1], "x", 1), 1);
    ASSERT_EQ(::read(said[0], &byte, 1), 1);
    for (size_t n = 1; n != 0;) n = probe_->poll(seen_, std::chrono::milliseconds(0)).value();
    EXPECT_LT(next_, kTotal) << "the ring was not full";
    ASSERT_EQ(::write(go[1], "x", 1), 1);
    poll_until([&] { return seen_.exits.contains(tgid_); });
    expect_success(tgid_);
    EXPECT_EQ(unnamed_, 0U);
    EXPECT_EQ(next_, kTotal);
  }

  static constexpr int kMany = 2000;
  const uint64_t kTotal = (kMany + 2) * kRequest.size();
  uint32_t tgid_ = 0;
  uint64_t left_out_ = 0, unnamed_ = 0, next_ = 0;
  std::array<uint64_t, LLMTAP_LOST_MAX> lost_{};
};

TEST_F(FullRingTest, WhatIsLostHasARecordBeforeTheNextOne) {
  open({.ring_bytes = 64 << 10});
  run([] {}, [](int fd) { return send_all(fd, kRequest); });
  EXPECT_GT(lost_[LLMTAP_LOST_RING_FULL], 0U);
}

// Records without bytes: a verdict leaves them out, so none of them is lost.
TEST_F(FullRingTest, WhatWasLeftOutIsNotLost) {
  open({.ring_bytes = 64 << 10});
  run([&] { probe_->set_verdict(client_of(tgid_)->facts.hdr.conn_id, Verdict::kTimes); },
      [](int fd) { return send_all(fd, kRequest); });
  EXPECT_GT(left_out_, 0U);
  EXPECT_EQ(lost_[LLMTAP_LOST_RING_FULL], 0U);
}

TEST_F(FullRingTest, WhatCannotBeCopiedKeepsItsReason) {
  open({.ring_bytes = 64 << 10});
  std::array<char, 32> path{"/tmp/llmtap-books.XXXXXX"};
  const UniqueFd file(mkstemp(path.data()));
  ASSERT_TRUE(file);
  ASSERT_EQ(unlink(path.data()), 0);
  ASSERT_EQ(::write(file.get(), kRequest.data(), kRequest.size()), static_cast<ssize_t>(kRequest.size()));
  run([] {},
      [&](int fd) {
        off_t begin = 0;
        return sendfile(fd, file.get(), &begin, kRequest.size()) == static_cast<ssize_t>(kRequest.size());
      });
  EXPECT_EQ(lost_[LLMTAP_LOST_BYPASS], kTotal - kRequest.size());
  EXPECT_EQ(lost_[LLMTAP_LOST_RING_FULL], 0U);
}

// 64 bits, though TCP's positions have 32: LLMTAP_BIG=1 moves more than they hold.
TEST_F(BooksTest, TcpsOwnCountersFindWhatNoHookSaw) {
  open();
  const bool big = std::getenv("LLMTAP_BIG") != nullptr;
  const uint64_t pieces = big ? 4800 : 20, piece = 1 << 20;
  const uint32_t tgid = run([&] {
    TcpPair pair;
    if (!send_all(pair.client, kRequest) || receive(pair.server, kRequest.size()) != kRequest) return 1;
    // Neither of these two is hooked.
    std::thread writer([&] {
      std::vector<char> bytes(piece, 'x');
      for (uint64_t left = pieces * piece; left != 0;) {
        const iovec vector{bytes.data(), std::min<size_t>(left, piece)};
        const ssize_t n = ::pwritev2(pair.server, &vector, 1, -1, 0);
        if (n <= 0) return;
        left -= static_cast<uint64_t>(n);
      }
    });
    std::vector<char> bytes(piece);
    uint64_t got = 0;
    while (got < pieces * piece) {
      const iovec vector{bytes.data(), bytes.size()};
      const ssize_t n = ::preadv2(pair.client, &vector, 1, -1, 0);
      if (n <= 0) break;
      got += static_cast<uint64_t>(n);
    }
    writer.join();
    return got == pieces * piece ? 0 : 2;
  });
  // At the end each side tells; both are in this process.
  poll_until([&] {
    const SeenConnection* client = client_of(tgid);
    return client != nullptr && client->ends.contains(LLMTAP_END_CLOSED);
  });
  EXPECT_EQ(client_of(tgid)->ends.at(LLMTAP_END_CLOSED).read_offset, pieces * piece);
  EXPECT_EQ(client_of(tgid)->ends.at(LLMTAP_END_CLOSED).write_offset, kRequest.size());
  EXPECT_EQ(client_of(tgid)->stream[LLMTAP_READ].gap_bytes, pieces * piece);
  EXPECT_GE(probe_->statistics().lost[LLMTAP_LOST_UNSEEN].bytes, 2 * pieces * piece);
  expect_balance();
}

// Not one call of its was hooked, but its end was.
TEST_F(BooksTest, AConnectionThatNoHookReadIsCounted) {
  open();
  const uint64_t before = probe_->statistics().lost[LLMTAP_LOST_UNSEEN].bytes;
  run([] {
    TcpPair pair;
    std::array<char, 500> bytes{};
    iovec vector{bytes.data(), bytes.size()};
    if (::pwritev2(pair.client, &vector, 1, -1, 0) != 500) return 1;
    return ::preadv2(pair.server, &vector, 1, -1, 0) == 500 ? 0 : 2;
  });
  poll_until([&] { return probe_->statistics().lost[LLMTAP_LOST_UNSEEN].bytes >= before + 1000; });
  expect_balance();
}

}  // namespace
}  // namespace llmtap
