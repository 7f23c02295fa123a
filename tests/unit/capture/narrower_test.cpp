// SPDX-License-Identifier: Apache-2.0
#include "capture/narrower.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace llmtap {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

// Writes down what is asked of the kernel, in order.
struct Kernel : UprobeAttacher {
  struct Link : AttachedLink {
    Link(Kernel& at, uint32_t tgid) : kernel(at), owner(tgid) { kernel.live.push_back(owner); }
    ~Link() override { std::erase(kernel.live, owner); }
    Kernel& kernel;
    uint32_t owner;
  };
  Result<std::unique_ptr<AttachedLink>> attach(const std::string&, std::span<const HookPlace>,
                                               const LinkReach& reach) override {
    if (refuse) return Error{"no"};
    said.push_back("attach " + std::to_string(reach.tgid) + " epoch " + std::to_string(reach.epoch));
    return std::make_unique<Link>(*this, reach.tgid);
  }
  double hit_cost_ns() override { return 1000; }
  std::array<uint64_t, LinkReach::kFiles> shared_hits() override {
    std::array<uint64_t, LinkReach::kFiles> all{};
    all[1] = hits;
    return all;
  }
  void mark_evident(uint32_t tgid) override { said.push_back("evident " + std::to_string(tgid)); }
  Told count_link(uint32_t tgid, uint8_t, CountedLink link) override {
    said.push_back(std::to_string(tgid) + (link == CountedLink::kOwn    ? " own"
                                           : link == CountedLink::kBoth ? " both"
                                                                        : " shared"));
    return tgid == gone ? Told::kGone : full ? Told::kRefused : Told::kYes;
  }
  bool in_call(uint32_t tgid, bool own, uint64_t) override { return !own && tgid == busy; }

  std::vector<std::string> said;
  std::vector<uint32_t> live;
  uint64_t hits = 0;
  uint32_t busy = 0, gone = 0;
  bool refuse = false, full = false;
};

