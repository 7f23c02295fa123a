// SPDX-License-Identifier: Apache-2.0
#include "capture/reader_wait.h"

#include <gtest/gtest.h>

namespace llmtap {
namespace {

TEST(ReaderWait, LooksSoonWhileUrgentRecordsComeAndIsNotWokenForThem) {
  ReaderWait wait = next_wait(ReaderState::kWanted, false);
  EXPECT_EQ(wait, (ReaderWait{ReaderState::kSoon, kShortWait}));
  wait = next_wait(ReaderState::kWanted, false);
  EXPECT_EQ(wait, (ReaderWait{ReaderState::kSoon, kShortWait}));
}

TEST(ReaderWait, AsksToBeWokenBeforeItsFirstLongWait) {
  ReaderWait wait = next_wait(ReaderState::kWanted, false);
  wait = next_wait(wait.state, false);
  EXPECT_EQ(wait, (ReaderWait{ReaderState::kAsleep, kShortWait}));
  wait = next_wait(wait.state, false);
  EXPECT_EQ(wait, (ReaderWait{ReaderState::kAsleep, kLongestWait}));
  EXPECT_EQ(next_wait(wait.state, false), wait);
}

TEST(ReaderWait, NeverWaitsLongForARecordThatIsBeingWritten) {
  for (const ReaderState state : {ReaderState::kSoon, ReaderState::kAsleep, ReaderState::kWanted})
    EXPECT_EQ(next_wait(state, true).longest, kShortWait);
}

}  // namespace
}  // namespace llmtap
