// SPDX-License-Identifier: Apache-2.0
#include "pipeline/coverage_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace llmtap {
namespace {

using namespace std::chrono_literals;

TEST(CoverageJson, ReadsWhatItWrites) {
  Coverage coverage;
  coverage.targets.push_back(
      {.runtime = "openssl", .path = "/lib/libssl.so.3", .processes = 5, .attached = true});
  coverage.targets.push_back({.runtime = "openssl",
                              .path = "/opt/\xff",
                              .processes = 7,
                              .attached = true,
                              .sampled = true,
                              .own_links = 2});
  coverage.unfollowed = 1500ms;
  const auto read = parse_coverage_json(coverage_json(coverage));
  ASSERT_TRUE(read.has_value());
  ASSERT_EQ(read->libraries.size(), 2u);
  EXPECT_EQ(read->libraries[0].path, "/lib/libssl.so.3");
  EXPECT_FALSE(read->libraries[0].sampled);
  EXPECT_TRUE(read->libraries[1].sampled);
  EXPECT_EQ(read->libraries[1].processes, 7u);
  EXPECT_EQ(read->libraries[1].own_links, 2u);
  EXPECT_DOUBLE_EQ(read->unfollowed_seconds, 1.5);
}

TEST(CoverageJson, TakesNothingForGranted) {
  for (const char* bad : {"", "{", "1", "[]", "{}", R"({"libraries": 1})", R"({"libraries": [1]})"})
    EXPECT_FALSE(parse_coverage_json(bad).has_value()) << bad;
  const auto odd = parse_coverage_json(
      R"({"libraries": [{"path": 1, "processes": -1, "sampled": "yes"}], "unfollowed_seconds": "x"})");
  ASSERT_TRUE(odd.has_value());
  EXPECT_FALSE(odd->libraries[0].sampled);
  EXPECT_EQ(odd->libraries[0].processes, 0u);
}

}  // namespace
}  // namespace llmtap
