// SPDX-License-Identifier: Apache-2.0
#include "capture/loss_sweep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <set>
#include <string>

namespace llmtap::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr uint64_t kStart = 5;

// A kernel whose ring and tables the test fills.
class FakeKernel : public SweepPort {
 public:
  explicit FakeKernel(RingBook& book) : book_(book) {}

  std::vector<Connection> connections;
  std::set<uint32_t> running;
  std::deque<llmtap_conn_end_event> ring;  // not yet consumed
  uint64_t consumed_bytes = 0;
  bool fails = false;
  size_t piece = 2, asked_lives = 0, longest_read = 0;
  std::vector<std::string> told;
  uint16_t flags = 0;

  Piece read_connections(bool from_start, std::vector<Connection>& out) override {
    if (fails) return Piece::kFailed;
    if (from_start) at_ = 0;
    for (size_t n = 0; n < piece && at_ < connections.size(); ++n) out.push_back(connections[at_++]);
    longest_read = std::max(longest_read, out.size());
    return at_ < connections.size() ? Piece::kMore : Piece::kLast;
  }
  bool lives(ProcessKey process) override {
    ++asked_lives;
    return process.start_ns == kStart && running.contains(process.tgid);
  }
  void drop(const Connection& connection) override {
    told.push_back("drop " + std::to_string(connection.id));
  }
  uint64_t reserved() override { return consumed_bytes + ring.size(); }
  uint64_t consumed() override { return consumed_bytes; }
  void tell(const llmtap_conn_end_event& end) override {
    flags = end.hdr.flags;
    told.push_back("end " + std::to_string(end.hdr.conn_id));
    book_.note(end.hdr);
  }
  void tell_exit(ProcessKey process, uint64_t now_ns) override {
    llmtap_process_event exit{};
    exit.hdr.type = LLMTAP_EVENT_EXIT;
    exit.hdr.tgid = process.tgid;
    exit.hdr.time_ns = now_ns;
    told.push_back("exit " + std::to_string(process.tgid));
    book_.note(exit.hdr);
  }
  void consume() {
    while (!ring.empty()) {
      book_.note(ring.front().hdr);
      ring.pop_front();
      ++consumed_bytes;
    }
  }

 private:
  RingBook& book_;
  size_t at_ = 0;
};

class LossSweepTest : public ::testing::Test {
 protected:
  RingBook book;
  FakeKernel kernel{book};
  LossSweep sweep{book, kernel};
  uint64_t now = 1;

  // The book has heard of it; the kernel has it or not.
  void open(uint64_t id, uint32_t tgid, bool in_kernel, uint64_t ssl = 0, bool announced = true) {
    llmtap_conn_event conn{};
    conn.hdr.type = LLMTAP_EVENT_CONN;
    conn.hdr.conn_id = id;
    conn.hdr.tgid = tgid;
    conn.process_start_ns = kStart;
    conn.tls_object = ssl;
    book.note(conn.hdr);
    if (in_kernel)
      kernel.connections.push_back({.id = id,
                                    .object = ssl ? ssl : id,
                                    .owner = ssl ? tgid : 0,
                                    .process_start_ns = kStart,
                                    .announced = announced});
    kernel.running.insert(tgid);
  }
  static llmtap_conn_end_event closed(uint64_t id) {
    llmtap_conn_end_event end{};
    end.hdr.type = LLMTAP_EVENT_CONN_END;
    end.hdr.conn_id = id;
    end.reason = LLMTAP_END_CLOSED;
    return end;
  }
  // Steps until it rests or waits for the ring; how many.
  size_t run(size_t most = 1000) {
    size_t steps = 0;
    while (steps < most && !sweep.idle()) {
      sweep.step(now);
      ++steps;
    }
    return steps;
  }
};

TEST_F(LossSweepTest, WithoutALossNothingIsRead) {
  open(1, 10, false);
  for (int i = 0; i < 100; ++i) sweep.step(now += LossSweep::kPause_ns);
  EXPECT_THAT(kernel.told, IsEmpty());
  EXPECT_EQ(kernel.asked_lives, 0U);
}

TEST_F(LossSweepTest, EndsWhatTheKernelNoLongerHas) {
  open(1, 10, true);
  open(2, 10, false);
  open(3, 10, true);
  open(4, 10, false);
  open(5, 10, true);
  sweep.on_lost();
  run();
  EXPECT_THAT(kernel.told, ElementsAre("end 2", "end 4"));
  EXPECT_EQ(kernel.flags, LLMTAP_FLAG_NOT_SEEN);
  EXPECT_EQ(book.connections(), 3U);
  EXPECT_EQ(kernel.longest_read, kernel.piece);
}

