// SPDX-License-Identifier: Apache-2.0
// What a workload is, by the directions of its LLM calls (D1). It only ever rises, so that series do
// not flap.
#pragma once

#include <cstddef>
#include <string>
#include <unordered_map>

#include "llmtap/llm_call.h"

namespace llmtap {

class WorkloadRoles {
 public:
  explicit WorkloadRoles(size_t max_workloads) : max_workloads_(max_workloads) {}

  // A call in this direction was seen. At the cap a new workload's role is not remembered, counted.
  void saw(const std::string& workload, CallDirection);
  // The reply says that the workload is a gateway (x-litellm-* of its own replies).
  void is_gateway(const std::string& workload);

  // kClient for an unknown one.
  WorkloadRole role(const std::string& workload) const;
  bool known(const std::string& workload) const { return seen_.contains(workload); }
  // Of role gateway or server.
  bool serves(const std::string& workload) const;
  size_t not_remembered() const { return not_remembered_; }

 private:
  struct Seen {
    bool inbound = false, outbound = false;
  };
  Seen* entry(const std::string& workload);

  size_t max_workloads_;
  size_t not_remembered_ = 0;
  std::unordered_map<std::string, Seen> seen_;
};

}  // namespace llmtap
