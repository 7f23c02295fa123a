// SPDX-License-Identifier: Apache-2.0
#include "capture/ring_book.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace llmtap {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class RingBookTest : public ::testing::Test {
 protected:
  void socket(uint64_t id) { announce(id, 0, 0); }
  void tls(uint64_t id, uint64_t socket) { announce(id, 0x1000 + id, socket); }
  void data(uint64_t id, uint64_t offset, uint32_t bytes) {
    llmtap_data_event event{};
    event.hdr.type = LLMTAP_EVENT_DATA;
    event.hdr.conn_id = id;
    event.hdr.tgid = 42;
    event.direction = LLMTAP_WRITE;
    event.offset = offset;
    event.original_bytes = bytes;
    book.note(event.hdr);
  }
  void end(uint64_t id, uint8_t reason = LLMTAP_END_CLOSED) {
    llmtap_conn_end_event event{};
    event.hdr.type = LLMTAP_EVENT_CONN_END;
    event.hdr.conn_id = id;
    event.hdr.time_ns = now;
    event.reason = reason;
    book.note(event.hdr);
  }
  std::vector<uint64_t> without_socket(uint64_t closed_by) {
    std::vector<uint64_t> ids;
    for (const RingBook::TlsObject& object : book.take_without_socket(closed_by))
      ids.push_back(object.conn_id);
    return ids;
  }

  RingBook book;
  uint64_t now = 1000;

 private:
  void announce(uint64_t id, uint64_t ssl, uint64_t socket) {
    llmtap_conn_event event{};
    event.hdr.type = LLMTAP_EVENT_CONN;
    event.hdr.conn_id = id;
    event.hdr.tgid = 42;
    event.tls_object = ssl;
    event.socket_conn_id = socket;
    book.note(event.hdr);
  }
};

TEST_F(RingBookTest, ATlsObjectWhoseSocketIsClosedIsTakenOnceAndWithWhatPassed) {
  socket(1);
  tls(2, 1);
  data(2, 100, 50);
  end(1);
  EXPECT_THAT(without_socket(now - 1), IsEmpty());
  const auto taken = book.take_without_socket(now);
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_EQ(taken[0].conn_id, 2u);
  EXPECT_EQ(taken[0].ssl, 0x1002u);
  EXPECT_EQ(taken[0].tgid, 42u);
  EXPECT_EQ(taken[0].write_offset, 150u);
  EXPECT_THAT(without_socket(now), IsEmpty());
}

TEST_F(RingBookTest, TheOrderIsThatOfTheSockets) {
  for (const uint64_t id : {10, 20, 30}) {
    socket(id);
    tls(id + 1, id);
  }
  for (const uint64_t id : {20, 10}) {
    end(id);
    ++now;
  }
  EXPECT_THAT(without_socket(1000), ElementsAre(21));
  EXPECT_THAT(without_socket(now), ElementsAre(11));
}

TEST_F(RingBookTest, OneThatWasFreedIsNotTaken) {
  socket(1);
  tls(2, 1);
  end(1);
  end(2);
  EXPECT_THAT(without_socket(now), IsEmpty());
  socket(3);
  tls(4, 3);
  end(4);
  end(3);
  EXPECT_THAT(without_socket(now), IsEmpty());
}

TEST_F(RingBookTest, OneAboveAnotherSocketByNowIsNotTaken) {
  socket(1);
  tls(3, 1);
  socket(2);
  tls(3, 2);
  end(1);
  EXPECT_THAT(without_socket(now), IsEmpty()) << "it had left the first before that was closed";
  end(2);
  tls(3, 5);
  EXPECT_THAT(without_socket(now), IsEmpty()) << "it left the second after that was closed";
  end(5);
  EXPECT_THAT(without_socket(now), ElementsAre(3));
}

TEST_F(RingBookTest, OneOfAProcessThatIsGoneIsTakenWithIt) {
  socket(1);
  tls(2, 1);
  end(1);
  EXPECT_EQ(book.take_process(42).size(), 1u);
  EXPECT_THAT(without_socket(now), IsEmpty());
  socket(3);
  tls(4, 3);
  EXPECT_EQ(book.take_process(42).size(), 1u);
  end(3);
  EXPECT_THAT(without_socket(now), IsEmpty());
}

TEST_F(RingBookTest, AHalfCloseAndAResetAreNoEnd) {
  socket(1);
  tls(2, 1);
  end(1, LLMTAP_END_SHUTDOWN_WRITE);
  end(1, LLMTAP_END_EOF);
  end(1, LLMTAP_END_RESET);
  EXPECT_THAT(without_socket(now), IsEmpty());
  end(1, LLMTAP_END_EXIT);
  EXPECT_THAT(without_socket(now), ElementsAre(2));
}

// Ends that were lost with a full ring never come.
TEST_F(RingBookTest, IsBoundedAndKnowsTheLastConnection) {
  constexpr uint64_t kPairs = 200'000;
  for (uint64_t id = 1; id <= 2 * kPairs; id += 2) {
    socket(id);
    tls(id + 1, id);
    ASSERT_TRUE(book.mark(id + 1)) << id;
  }
  const size_t most = book.connections();
  EXPECT_LT(most, 2 * kPairs);
  socket(2 * kPairs + 1);
  EXPECT_EQ(book.connections(), most);
  // Of pairs of which one or both are forgotten, too.
  for (uint64_t id = 1; id <= 2 * kPairs + 1; id += 2) end(id);
  book.take_process(42);
  EXPECT_EQ(book.connections(), 0u);
}

}  // namespace
}  // namespace llmtap
