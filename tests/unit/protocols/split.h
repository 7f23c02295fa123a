// SPDX-License-Identifier: Apache-2.0
// The same result from one piece and from any pieces.
#pragma once

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace llmtap::test {

// `decode(pieces)` gives what is compared with `want`.
template <typename Decode, typename Want>
void expect_same_however_split(const Decode& decode, const std::string& body, const Want& want) {
  ASSERT_EQ(decode({body}), want);
  for (size_t cut = 0; cut <= body.size(); ++cut)
    ASSERT_EQ(decode({body.substr(0, cut), body.substr(cut)}), want) << "split at byte " << cut;
  std::vector<std::string> bytes;
  for (const char c : body) bytes.push_back(std::string(1, c));
  ASSERT_EQ(decode(bytes), want) << "byte by byte";
  for (unsigned seed = 0; seed < 1000; ++seed) {
    std::mt19937 random(seed);
    std::vector<std::string> pieces;
    for (size_t at = 0; at < body.size();) {
      const size_t n = random() % 9;
      pieces.push_back(body.substr(at, n));
      at += n;
    }
    ASSERT_EQ(decode(pieces), want) << "seed " << seed;
  }
}

}  // namespace llmtap::test
