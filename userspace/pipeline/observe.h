// SPDX-License-Identifier: Apache-2.0
// The probe's own figures, from the parts that own them to the metrics' plain form.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "capture/coverage.h"
#include "pipeline/core.h"
#include "sinks/self_observation.h"

namespace llmtap {

// What the kernel side counted; replay has none.
struct CaptureFigures {
  std::array<uint64_t, LLMTAP_SOURCE_MAX> events_by_source{};
  uint64_t bytes_passed = 0, bytes_captured = 0, bytes_left_out = 0, bytes_delivered = 0;
  std::array<uint64_t, LLMTAP_LOST_MAX> lost_bytes{};
  double ring_usage_ratio = 0;
  uint64_t skipped_runs = 0;
  double program_run_seconds = 0;  // of all BPF programs, estimated from one second of every 60
};

SelfObservation observe(const CoreStats& core, const Coverage& coverage,
                        const std::optional<CaptureFigures>& capture, std::vector<ExportCounters> exports);

std::string_view verdict_name(Verdict);
// "ring_full" and so on: the reason label of llmtap_events_lost_total.
std::string_view loss_name(int loss);

}  // namespace llmtap
