// SPDX-License-Identifier: Apache-2.0
#include "llm/trace_ids.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace llmtap {
namespace {

TEST(Traceparent, Parses) {
  const auto context = parse_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  ASSERT_TRUE(context);
  EXPECT_EQ(context->trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(context->parent_span_id, "00f067aa0ba902b7");
  EXPECT_TRUE(context->sampled);
  EXPECT_FALSE(parse_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02")->sampled);
  EXPECT_TRUE(parse_traceparent("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes"));
}

TEST(Traceparent, RejectsWhatTheSpecificationForbids) {
  for (const std::string_view bad : {"", "00", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
                                     "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                                     "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                                     "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
                                     "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
                                     "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
                                     "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
                                     "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01"})
    EXPECT_FALSE(parse_traceparent(bad)) << bad;
}

TEST(GeneratedIds, AreWellFormedAndRepeatable) {
  const ExchangeId id{.connection = 7, .number = 3};
  constexpr uint64_t kWall = 1'795'271'580'123'000'000;  // 0x1a1ff0f67fb ms
  const std::string request = generated_request_id(id, kWall);
  EXPECT_THAT(request,
              ::testing::MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
  EXPECT_EQ(std::stoull(request.substr(0, 8) + request.substr(9, 4), nullptr, 16), kWall / 1'000'000);
  EXPECT_THAT(generated_trace_id(id, kWall), ::testing::MatchesRegex("[0-9a-f]{32}"));
  EXPECT_THAT(generated_span_id(id, kWall), ::testing::MatchesRegex("[0-9a-f]{16}"));
  EXPECT_EQ(generated_request_id(id, kWall), request);
  EXPECT_EQ(generated_trace_id(id, kWall), generated_trace_id(id, kWall));
}

TEST(GeneratedIds, Differ) {
  std::set<std::string> seen;
  for (uint64_t connection = 0; connection < 20; ++connection)
    for (uint64_t number = 0; number < 20; ++number)
      for (uint64_t time = 0; time < 5; ++time) {
        const ExchangeId id{connection, number};
        seen.insert(generated_request_id(id, time));
        seen.insert(generated_trace_id(id, time));
        seen.insert(generated_span_id(id, time));
      }
  EXPECT_EQ(seen.size(), 3u * 20 * 20 * 5);
}

TEST(TraceOfResponse, IsTheSameEverywhere) {
  EXPECT_EQ(trace_id_from_response_id(""), "");
  const std::string id = trace_id_from_response_id("chatcmpl-1");
  EXPECT_THAT(id, ::testing::MatchesRegex("[0-9a-f]{32}"));
  EXPECT_EQ(trace_id_from_response_id("chatcmpl-1"), id);
  EXPECT_NE(trace_id_from_response_id("chatcmpl-2"), id);
}

// A sampler compares the last eight bytes with a rate: six standard deviations either way.
TEST(TraceIds, SpreadEvenly) {
  constexpr int kIds = 20'000;
  const auto below_tenth = [](const std::string& id) {
    return std::stoull(id.substr(16), nullptr, 16) < UINT64_MAX / 10;
  };
  int generated = 0, of_responses = 0;
  for (int i = 0; i < kIds; ++i) {
    const ExchangeId id{.connection = 7, .number = static_cast<uint64_t>(i)};
    generated += below_tenth(generated_trace_id(id, 1'795'271'580'123'000'000));
    of_responses += below_tenth(trace_id_from_response_id("chatcmpl-" + std::to_string(i)));
  }
  EXPECT_NEAR(generated, kIds / 10, 255);
  EXPECT_NEAR(of_responses, kIds / 10, 255);
}

}  // namespace
}  // namespace llmtap
