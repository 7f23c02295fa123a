// SPDX-License-Identifier: Apache-2.0
// What the BPF programs count, each CPU for itself: the sums. Any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "capture/attacher.h"
#include "capture/probe.h"
#include "capture/probe_programs.h"
#include "capture/run_time_sampler.h"

namespace llmtap {

class KernelBooks {
 public:
  using Lost = std::array<ProbeStatistics::LossCount, LLMTAP_LOST_MAX>;
  struct Balance {
    ProbeStatistics::ByteBook bytes;
    Lost lost;
  };

  explicit KernelBooks(const ProbePrograms& programs);

  Lost lost() const;
  // Both of one moment, unless calls return all the time: then of almost one.
  Balance balance() const;
  // By the file's number, calls of processes that nothing is known of that met its shared link.
  std::array<uint64_t, LinkReach::kFiles> file_hits() const;
  // Of each program in the object's order; zeros while the kernel does not add them up.
  std::vector<RunTime> run_times() const;
  // Runs at tracepoints that the kernel skipped, of each program the fewest of its copies: at most what is
  // missing, since a copy's skip matters only where the others were skipped too.
  uint64_t skipped_runs() const;

 private:
  ProbeStatistics::ByteBook bytes() const;

  const bpf_object* object_;
  int lost_, byte_books_, file_hits_;  // maps
  size_t cpus_;
};

}  // namespace llmtap
