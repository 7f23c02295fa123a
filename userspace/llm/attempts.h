// SPDX-License-Identifier: Apache-2.0
// Which call was the first attempt at what a later one tries again.
#pragma once

#include <algorithm>
#include <deque>
#include <optional>
#include <string>

#include "llm/text_hash.h"
#include "llmtap/llm_call.h"

namespace llmtap {

class Attempts {
 public:
  // Calls that are remembered; a retry of an older one stands alone.
  static constexpr size_t kMax = 1024;

  // For each call when it ends: the request_id of the first attempt, empty if this is one. Attempts of
  // one request share an idempotency key, or the process, the target and the message, counted by the SDK.
  std::string link(const LlmCall& call) {
    const bool keyed = !call.idempotency_sha256.empty();
    if (!keyed && (call.fingerprint == 0 || !counts(call))) return {};
    const uint64_t key = hash_of(call, keyed);
    const auto known = std::ranges::find(first_, key, &First::key);
    // A count of 0 begins anew: the same message may be sent twice.
    if (known != first_.end() && (keyed || call.sdk_retry_count > 0))
      return known->request_id == call.request_id ? std::string() : known->request_id;
    if (!keyed && call.sdk_retry_count > 0) return {};
    // What went well is not tried again.
    if (call.outcome == Outcome::kOk) return {};
    if (known != first_.end()) {
      known->request_id = call.request_id;
      return {};
    }
    if (first_.size() == kMax) first_.pop_front();
    first_.push_back({key, call.request_id});
    return {};
  }

 private:
  struct First {
    uint64_t key = 0;
    std::string request_id;
  };
  static bool counts(const LlmCall& call) { return call.sdk_retry_count > 0 || call.outcome != Outcome::kOk; }
  static uint64_t hash_of(const LlmCall& call, bool keyed) {
    TextHash hash;
    const auto add = [&](const std::string& text) { hash.add(text.data(), text.size() + 1); };
    const auto number = [&](uint64_t value) {
      hash.add(reinterpret_cast<const char*>(&value), sizeof value);
    };
    number(static_cast<uint64_t>(call.direction));
    number(call.process ? call.process->key.tgid : 0);
    if (keyed) {
      add(call.idempotency_sha256);
    } else {
      add(call.host);
      add(call.path);
      add(call.requested_model);
      number(call.fingerprint);
    }
    return hash.value();
  }
  std::deque<First> first_;
};

}  // namespace llmtap
