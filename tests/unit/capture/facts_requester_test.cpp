// SPDX-License-Identifier: Apache-2.0
#include "capture/facts_requester.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace llmtap {
namespace {

using ::testing::ElementsAre;

struct Counter : EventSink {
  void on_event(const llmtap_event_hdr&) override { ++events; }
  size_t events = 0;
};

class FactsRequesterTest : public ::testing::Test {
 protected:
  void conn(uint32_t tgid, uint64_t start) {
    llmtap_conn_event event{};
    event.hdr.type = LLMTAP_EVENT_CONN;
    event.hdr.tgid = tgid;
    event.process_start_ns = start;
    requester_.on_event(event.hdr);
  }
  void process(uint16_t type, uint32_t tgid) {
    llmtap_process_event event{};
    event.hdr.type = type;
    event.hdr.tgid = tgid;
    requester_.on_event(event.hdr);
  }
  Counter next_;
  std::vector<uint32_t> asked_;
  FactsRequester requester_{[this](uint32_t tgid) { asked_.push_back(tgid); }, next_};
};

TEST_F(FactsRequesterTest, AsksOnceForEachProcessAndPassesAllOn) {
  conn(1, 10);
  conn(1, 10);
  conn(2, 10);
  conn(1, 20);
  EXPECT_THAT(asked_, ElementsAre(1u, 2u, 1u));
  EXPECT_EQ(next_.events, 4u);
}

TEST_F(FactsRequesterTest, AsksAgainAfterExecAndAfterExit) {
  process(LLMTAP_EVENT_EXEC, 1);
  conn(1, 10);
  process(LLMTAP_EVENT_EXEC, 1);
  process(LLMTAP_EVENT_EXIT, 1);
  conn(1, 10);
  EXPECT_THAT(asked_, ElementsAre(1u, 1u, 1u));
  EXPECT_EQ(next_.events, 5u);
}

}  // namespace
}  // namespace llmtap
