// SPDX-License-Identifier: Apache-2.0
// What the probe says of itself, filled by pipeline/ at each scrape and turned into families here.
// Counters are cumulative since the start. Empty vectors and absent values give no samples.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/stats.h"
#include "sinks/series_store.h"

namespace llmtap {

// Counters of one sink that exports finished calls.
struct ExportCounters {
  std::string signal;  // traces, metrics, logs
  uint64_t ok = 0, error = 0, dropped = 0;
  uint64_t queued = 0;       // waiting now
  uint64_t not_sampled = 0;  // of traces alone
};

struct SelfObservation {
  // Label values in the order that the member's comment names.
  struct Sample {
    std::vector<std::string> labels;
    double value = 0;
  };

  std::string version, revision, kernel;
  bool btf = false;
  std::vector<Sample> attached_targets;   // kind
  std::vector<Sample> attach_failures;    // kind, reason
  std::vector<Sample> capture_coverage;   // namespace, workload, role
  std::vector<Sample> events;             // source
  std::vector<Sample> events_lost;        // source, reason
  std::vector<Sample> kernel_bytes_lost;  // stage, reason: as the kernel side counted them
  std::vector<std::pair<std::string, StageBooks>> stages;
  std::vector<Sample> connections;  // verdict, protocol
  std::vector<Sample> queues;       // queue
  std::optional<double> connections_not_seen_ending, clock_steps;
  std::vector<Sample> coverage_processes;                        // runtime, state, reason
  std::vector<Sample> coverage_connections;                      // runtime, visibility
  std::vector<Sample> parse_errors;                              // protocol, stage
  std::optional<double> cpu_user_seconds;                        // this process, user and system time
  std::optional<double> cpu_kernel_seconds;                      // run time of the BPF programs
  std::optional<double> cpu_share, cpu_share_bound, shed_level;  // only with a bound
  std::vector<Sample> shed_steps;                                // direction
  std::optional<double> sampled_targets, unfollowed_seconds;
  std::optional<double> skipped_runs;
  std::optional<double> resident_bytes;
  std::vector<Sample> ring_usage;  // ring
  std::vector<ExportCounters> exports;
  std::vector<Sample> compat_active;   // profile, namespace, workload
  std::vector<Sample> prices_updated;  // version; Unix time
};

// Families without samples are left out.
std::vector<CollectedFamily> self_observation_families(const SelfObservation&);

}  // namespace llmtap
