// SPDX-License-Identifier: Apache-2.0
#include "capture/narrow_policy.h"

#include <gtest/gtest.h>

namespace llmtap {
namespace {

using namespace std::chrono_literals;
using State = NarrowPolicy::State;
using Step = NarrowPolicy::Step;

// A share of 0.05 at 1 us a hit: 50,000 hits a second.
class NarrowPolicyTest : public ::testing::Test {
 protected:
  Step step() {
    return policy.step(options, {.now = now,
                                 .cpu_share = options.cpu_share,
                                 .hits = hits,
                                 .hit_ns = [this] { return hit_ns; },
                                 .wanted = wanted,
                                 .others = others,
                                 .calls_underway = [this] { return underway; }});
  }
  Step second(uint64_t more_hits) {
    now += 1s;
    hits += more_hits;
    return step();
  }
  void make_narrow() {
    step();
    for (int i = 0; i < 3; ++i) second(60'000);
    ASSERT_EQ(policy.state(), State::kLeaving);
    ASSERT_EQ(step(), Step::kDetachShared);
    ASSERT_EQ(policy.state(), State::kNarrow);
  }

  NarrowPolicy::Options options{.cpu_share = 0.05};
  NarrowPolicy policy;
  NarrowPolicy::Time now{1000s};
  uint64_t hits = 12'345;
  double hit_ns = 1000;
  size_t wanted = 2, others = 3;
  bool underway = false;
};

TEST_F(NarrowPolicyTest, WhatCostsLittleIsShared) {
  step();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(second(49'000), Step::kNone);
  EXPECT_NEAR(policy.share(), 0.049, 1e-9);
}

TEST_F(NarrowPolicyTest, ThreeDearSecondsInARow) {
  step();
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(second(60'000), Step::kNone);
    EXPECT_EQ(second(60'000), Step::kNone);
    EXPECT_EQ(second(0), Step::kNone);
  }
  EXPECT_EQ(second(60'000), Step::kNone);
  EXPECT_EQ(second(60'000), Step::kNone);
  EXPECT_EQ(second(60'000), Step::kLeave);
  EXPECT_EQ(policy.state(), State::kLeaving);
}

TEST_F(NarrowPolicyTest, TheCostOfAHitIsAskedForOnlyWhereItMatters) {
  const auto look = [&] {
    return policy.step(options, {.now = now,
                                 .cpu_share = options.cpu_share,
                                 .hits = hits,
                                 .hit_ns =
                                     [] {
                                       ADD_FAILURE() << "asked";
                                       return 1.0;
                                     },
                                 .wanted = wanted,
                                 .others = others,
                                 .calls_underway = [] { return false; }});
  };
  look();
  now += 1s;
  hits += 4'000;
  EXPECT_EQ(look(), Step::kNone);
}

TEST_F(NarrowPolicyTest, NeverWhereLinksOfOneProcessAreNotToBeReliedOn) {
  hit_ns = 0;
  step();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(second(10'000'000), Step::kNone);
}

TEST_F(NarrowPolicyTest, NeverWithoutABound) {
  options.cpu_share = 0;
  step();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(second(10'000'000), Step::kNone);
  EXPECT_EQ(policy.due(options, 0), NarrowPolicy::Time::max());
}

TEST_F(NarrowPolicyTest, NothingIsGainedWhereAllNeedIt) {
  others = 0;
  step();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(second(10'000'000), Step::kNone);
}

TEST_F(NarrowPolicyTest, BeyondTheLinksItStaysShared) {
  wanted = 17;
  step();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(second(10'000'000), Step::kNone);
  wanted = 16;
  EXPECT_EQ(second(60'000), Step::kLeave);
}

TEST_F(NarrowPolicyTest, TheSharedLinkWaitsForCallsUnderway) {
  step();
  for (int i = 0; i < 3; ++i) second(60'000);
  underway = true;
  for (int i = 0; i < 58; ++i) EXPECT_EQ(second(60'000), Step::kNone);
  underway = false;
  EXPECT_EQ(second(60'000), Step::kDetachShared);
}

TEST_F(NarrowPolicyTest, AndNotForEver) {
  step();
  for (int i = 0; i < 3; ++i) second(60'000);
  underway = true;
  for (int i = 0; i < 60; ++i) EXPECT_EQ(second(60'000), Step::kNone);
  EXPECT_EQ(policy.state(), State::kShared);
  underway = false;
  for (int i = 0; i < 59; ++i) EXPECT_EQ(second(60'000), Step::kNone);
  EXPECT_EQ(second(60'000), Step::kLeave);
}

TEST_F(NarrowPolicyTest, AProcessThatBeginsToMapTheFileIsWaitedFor) {
  step();
  second(60'000);
  second(60'000);
  EXPECT_FALSE(policy.touch(options, now + 900ms));
  EXPECT_EQ(second(60'000), Step::kNone);
  EXPECT_EQ(second(60'000), Step::kLeave);
  EXPECT_FALSE(policy.touch(options, now));
  EXPECT_EQ(policy.state(), State::kShared);
}

TEST_F(NarrowPolicyTest, OneSecondOfTwentyIsShared) {
  make_narrow();
  for (int i = 0; i < 18; ++i) EXPECT_EQ(second(0), Step::kNone);
  EXPECT_EQ(policy.due(options, 0.05), now + 1s);
  EXPECT_EQ(second(0), Step::kAttachShared);
  EXPECT_EQ(policy.state(), State::kShared);
  // It was dear a moment ago: one second tells.
  EXPECT_EQ(second(60'000), Step::kLeave);
}

TEST_F(NarrowPolicyTest, ItStaysSharedWhenTheCostIsGone) {
  make_narrow();
  for (int i = 0; i < 19; ++i) second(0);
  EXPECT_EQ(second(40'000), Step::kNone);
  EXPECT_EQ(second(60'000), Step::kNone);
  EXPECT_EQ(second(60'000), Step::kNone);
  EXPECT_EQ(second(60'000), Step::kLeave);
}

TEST_F(NarrowPolicyTest, SharedAtOnceWhenAProcessBeginsToMapTheFile) {
  make_narrow();
  EXPECT_TRUE(policy.touch(options, now));
  EXPECT_LE(policy.due(options, 0.05), now);
  EXPECT_EQ(step(), Step::kAttachShared);
  EXPECT_EQ(policy.state(), State::kShared);
  EXPECT_EQ(step(), Step::kNone);
}

TEST_F(NarrowPolicyTest, SharedWhenTooManyNeedIt) {
  make_narrow();
  wanted = 17;
  EXPECT_EQ(step(), Step::kAttachShared);
}

TEST_F(NarrowPolicyTest, AFailureToShareIsTriedAgain) {
  make_narrow();
  EXPECT_TRUE(policy.touch(options, now));
  EXPECT_EQ(step(), Step::kAttachShared);
  policy.still_narrow(options, now);
  EXPECT_EQ(policy.state(), State::kNarrow);
  EXPECT_EQ(step(), Step::kNone);
  EXPECT_EQ(second(0), Step::kAttachShared);
}

}  // namespace
}  // namespace llmtap
