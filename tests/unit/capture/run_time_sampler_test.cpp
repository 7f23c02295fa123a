// SPDX-License-Identifier: Apache-2.0
#include "capture/run_time_sampler.h"

#include <fcntl.h>
#include <gtest/gtest.h>

namespace llmtap {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

TEST(RunTimeSampler, ScalesOneSecondToTheMinuteItStandsFor) {
  RunTime kernel{};
  int enabled = 0;
  RunTimeSampler sampler([&] { return std::vector{kernel}; },
                         [&] {
                           ++enabled;
                           return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
                         });
  uint64_t now = 5 * kSecond;
  sampler.tick(now);
  EXPECT_EQ(enabled, 1);
  EXPECT_TRUE(sampler.estimate().empty());
  kernel = {.ns = 1000, .runs = 10};
  sampler.tick(now + kSecond / 2);
  EXPECT_TRUE(sampler.estimate().empty());
  sampler.tick(now + kSecond);
  ASSERT_EQ(sampler.estimate().size(), 1u);
  EXPECT_EQ(sampler.estimate()[0].ns, 60'000u);
  EXPECT_EQ(sampler.estimate()[0].runs, 600u);
  kernel = {.ns = 9000, .runs = 90};  // between the windows: the kernel would not have counted it
  sampler.tick(now + 59 * kSecond);
  EXPECT_EQ(enabled, 1);
  sampler.tick(now + 60 * kSecond);
  EXPECT_EQ(enabled, 2);
  kernel = {.ns = 9400, .runs = 92};
  // A window that lasted twice as long counts half.
  sampler.tick(now + 62 * kSecond);
  EXPECT_EQ(sampler.estimate()[0].ns, 60'000u + 12'000u);
}

}  // namespace
}  // namespace llmtap
