// SPDX-License-Identifier: Apache-2.0
#include "sinks/call_queue.h"

#include <gtest/gtest.h>

#include <thread>

namespace llmtap {
namespace {

using namespace std::chrono_literals;

LlmCall call_of(std::string model) {
  LlmCall call;
  call.requested_model = std::move(model);
  return call;
}

TEST(CallQueue, GathersCallsBehindTheFirstUntilThereAreEnough) {
  CallQueue queue(100);
  std::vector<LlmCall> taken;
  std::jthread taker([&] { taken = queue.take(3, 1h); });
  for (const char* model : {"a", "b", "c"}) queue.push(call_of(model));
  taker.join();
  ASSERT_EQ(taken.size(), 3u);
  EXPECT_EQ(taken[0].requested_model, "a");
  EXPECT_EQ(taken[2].requested_model, "c");
}

// Full is enough, too: nothing more could come.
TEST(CallQueue, GathersNoMoreThanItHolds) {
  CallQueue queue(2);
  std::vector<LlmCall> taken;
  std::jthread taker([&] { taken = queue.take(3, 1h); });
  for (const char* model : {"a", "b"}) queue.push(call_of(model));
  taker.join();
  EXPECT_EQ(taken.size(), 2u);
}

TEST(CallQueue, GathersOnlySoLong) {
  CallQueue queue(100);
  queue.push(call_of("a"));
  EXPECT_EQ(queue.take(3, 1ms).size(), 1u);
  // The next first one wakes again.
  std::vector<LlmCall> taken;
  std::jthread taker([&] { taken = queue.take(3, 1ms); });
  queue.push(call_of("b"));
  taker.join();
  EXPECT_EQ(taken.size(), 1u);
}

TEST(CallQueue, StopAndWakeEndTheGathering) {
  for (const bool stop : {true, false}) {
    CallQueue queue(100);
    std::vector<LlmCall> taken;
    queue.push(call_of("a"));
    std::jthread taker([&] { taken = queue.take(3, 1h); });
    stop ? queue.stop() : queue.wake();
    taker.join();
    EXPECT_EQ(taken.size(), 1u) << stop;
  }
}

}  // namespace
}  // namespace llmtap
