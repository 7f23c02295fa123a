// SPDX-License-Identifier: Apache-2.0
#include "sinks/trace_sampler.h"

#include <gtest/gtest.h>

#include <cmath>

#include "sinks/label_names.h"
#include "unit/sinks/sample_calls.h"

namespace llmtap {
namespace {

using namespace llmtap::testing;
using namespace std::chrono_literals;
using Type = TraceSampler::Type;

LlmCall traced(const std::string& trace_id) {
  LlmCall call = streamed_call();  // took one second, and was fine
  call.trace_id = trace_id;
  return call;
}

struct Decision {
  const char* name;
  TraceSampler sampler;
  TraceFlag flag;
  Outcome outcome;
  bool kept;
};

void PrintTo(const Decision& decision, std::ostream* out) { *out << decision.name; }

TraceSampler probability(double rate, bool keep_errors = true, std::chrono::nanoseconds slower = 0ns) {
  return {Type::kProbability, rate, keep_errors, slower};
}

constexpr TraceFlag kNone = TraceFlag::kNone, kYes = TraceFlag::kSampled, kNo = TraceFlag::kNotSampled;
constexpr Outcome kOk = Outcome::kOk, kError = Outcome::kServerError;

class TraceSamplerTest : public ::testing::TestWithParam<Decision> {};

TEST_P(TraceSamplerTest, Decides) {
  const Decision& row = GetParam();
  LlmCall call = streamed_call();
  call.trace_flag = row.flag;
  call.outcome = row.outcome;
  EXPECT_EQ(row.sampler.keeps(call), row.kept);
}

INSTANTIATE_TEST_SUITE_P(
    Table, TraceSamplerTest,
    ::testing::Values(
        Decision{"Always", {.type = Type::kAlways, .rate = 0}, kNone, kOk, true},
        Decision{"AlwaysWhateverTheParentSays", {.type = Type::kAlways, .rate = 0}, kNo, kOk, true},
        Decision{"Never", {.type = Type::kNever, .rate = 1}, kNone, kOk, false},
        Decision{"NeverWhateverTheParentSays", {.type = Type::kNever, .rate = 1}, kYes, kOk, false},
        Decision{"NeverAnError", {.type = Type::kNever, .rate = 1}, kNone, kError, false},
        Decision{"NeverASlowOne", {Type::kNever, 1, true, 1ms}, kNone, kOk, false},
        Decision{"InTheRate", probability(1), kNone, kOk, true},
        Decision{"OutOfTheRate", probability(0), kNone, kOk, false},
        Decision{"TheParentSamples", probability(0), kYes, kOk, true},
        Decision{"TheParentDoesNot", probability(1), kNo, kOk, false},
        Decision{"AnErrorOutOfTheRate", probability(0), kNone, kError, true},
        Decision{"AnErrorThatTheParentLeavesOut", probability(0), kNo, kError, true},
        Decision{"ARefusal", probability(0), kNone, Outcome::kRateLimited, true},
        Decision{"AnAbort", probability(0), kNone, Outcome::kClientAborted, true},
        Decision{"ErrorsAreAsOthers", probability(0, false), kNone, kError, false},
        Decision{"ErrorsFollowTheParent", probability(1, false), kNo, kError, false},
        Decision{"ErrorsFollowTheRate", probability(1, false), kNone, kError, true},
        Decision{"Slower", probability(0, true, 999ms), kNone, kOk, true},
        Decision{"SlowerThatTheParentLeavesOut", probability(0, true, 999ms), kNo, kOk, true},
        Decision{"NotSlower", probability(0, true, 1s), kNone, kOk, false},
        Decision{"NotSlowerInTheRate", probability(1, true, 1s), kNone, kOk, true}),
    [](const auto& test) { return std::string(test.param.name); });

// What TraceIdRatioBased of opentelemetry-sdk 1.45.2 (Python) says of these.
TEST(TraceSamplerRate, IsReadAsAnSdkReadsIt) {
  constexpr struct {
    double rate;
    const char* trace_id;
    bool kept;
  } kRows[] = {
      {0, "00000000000000010000000000000000", false},     {0, "e8e25d940ed90475ffffffffffffffff", false},
      {0.0001, "90c192cfd3ac94af00068db8bac710c9", true}, {0.0001, "90c192cfd3ac94af00068db8bac710cb", false},
      {0.1, "a170b33839263059f28c105d1fb17c23", false},   {0.1, "3898d190f9ebdacc19999999999999fe", true},
      {0.1, "3898d190f9ebdacc1999999999999a00", false},   {0.1, "00000000000000010000000000000000", true},
      {0.5, "2217beaddbc496cb8e81973e0becd7b0", false},   {0.5, "8a6a63ec24ede6a46b4cb2424a23d596", true},
      {0.5, "ae97ba94d0eda82f7ffffffffffffffe", true},    {0.5, "ae97ba94d0eda82f8000000000000000", false},
      {0.9, "907a70c31012f037b64ce4228c38fb29", true},    {0.9, "9e7769b10f4205b4e6666666666667fe", true},
      {0.9, "9e7769b10f4205b4e666666666666800", false},   {1, "881ed162ae2eb1547f15052434b9b5df", true},
      {1, "3f98e2774cbd87adffffffffffffffff", true}};
  for (const auto& row : kRows)
    EXPECT_EQ(probability(row.rate).keeps(traced(row.trace_id)), row.kept) << row.rate << ' ' << row.trace_id;
}

TEST(TraceSamplerRate, HoldsForAllCallsOfATrace) {
  for (const char* trace_id : {"3898d190f9ebdacc19999999999999fe", "3898d190f9ebdacc1999999999999a00"}) {
    LlmCall here = traced(trace_id), there = refused_call();
    there.outcome = Outcome::kOk;
    there.trace_id = trace_id;
    EXPECT_EQ(probability(0.1).keeps(here), probability(0.1).keeps(there)) << trace_id;
  }
}

// Six standard deviations either way.
TEST(TraceSamplerRate, IsTheShareOfManyCalls) {
  constexpr int kCalls = 20'000;
  for (const double rate : {0.01, 0.1, 0.5}) {
    const TraceSampler sampler = probability(rate);
    LlmCall call = streamed_call();
    call.trace_id.clear();
    int kept = 0, again = 0;
    for (int i = 0; i < kCalls; ++i) {
      call.exchange.number = static_cast<uint32_t>(i);
      kept += sampler.keeps(call);
      again += sampler.keeps(traced(span_ids(call).trace_id));
    }
    EXPECT_NEAR(kept, kCalls * rate, 6 * std::sqrt(kCalls * rate * (1 - rate))) << rate;
    EXPECT_EQ(kept, again) << rate;
  }
}

TEST(TraceSamplerSlowness, IsNotSaidOfACallWithoutABeginning) {
  LlmCall call = streamed_call();
  call.request_start_ns = 0;
  EXPECT_FALSE(probability(0, true, 1s).keeps(call));
  call.request_start_ns = call.end_ns + 1;
  EXPECT_FALSE(probability(0, true, 1s).keeps(call));
}

}  // namespace
}  // namespace llmtap
