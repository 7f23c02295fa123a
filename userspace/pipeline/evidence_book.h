// SPDX-License-Identifier: Apache-2.0
// Which processes make LLM calls, or are about to: a TLS handshake names the host before the first byte of
// a call.
#pragma once

#include <functional>
#include <unordered_set>
#include <utility>

#include "base/process_key_hash.h"
#include "llm/call_tracker.h"
#include "llm/providers.h"
#include "llmtap/facts.h"
#include "llmtap/limits.h"
#include "llmtap/sink.h"

namespace llmtap {

class EvidenceBook : public CallSink {
 public:
  // `options`: the user's own hosts.
  EvidenceBook(const Limits& limits, const CallTrackerOptions& options)
      : limits_(limits), providers_(options.hosts) {}

  // Told once of each process.
  void set_sink(std::function<void(ProcessKey)> sink) { sink_ = std::move(sink); }
  // All of them once more.
  void tell_again() {
    for (const ProcessKey& process : told_) sink_(process);
  }

  void on_call_open(const LlmCall& call) override { on_call(call); }
  void on_call_finished(const LlmCall& call) override { on_call(call); }
  void on_hello(const ConnectionFacts&);

 private:
  void on_call(const LlmCall&);
  void see(ProcessKey);

  const Limits& limits_;
  const ProviderTable providers_;
  std::function<void(ProcessKey)> sink_;
  std::unordered_set<ProcessKey, ProcessKeyHash> told_;  // at the cap forgotten, and told again
};

}  // namespace llmtap