TEST_F(LossSweepTest, AnEndThatIsStillInTheRingIsNotLost) {
  open(1, 10, false);
  kernel.ring.push_back(closed(1));
  sweep.on_lost();
  EXPECT_EQ(run(50), 50U);  // waits for the ring
  EXPECT_THAT(kernel.told, IsEmpty());
  kernel.consume();
  EXPECT_LT(run(), 50U);
  EXPECT_THAT(kernel.told, IsEmpty());
}

TEST_F(LossSweepTest, AConnectionMadeDuringTheSweepIsNotJudgedByIt) {
  open(1, 10, true);
  open(2, 10, true);
  open(3, 10, true);
  sweep.on_lost();
  sweep.step(now);
  open(4, 10, false);
  run();
  EXPECT_THAT(kernel.told, IsEmpty());
  sweep.on_lost();
  now += LossSweep::kPause_ns;
  run();
  EXPECT_THAT(kernel.told, ElementsAre("end 4"));
}

TEST_F(LossSweepTest, AConnectionKnownByItsBytesAloneIsEndedToo) {
  llmtap_data_event data{};
  data.hdr.type = LLMTAP_EVENT_DATA;
  data.hdr.conn_id = 7;
  data.hdr.tgid = 10;
  book.note(data.hdr);
  sweep.on_lost();
  run();
  EXPECT_THAT(kernel.told, ElementsAre("end 7"));
}

TEST_F(LossSweepTest, AProcessThatIsGoneTakesItsTlsObjects) {
  open(1, 10, true, 0x1000);
  open(2, 11, true, 0x1000);
  // Never told of, and nobody but the sweep would free it.
  kernel.connections.push_back({.id = 3, .object = 0x2000, .owner = 10, .process_start_ns = kStart});
  kernel.running.erase(10);
  sweep.on_lost();
  run();
  EXPECT_THAT(kernel.told, ::testing::UnorderedElementsAre("drop 1", "end 1", "drop 3", "exit 10"));
  EXPECT_EQ(kernel.told.back(), "exit 10");
}

TEST_F(LossSweepTest, AnExitThatCameMeanwhileIsNotToldAgain) {
  open(1, 10, true);
  kernel.running.erase(10);
  kernel.ring.push_back(closed(1));
  sweep.on_lost();
  run(50);
  llmtap_process_event exit{};
  exit.hdr.type = LLMTAP_EVENT_EXIT;
  exit.hdr.tgid = 10;
  book.note(exit.hdr);
  kernel.consume();
  run();
  EXPECT_THAT(kernel.told, IsEmpty());
}

TEST_F(LossSweepTest, AConnectionWhoseEndWillNotBeToldIsLookedAtAgain) {
  open(1, 10, true, 0, false);
  sweep.on_lost();
  run(100);
  EXPECT_FALSE(sweep.idle());
  kernel.connections.clear();
  now += LossSweep::kPause_ns + LossSweep::kLongPause_ns;
  run();
  EXPECT_THAT(kernel.told, ElementsAre("end 1"));
  EXPECT_TRUE(sweep.idle());
}

TEST_F(LossSweepTest, ATableThatCannotBeReadEndsNothing) {
  open(1, 10, true);
  kernel.fails = true;
  sweep.on_lost();
  run(100);
  EXPECT_THAT(kernel.told, IsEmpty());
  EXPECT_FALSE(sweep.idle());  // and it is tried again
  kernel.fails = false;
  kernel.connections.clear();
  now += LossSweep::kPause_ns;
  run();
  EXPECT_THAT(kernel.told, ElementsAre("end 1"));
}

TEST_F(LossSweepTest, WorkOfAStepIsBounded) {
  constexpr uint64_t kMany = 5000;
  for (uint64_t id = 1; id <= kMany; ++id) open(id, static_cast<uint32_t>(id), false);
  sweep.on_lost();
  size_t most_told = 0, most_asked = 0;
  while (!sweep.idle()) {
    const size_t told = kernel.told.size(), asked = kernel.asked_lives;
    sweep.step(now);
    most_told = std::max(most_told, kernel.told.size() - told);
    most_asked = std::max(most_asked, kernel.asked_lives - asked);
  }
  EXPECT_EQ(kernel.told.size(), kMany);
  EXPECT_EQ(most_told, LossSweep::kTellsInAStep);
  EXPECT_EQ(most_asked, LossSweep::kProcessesInAStep);
}

TEST_F(LossSweepTest, SweepsAreASecondApart) {
  sweep.on_lost();
  run();
  open(1, 10, false);
  sweep.on_lost();
  EXPECT_EQ(run(100), 100U);
  EXPECT_THAT(kernel.told, IsEmpty());
  now += LossSweep::kPause_ns;
  run();
  EXPECT_THAT(kernel.told, ElementsAre("end 1"));
}

}  // namespace
}  // namespace llmtap::test
