// SPDX-License-Identifier: Apache-2.0
// What is not copied: by verdict, and for want of room. Either way the offsets tell.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "capture_fixture.h"

namespace llmtap {
namespace {

std::string request_of(size_t body) {
  return "POST / HTTP/1.1\r\nContent-Length: " + std::to_string(body) + "\r\n\r\n" + std::string(body, 'b');
}

class PressureTest : public CaptureTest {
 protected:
  const SeenConnection* with_role(uint32_t tgid, uint8_t role) {
    for (const SeenConnection* connection : seen_.connections(tgid, LLMTAP_SOURCE_SOCKET))
      if (connection->facts.role == role) return connection;
    return nullptr;
  }
};

TEST_F(PressureTest, FullRingIsCountedAndShowsAsAGap) {
  open({.ring_bytes = 64 << 10});
  const std::string small = request_of(1000);
  int gate[2];
  ASSERT_EQ(pipe(gate), 0);
  int said[2];
  ASSERT_EQ(pipe(said), 0);
  // 100 requests without a reader of the ring, then one more with.
  const uint32_t tgid = fork_body([&] {
    TcpPair pair;
    for (int i = 0; i < 100; ++i)
      if (!send_all(pair.client, small) || receive(pair.server, small.size()) != small) return 1;
    char go = 0;
    if (::write(said[1], "x", 1) != 1 || ::read(gate[0], &go, 1) != 1) return 2;
    return send_all(pair.client, small) && receive(pair.server, small.size()) == small ? 0 : 3;
  });
  char full = 0;
  ASSERT_EQ(::read(said[0], &full, 1), 1);
  for (size_t n = 1; n != 0;) {
    const auto polled = probe_->poll(seen_, std::chrono::milliseconds(0));
    ASSERT_TRUE(polled.has_value());
    n = *polled;
  }
  ASSERT_EQ(::write(gate[1], "x", 1), 1);
  poll_until([&] { return seen_.exits.contains(tgid); });
  expect_success(tgid);
  // The LOST event comes with the next reading of the clocks.
  poll_until([&] { return seen_.lost.events[LLMTAP_LOST_RING_FULL] > 0; });

  const SeenConnection* client = with_role(tgid, LLMTAP_ROLE_CLIENT);
  const SeenConnection* server = with_role(tgid, LLMTAP_ROLE_SERVER);
  ASSERT_NE(client, nullptr);
  ASSERT_NE(server, nullptr);
  const uint64_t moved = 101 * small.size();
  EXPECT_EQ(client->stream[LLMTAP_WRITE].next_offset, moved);
  EXPECT_GT(client->stream[LLMTAP_WRITE].gap_bytes, 0U);
  // The books: every byte moved was delivered or counted.
  const uint64_t delivered = client->written().size() + server->read().size();
  EXPECT_EQ(delivered + seen_.lost.bytes[LLMTAP_LOST_RING_FULL], 2 * moved);
  EXPECT_EQ(client->written().size() + client->stream[LLMTAP_WRITE].gap_bytes, moved);
}

TEST_F(PressureTest, VerdictsLastOneTurn) {
  open();
  const std::string request = request_of(40000);
  const std::string reply = "HTTP/1.1 200 OK\r\nContent-Length: 30000\r\n\r\n" + std::string(30000, 'r');
  std::array<int, 2> gate{};
  ASSERT_EQ(pipe(gate.data()), 0);
  const auto wait = [&](int) {
    char go = 0;
    return ::read(gate[0], &go, 1) == 1;
  };
  // Each turn in two calls, the second after the verdict on the first.
  const uint32_t tgid = fork_body([&] {
    TcpPair pair;
    for (int i = 0; i < 3; ++i) {
      if (!send_all(pair.client, request.substr(0, 20000)) || receive(pair.server, 20000).size() != 20000 ||
          !wait(i))
        return 1;
      if (!send_all(pair.client, request.substr(20000))) return 2;
      if (receive(pair.server, request.size() - 20000).size() != request.size() - 20000) return 3;
      if (!send_all(pair.server, reply) || receive(pair.client, reply.size()) != reply || !wait(i)) return 4;
    }
    return 0;
  });
  const std::array verdicts{Verdict::kHeads, Verdict::kMuted, Verdict::kTimes};
  size_t round = 0;
  for (const Verdict verdict : verdicts) {
    const SeenConnection* client = nullptr;
    poll_until([&] {
      client = with_role(tgid, LLMTAP_ROLE_CLIENT);
      return client && client->stream[LLMTAP_WRITE].next_offset == round * request.size() + 20000;
    });
    probe_->set_verdict(client->facts.hdr.conn_id, verdict);
    ASSERT_EQ(::write(gate[1], "x", 1), 1);
    ++round;
    poll_until([&] { return client->stream[LLMTAP_READ].next_offset == round * reply.size(); });
    ASSERT_EQ(::write(gate[1], "x", 1), 1);
  }
  poll_until([&] { return seen_.exits.contains(tgid); });
  expect_success(tgid);
  const SeenConnection* client = with_role(tgid, LLMTAP_ROLE_CLIENT);
  const auto& written = client->stream[LLMTAP_WRITE].records;
  // HEADS: the second call is beyond the first 16 KiB; MUTED: no record; TIMES: a length.
  ASSERT_EQ(written.size(), 5U);
  EXPECT_EQ(written[1].captured_bytes, 0U);
  EXPECT_EQ(written[1].original_bytes, request.size() - 20000);
  EXPECT_EQ(written[1].loss, LLMTAP_LOST_NONE);
  EXPECT_EQ(written[3].offset, 2 * request.size());
  EXPECT_EQ(written[4].captured_bytes, 0U);
  EXPECT_EQ(client->stream[LLMTAP_WRITE].gap_bytes, request.size() - 20000);
  // The replies are other turns: whole.
  EXPECT_EQ(client->read().size(), 3 * reply.size());
}

TEST_F(PressureTest, WantedOutlivesTurns) {
  open();
  std::array<int, 2> gate{};
  ASSERT_EQ(pipe(gate.data()), 0);
  const uint32_t tgid = fork_body([&] {
    TcpPair pair;
    const std::string hello = request_of(1);
    char go = 0;
    if (!send_all(pair.client, hello) || receive(pair.server, hello.size()) != hello) return 1;
    if (::read(gate[0], &go, 1) != 1) return 2;
    if (!send_all(pair.server, pattern(5000)) || receive(pair.client, 5000).size() != 5000) return 3;
    return 0;
  });
  const SeenConnection* client = nullptr;
  poll_until([&] {
    return (client = with_role(tgid, LLMTAP_ROLE_CLIENT)) && client->stream[LLMTAP_WRITE].next_offset;
  });
  probe_->set_verdict(client->facts.hdr.conn_id, Verdict::kWanted);
  ASSERT_EQ(::write(gate[1], "x", 1), 1);
  poll_until([&] { return seen_.exits.contains(tgid); });
  expect_success(tgid);
  EXPECT_TRUE(client->read() == pattern(5000));
}

// Nobody reads meanwhile, so each count is exact: one wake-up for the first turn, none for the rest.
TEST_F(PressureTest, UrgentRecordsWakeASleepingReaderOnce) {
  open();
  const std::string message = request_of(10);
  const auto turns = [&](const TcpPair& pair) {
    for (int i = 0; i < 50; ++i)
      if (!send_all(pair.client, message) || receive(pair.server, message.size()) != message ||
          !send_all(pair.server, message) || receive(pair.client, message.size()) != message)
        return false;
    return true;
  };
  std::array<int, 2> gate{}, said{};
  ASSERT_EQ(pipe(gate.data()), 0);
  ASSERT_EQ(pipe(said.data()), 0);
  const uint32_t tgid = fork_body([&] {
    TcpPair pair;
    char go = 0;
    for (int round = 0; round < 2; ++round)
      if (::read(gate[0], &go, 1) != 1 || !turns(pair) || ::write(said[1], "x", 1) != 1) return 1;
    return ::read(gate[0], &go, 1) == 1 ? 0 : 2;
  });
  char done = 0;
  for (int round = 0; round < 2; ++round) {
    // Three looks at an empty ring, and the next wait would be long.
    int empty = 0;
    poll_until([&] {
      const size_t before = seen_.types.size();
      const auto polled = probe_->poll(seen_, std::chrono::milliseconds(1));
      const bool quiet =
          polled && std::all_of(seen_.types.begin() + static_cast<ptrdiff_t>(before), seen_.types.end(),
                                [](uint16_t type) { return type == LLMTAP_EVENT_CLOCK; });
      empty = quiet ? empty + 1 : 0;
      return empty >= 4;
    });
    const uint64_t before = probe_->statistics().urgent_wakeups;
    ASSERT_EQ(::write(gate[1], "x", 1), 1);
    ASSERT_EQ(::read(said[0], &done, 1), 1);
    EXPECT_EQ(probe_->statistics().urgent_wakeups, before + 1) << "round " << round;
  }
  ASSERT_EQ(::write(gate[1], "x", 1), 1);
  poll_until([&] { return seen_.exits.contains(tgid); });
  expect_success(tgid);
  const SeenConnection* client = with_role(tgid, LLMTAP_ROLE_CLIENT);
  ASSERT_NE(client, nullptr);
  EXPECT_EQ(client->stream[LLMTAP_WRITE].records.size(), 100U);
}

TEST_F(PressureTest, InjectedEventsAndClocksAreInTheStream) {
  open();
  llmtap_process_facts_event facts{};
  facts.hdr.type = LLMTAP_EVENT_PROCESS;
  facts.hdr.size = sizeof(facts);
  probe_->inject(facts.hdr);
  facts.text_bytes = 100;  // which are not there
  probe_->inject(facts.hdr);
  poll_until([&] { return !seen_.types.empty(); });
  EXPECT_EQ(seen_.types.front(), LLMTAP_EVENT_PROCESS);
  poll_until([&] { return std::count(seen_.types.begin(), seen_.types.end(), LLMTAP_EVENT_CLOCK) >= 2; });
  EXPECT_EQ(std::count(seen_.types.begin(), seen_.types.end(), LLMTAP_EVENT_PROCESS), 1);
  EXPECT_EQ(probe_->statistics().events_damaged, 1U);
}

TEST_F(PressureTest, ExecAndExitAreSaid) {
  open();
  const uint32_t tgid = run([] {
    execl("/bin/true", "true", static_cast<char*>(nullptr));
    return 1;
  });
  EXPECT_EQ(seen_.execs[tgid], 1U);
  EXPECT_EQ(seen_.exits[tgid], 1U);
}

TEST_F(PressureTest, ConnectionsLeaveTheMap) {
  open();
  run([] {
    for (int i = 0; i < 20; ++i) {
      TcpPair pair;
      send_all(pair.client, request_of(1));
    }
    return 0;
  });
  const auto before = probe_->statistics().connections_open;
  EXPECT_LT(before, 20U);
}

TEST(ProbeOpen, RingOfAnOddSizeIsRefused) {
  const auto probe = Probe::open({.ring_bytes = 5000});
  ASSERT_FALSE(probe.has_value());
  EXPECT_FALSE(probe.error().hint.empty());
}

}  // namespace
}  // namespace llmtap
