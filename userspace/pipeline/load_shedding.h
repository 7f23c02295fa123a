// SPDX-License-Identifier: Apache-2.0
// The shedder of the daemon: measures this process and its BPF programs, acts on the core and the
// capture, and says so in the log and on a board that scrapes read.
#pragma once

#include <cstdint>
#include <mutex>

#include "pipeline/config.h"
#include "pipeline/core.h"
#include "pipeline/live_capture.h"
#include "pipeline/load_shedder.h"

namespace llmtap {

struct ShedStatus {
  ShedLevel level = ShedLevel::kNone;
  double cpu_share = 0, cpu_share_bound = 0;
  uint64_t steps_up = 0, steps_down = 0;
};

// The metrics of it; none without a bound.
void add_shed_status(SelfObservation&, const ShedStatus&);
// Detached is not ready; what sheds less is, and says what is less.
Readiness less_ready(Readiness, const ShedStatus&);

class LoadShedding : private LoadShedPort {
 public:
  LoadShedding(const Config& config, Core& core, LiveCapture& capture);

  // Core thread, after each poll.
  Result<> tick();
  // Any thread.
  ShedStatus status() const;

 private:
  Result<> shed(ShedLevel from, ShedLevel to) override;
  double kernel_share();

  const double bound_;
  Core& core_;
  LiveCapture& capture_;
  LoadShedder shedder_;
  double program_run_seconds_ = 0, kernel_share_ = 0;
  mutable std::mutex mutex_;
  ShedStatus status_;
};

}  // namespace llmtap
