// SPDX-License-Identifier: Apache-2.0
#include "sinks/recent_calls.h"

#include <algorithm>
#include <vector>

#include "sinks/call_json.h"

namespace llmtap {

void RecentCalls::on_call_finished(const LlmCall& call) {
  if (capacity_ == 0) return;
  const std::lock_guard lock(mutex_);
  if (calls_.size() >= capacity_) calls_.pop_front();
  calls_.push_back(call);
}

std::string RecentCalls::to_json(size_t most) const {
  std::vector<LlmCall> newest;
  {
    // Text is made outside the lock: the core thread must not wait for it.
    const std::lock_guard lock(mutex_);
    newest.assign(calls_.rbegin(),
                  calls_.rbegin() + static_cast<std::ptrdiff_t>(std::min(most, calls_.size())));
  }
  std::string json = "{\"calls\":[";
  for (const LlmCall& call : newest) {
    if (json.back() != '[') json += ',';
    json += call_json(call);
  }
  return json + "]}\n";
}

}  // namespace llmtap
