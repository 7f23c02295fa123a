// SPDX-License-Identifier: Apache-2.0
// How many of a workload's connections to LLM endpoints can be read: those that carried a call, and
// those to a known provider's host of which only TLS records are seen.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_set>

#include "llm/call_tracker.h"
#include "llm/providers.h"
#include "llmtap/limits.h"
#include "llmtap/sink.h"

namespace llmtap {

struct WorkloadCoverage {
  WorkloadRole role = WorkloadRole::kClient;
  uint64_t clear = 0, opaque = 0;  // connections
  double ratio() const { return static_cast<double>(clear) / static_cast<double>(clear + opaque); }
};

class CoverageBook : public CallSink {
 public:
  // `options`: the user's own hosts.
  CoverageBook(const Limits& limits, const CallTrackerOptions& options)
      : limits_(limits), providers_(options.hosts) {}

  void on_call_open(const LlmCall&) override {}
  void on_call_finished(const LlmCall&) override;
  void on_opaque(const ConnectionFacts&, const std::string& workload);

  const std::map<std::string, WorkloadCoverage>& by_workload() const { return by_workload_; }

 private:
  WorkloadCoverage& of(const std::string& workload);

  const Limits& limits_;
  const ProviderTable providers_;
  std::map<std::string, WorkloadCoverage> by_workload_;
  std::unordered_set<uint64_t> counted_;  // connections with a call; at the cap forgotten, then counted again
};

}  // namespace llmtap
