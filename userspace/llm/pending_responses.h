// SPDX-License-Identifier: Apache-2.0
// Responses that run in the background: asked for once, polled often, their tokens counted once. And
// files of results: downloaded often, counted once.
#pragma once

#include <algorithm>
#include <deque>
#include <string_view>

#include "llm/text_hash.h"

namespace llmtap {

class PendingResponses {
 public:
  // More are not polled at once; the oldest is forgotten, and its tokens stay uncounted.
  static constexpr size_t kMax = 4096;

  // Whether it is new.
  bool add(std::string_view id) {
    if (id.empty() || std::ranges::find(ids_, hash(id)) != ids_.end()) return false;
    if (ids_.size() == kMax) ids_.pop_front();
    ids_.push_back(hash(id));
    return true;
  }
  // Whether it was pending. From now on it is not.
  bool take(std::string_view id) {
    const auto at = std::ranges::find(ids_, hash(id));
    if (id.empty() || at == ids_.end()) return false;
    ids_.erase(at);
    return true;
  }

 private:
  static uint64_t hash(std::string_view id) {
    TextHash hash;
    hash.add(id.data(), id.size());
    return hash.value();
  }
  std::deque<uint64_t> ids_;
};

}  // namespace llmtap