class NarrowerTest : public ::testing::Test {
 protected:
  NarrowerTest() {
    narrower_.enter(file_);
    shared_ = *kernel_.attach("", {}, narrower_.shared_reach(file_));
    for (const uint32_t tgid : {10u, 20u, 30u}) users_[{tgid, 1}] = now_ - 60s;
    narrower_.see_evidence({20, 1});
    kernel_.said.clear();
  }
  void step() {
    narrower_.read_hits();
    narrower_.step(
        file_,
        {{}, shared_, users_, [] { return Result<UniqueFd>(UniqueFd(::open("/dev/null", O_RDONLY))); }},
        now_);
  }
  void seconds(int count, uint64_t hits) {
    for (int i = 0; i < count; ++i) {
      now_ += 1s;
      kernel_.hits += hits;
      step();
    }
  }
  void make_narrow() {
    step();
    seconds(3, 60'000);
    now_ += 50ms;
    step();
    ASSERT_EQ(file_.policy.state(), NarrowPolicy::State::kNarrow);
    ASSERT_FALSE(shared_);
    kernel_.said.clear();
  }

  Kernel kernel_;
  Narrower narrower_{kernel_, {.cpu_share = 0.05}};
  Narrower::File file_;
  std::unique_ptr<AttachedLink> shared_;
  std::map<Narrower::User, Narrower::Time> users_;
  Narrower::Time now_{1000s};
};

TEST_F(NarrowerTest, TheOneWithEvidenceHasItsOwnBeforeTheSharedOneGoes) {
  step();
  seconds(2, 60'000);
  EXPECT_THAT(kernel_.said, ElementsAre("evident 20"));
  kernel_.busy = 20;
  seconds(1, 60'000);
  EXPECT_THAT(kernel_.said, ElementsAre("evident 20", "20 both", "attach 20 epoch 0", "20 own"));
  now_ += 50ms;
  step();
  EXPECT_THAT(kernel_.live, ElementsAre(0u, 20u)) << "a call that the shared one saw begin is underway";
  kernel_.busy = 0;
  now_ += 50ms;
  step();
  EXPECT_THAT(kernel_.live, ElementsAre(20u));
}

TEST_F(NarrowerTest, SharedAgainWithAnotherEpochAndTheOwnStays) {
  make_narrow();
  seconds(19, 0);
  EXPECT_THAT(kernel_.said, ElementsAre("attach 0 epoch 1"));
  EXPECT_THAT(kernel_.live, UnorderedElementsAre(0u, 20u));
  EXPECT_EQ(narrower_.unfollowed(), 19s);
}

TEST_F(NarrowerTest, EvidenceWhileItIsNarrow) {
  make_narrow();
  narrower_.see_evidence({30, 1});
  step();
  EXPECT_THAT(kernel_.said, ElementsAre("30 both", "attach 30 epoch 1", "30 own"));
  EXPECT_THAT(kernel_.live, UnorderedElementsAre(20u, 30u));
}

TEST_F(NarrowerTest, AYoungProcessForItsYouth) {
  make_narrow();
  users_[{40, 2}] = now_;
  step();
  EXPECT_THAT(kernel_.said, ElementsAre("40 both", "attach 40 epoch 1", "40 own"));
  kernel_.said.clear();
  seconds(10, 0);
  EXPECT_THAT(kernel_.said, ElementsAre("40 shared"));
  EXPECT_THAT(kernel_.live, ElementsAre(20u));
}

TEST_F(NarrowerTest, AProcessThatEndsTakesItsLinkAlong) {
  make_narrow();
  users_.erase({20, 1});
  narrower_.end_use(file_, {20, 1});
  EXPECT_THAT(kernel_.said, ElementsAre("20 shared")) << "it may live on, or another have its number";
  step();
  EXPECT_THAT(kernel_.live, IsEmpty());
}

TEST_F(NarrowerTest, TheSameProcessAgainGetsAnotherLink) {
  make_narrow();
  narrower_.end_use(file_, {20, 1});  // it executes another program, which maps the file too
  step();
  EXPECT_THAT(kernel_.said, ElementsAre("20 shared", "20 both", "attach 20 epoch 1", "20 own"));
  EXPECT_THAT(kernel_.live, ElementsAre(20u));
}

TEST_F(NarrowerTest, OneThatNeedsItAndCannotHaveItsOwnIsSeenThroughTheSharedOne) {
  make_narrow();
  narrower_.see_evidence({30, 1});
  kernel_.full = true;
  step();
  step();
  EXPECT_THAT(kernel_.live, UnorderedElementsAre(0u, 20u));
}

TEST_F(NarrowerTest, AProcessThatIsGoneMeanwhileGetsNone) {
  kernel_.gone = 20;
  make_narrow();
  EXPECT_THAT(kernel_.live, IsEmpty());
}

TEST_F(NarrowerTest, WithoutOwnLinksItStaysShared) {
  kernel_.refuse = true;
  step();
  seconds(5, 60'000);
  EXPECT_EQ(file_.policy.state(), NarrowPolicy::State::kShared);
  EXPECT_TRUE(shared_);
}

TEST_F(NarrowerTest, UnderPressureAnyCostIsTooMuch) {
  step();
  seconds(5, 100);
  EXPECT_TRUE(shared_);
  narrower_.press(true);
  seconds(4, 100);
  EXPECT_FALSE(shared_);
}

TEST_F(NarrowerTest, BeyondItsNumbersAFileIsNeverNarrowed) {
  std::vector<Narrower::File> files(LinkReach::kFiles);
  for (auto& file : files) narrower_.enter(file);
  EXPECT_EQ(files[LinkReach::kFiles - 3].number, LinkReach::kFiles - 1);
  EXPECT_EQ(files[LinkReach::kFiles - 2].number, 0);
  EXPECT_EQ(narrower_.due(files[LinkReach::kFiles - 2]), Narrower::Time::max());
  narrower_.leave(files[5]);
  EXPECT_EQ(files[5].number, 0);
  narrower_.enter(files[LinkReach::kFiles - 1]);
  EXPECT_EQ(files[LinkReach::kFiles - 1].number, 7);
}

}  // namespace
}  // namespace llmtap
