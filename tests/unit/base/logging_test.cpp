// SPDX-License-Identifier: Apache-2.0
#include "base/logging.h"

#include <gtest/gtest.h>

#include "base/nearest.h"

namespace llmtap {
namespace {

using namespace std::string_view_literals;

TEST(Printable, LeavesTextAndReplacesWhatSteersATerminal) {
  EXPECT_EQ(printable("gpt-4o \xC3\xBC \xE2\x82\xAC \xF0\x9F\x98\x80"),
            "gpt-4o \xC3\xBC \xE2\x82\xAC \xF0\x9F\x98\x80");
  EXPECT_EQ(printable("\x1B[2J\x07\n\t\x7F"), "?[2J????");
  EXPECT_EQ(printable("a\0b"sv), "a?b");
  EXPECT_EQ(printable("\xC2\x9B"), "?") << "a C1 control";
}

TEST(Printable, ReplacesBrokenUtf8) {
  EXPECT_EQ(printable("\xC0\xAF"), "??") << "overlong";
  EXPECT_EQ(printable("\xED\xA0\x80"), "???") << "surrogate";
  EXPECT_EQ(printable("\xF4\x90\x80\x80"), "????") << "beyond U+10FFFF";
  EXPECT_EQ(printable("\xE2\x82"), "??") << "cut off";
}

TEST(FailureText, PutsEveryLineOfTheHintBelow) {
  EXPECT_EQ(failure_text(
                {"cannot load BPF programs: Operation not permitted", "Run with sudo.\nOr grant CAP_BPF."}),
            "llmtap: cannot load BPF programs: Operation not permitted\n    Run with sudo.\n    Or grant "
            "CAP_BPF.\n");
  EXPECT_EQ(failure_text({"no hint", ""}), "llmtap: no hint\n");
}

TEST(SetUpLogging, NamesTheLevelsWhenItKnowsNone) {
  EXPECT_TRUE(set_up_logging("warn").has_value());
  const auto result = set_up_logging("loud");
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().message, "unknown log level \"loud\"");
  EXPECT_NE(result.error().hint.find("trace, debug"), std::string::npos);
}

TEST(Nearest, FindsTheWordThatWasMeant) {
  constexpr std::string_view kWords[] = {"run", "record", "replay", "calls"};
  EXPECT_EQ(nearest("recrod", kWords), "record");
  EXPECT_EQ(nearest("rnu", kWords), "run");
  EXPECT_EQ(nearest("call", kWords), "calls");
  EXPECT_EQ(nearest("quux", kWords), "");
  EXPECT_EQ(nearest("", kWords), "");
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
}

}  // namespace
}  // namespace llmtap
