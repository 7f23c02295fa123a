// SPDX-License-Identifier: Apache-2.0
#include "pipeline/coverage_book.h"

#include <algorithm>

namespace llmtap {

WorkloadCoverage& CoverageBook::of(const std::string& workload) {
  const bool room = by_workload_.size() < limits_.workloads || by_workload_.contains(workload);
  return by_workload_[room ? workload : "other"];
}

void CoverageBook::on_call_finished(const LlmCall& call) {
  if (call.direction != CallDirection::kOutbound) return;
  WorkloadCoverage& coverage = of(call.process ? call.process->workload : "unknown");
  coverage.role = std::max(coverage.role, call.role);
  if (counted_.size() >= limits_.connections) counted_.clear();
  if (counted_.insert(call.exchange.connection).second) ++coverage.clear;
}

void CoverageBook::on_opaque(const ConnectionFacts& facts, const std::string& workload) {
  if (facts.role == Role::kServer) return;
  if (providers_.match(facts.sni, facts.has_addresses ? facts.remote.port : uint16_t{0}, "").provider.empty())
    return;
  ++of(workload).opaque;
}

}  // namespace llmtap
