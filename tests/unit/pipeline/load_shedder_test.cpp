// SPDX-License-Identifier: Apache-2.0
#include "pipeline/load_shedder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "pipeline/load_shedding.h"

namespace llmtap {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr auto kNone = ShedLevel::kNone, kNarrow = ShedLevel::kNarrow, kMute = ShedLevel::kMuteSooner,
               kRefuse = ShedLevel::kRefuseNew, kDetached = ShedLevel::kDetached;

class LoadShedderTest : public ::testing::Test, private LoadShedPort {
 protected:
  // One second at so many percent of a core.
  void seconds(int count, double percent, double kernel_percent = 0) {
    for (int i = 0; i < count; ++i) {
      now_ns += 1'000'000'000;
      own_ns += static_cast<uint64_t>(percent * 1e7);
      ASSERT_TRUE(shedder.due(now_ns));
      ASSERT_TRUE(shedder.step(now_ns, own_ns, kernel_percent / 100).has_value());
    }
  }
  void SetUp() override { seconds(1, 500); }  // what the start cost is no load

  uint64_t now_ns = 1'000'000'000'000, own_ns = 0;
  std::vector<std::pair<ShedLevel, ShedLevel>> steps;
  LoadShedder shedder{{.cpu_share = 0.2}, *this};

 private:
  Result<> shed(ShedLevel from, ShedLevel to) override {
    steps.emplace_back(from, to);
    return Ok{};
  }
};

TEST_F(LoadShedderTest, NothingHappensBelowTheShare) {
  seconds(100, 19);
  EXPECT_THAT(steps, IsEmpty());
  EXPECT_DOUBLE_EQ(shedder.cpu_share(), 0.19);
}

TEST_F(LoadShedderTest, OneSecondIsNoLoad) {
  for (int i = 0; i < 10; ++i) {
    seconds(1, 90);
    seconds(1, 10);
  }
  EXPECT_THAT(steps, IsEmpty());
}

TEST_F(LoadShedderTest, GoesStepByStepAndBack) {
  seconds(8, 30);
  EXPECT_THAT(steps, ElementsAre(Pair(kNone, kNarrow), Pair(kNarrow, kMute), Pair(kMute, kRefuse),
                                 Pair(kRefuse, kDetached)));
  steps.clear();
  seconds(4, 1);
  EXPECT_THAT(steps, IsEmpty());
  seconds(20, 1);
  EXPECT_THAT(steps, ElementsAre(Pair(kDetached, kRefuse), Pair(kRefuse, kMute), Pair(kMute, kNarrow),
                                 Pair(kNarrow, kNone)));
  EXPECT_EQ(shedder.steps_up(), 4U);
  EXPECT_EQ(shedder.steps_down(), 4U);
}

TEST_F(LoadShedderTest, StaysWhereTheLoadFits) {
  seconds(2, 30);
  seconds(100, 15);
  EXPECT_EQ(shedder.level(), kNarrow);
}

TEST_F(LoadShedderTest, TheProgramsInTheKernelCount) {
  seconds(6, 5, 16);
  EXPECT_EQ(shedder.level(), kRefuse);
  seconds(2, 5, 16);
  EXPECT_EQ(shedder.level(), kDetached);
  // Not measured again while they do not run.
  seconds(5, 5, 16);
  EXPECT_EQ(shedder.level(), kRefuse);
}

TEST_F(LoadShedderTest, ALoadThatStaysIsLookedAtMoreAndMoreRarely) {
  std::vector<int> pauses;
  for (int i = 0; i < 8; ++i) {
    seconds(i == 0 ? 12 : 10, 50);  // all the steps, then one
    ASSERT_EQ(shedder.level(), kDetached);
    int pause = 0;
    while (shedder.level() == kDetached) {
      seconds(1, 0);
      ++pause;
    }
    pauses.push_back(pause);
  }
  for (size_t i = 1; i < pauses.size(); ++i) EXPECT_GE(pauses[i], pauses[i - 1]);
  EXPECT_GE(pauses.back(), 300);
  EXPECT_LE(pauses.back(), 600);
}

TEST(LoadShedder, WithoutAShareNothingIsMeasured) {
  struct : LoadShedPort {
    Result<> shed(ShedLevel, ShedLevel) override { return Error{"no"}; }
  } port;
  EXPECT_FALSE(LoadShedder({}, port).due(UINT64_MAX));
}

TEST(LoadShedding, ReadinessSaysWhatIsLess) {
  const Readiness ready{.ready = true};
  EXPECT_EQ(less_ready(ready, {}).reason, "");
  const Readiness less = less_ready(ready, {.level = kRefuse});
  EXPECT_TRUE(less.ready);
  EXPECT_THAT(less.reason, HasSubstr("new connections are not read"));
  EXPECT_FALSE(less_ready(ready, {.level = kDetached}).ready);
  EXPECT_EQ(less_ready({.reason = "scan"}, {.level = kDetached}).reason, "scan");
}

}  // namespace
}  // namespace llmtap
