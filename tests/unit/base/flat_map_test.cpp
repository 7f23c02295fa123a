// SPDX-License-Identifier: Apache-2.0
#include "base/flat_map.h"

#include <gtest/gtest.h>

#include <random>
#include <unordered_map>

namespace llmtap::test {
namespace {

struct Few {
  size_t operator()(uint64_t key) const { return static_cast<size_t>(key % 3); }
};

template <typename Hash>
void expect_like_a_map(uint64_t keys) {
  std::mt19937 random(5);
  FlatMap<uint64_t, uint64_t, Hash> map;
  std::unordered_map<uint64_t, uint64_t> reference;
  for (uint64_t step = 0; step < 20'000; ++step) {
    const uint64_t key = random() % keys;
    if (random() % 2 == 0) {
      map.erase(key);
      reference.erase(key);
    } else if (!reference.contains(key)) {
      map.insert(key, std::make_unique<uint64_t>(step));
      reference[key] = step;
    }
    const uint64_t other = random() % keys;
    const uint64_t* found = map.find(other);
    const auto want = reference.find(other);
    ASSERT_EQ(found != nullptr, want != reference.end()) << step;
    if (found != nullptr) {
      ASSERT_EQ(*found, want->second);
    }
    ASSERT_EQ(map.size(), reference.size());
    if (!reference.empty()) {
      ASSERT_TRUE(reference.contains(map.near(other)));
    }
  }
  size_t seen = 0;
  map.for_each([&](uint64_t key, const uint64_t& value) {
    ++seen;
    EXPECT_EQ(reference.at(key), value);
  });
  EXPECT_EQ(seen, reference.size());
}

TEST(FlatMap, IsAMap) { expect_like_a_map<IdHash>(500); }
TEST(FlatMap, IsAMapWhenAllKeysCollide) { expect_like_a_map<Few>(60); }

}  // namespace
}  // namespace llmtap::test
