// SPDX-License-Identifier: Apache-2.0
#include "llm/workload_roles.h"

namespace llmtap {

WorkloadRoles::Seen* WorkloadRoles::entry(const std::string& workload) {
  const auto found = seen_.find(workload);
  if (found != seen_.end()) return &found->second;
  if (seen_.size() >= max_workloads_) {
    ++not_remembered_;
    return nullptr;
  }
  return &seen_[workload];
}

void WorkloadRoles::saw(const std::string& workload, CallDirection direction) {
  Seen* seen = entry(workload);
  if (seen == nullptr) return;
  (direction == CallDirection::kInbound ? seen->inbound : seen->outbound) = true;
}

void WorkloadRoles::is_gateway(const std::string& workload) {
  if (Seen* seen = entry(workload)) seen->inbound = seen->outbound = true;
}

WorkloadRole WorkloadRoles::role(const std::string& workload) const {
  const auto found = seen_.find(workload);
  if (found == seen_.end() || !found->second.inbound) return WorkloadRole::kClient;
  return found->second.outbound ? WorkloadRole::kGateway : WorkloadRole::kServer;
}

bool WorkloadRoles::serves(const std::string& workload) const {
  return role(workload) != WorkloadRole::kClient;
}

}  // namespace llmtap
