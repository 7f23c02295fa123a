// SPDX-License-Identifier: Apache-2.0
// The books of a stage: in = out + left out + lost, by name. Plain counters owned by the core thread; the
// sinks read a copy.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace llmtap {

struct StageBooks {
  uint64_t items_in = 0, items_out = 0, items_lost = 0;
  uint64_t bytes_in = 0, bytes_out = 0, bytes_lost = 0;
  uint64_t bytes_left_out = 0;  // not read because nobody wants them
  std::map<std::string, uint64_t, std::less<>> lost_bytes_by_reason;
  std::map<std::string, uint64_t, std::less<>> lost_items_by_reason;

  void lose(std::string_view reason, uint64_t items, uint64_t bytes) {
    items_lost += items;
    bytes_lost += bytes;
    if (items) add(lost_items_by_reason, reason, items);
    if (bytes) add(lost_bytes_by_reason, reason, bytes);
  }

 private:
  static void add(std::map<std::string, uint64_t, std::less<>>& map, std::string_view key, uint64_t n) {
    auto it = map.find(key);
    if (it == map.end()) it = map.emplace(std::string(key), 0).first;
    it->second += n;
  }
};

}  // namespace llmtap
