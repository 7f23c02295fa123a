// SPDX-License-Identifier: Apache-2.0
// What this node allows, found by trying. For `llmtap doctor` and for the words of a failed start.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace llmtap {

enum class DoctorStatus { kOk, kDegraded, kMissing, kUnknown };

constexpr std::string_view to_string(DoctorStatus status) {
  switch (status) {
    case DoctorStatus::kOk: return "ok";
    case DoctorStatus::kDegraded: return "degraded";
    case DoctorStatus::kMissing: return "missing";
    case DoctorStatus::kUnknown: break;
  }
  return "unknown";
}

struct DoctorFact {
  std::string name;  // "capability cap_bpf"
  DoctorStatus status = DoctorStatus::kUnknown;
  std::string detail;  // what was found
  std::string advice;  // what the user can do; empty when ok
};

// Takes some milliseconds: loads and drops small BPF programs.
std::vector<DoctorFact> collect_doctor_facts();

// The part of them that needs no trying: what this process may do.
std::vector<DoctorFact> capability_facts();
// "CAP_BPF, CAP_PERFMON": of those without which nothing is seen, the ones that this process lacks.
std::string missing_capabilities();

// "6.1.0-13-amd64" -> {6, 1}; {0, 0} for anything else.
std::pair<int, int> parse_kernel_release(std::string_view release);

}  // namespace llmtap
