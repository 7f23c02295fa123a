// SPDX-License-Identifier: Apache-2.0
#include "pipeline/load_shedding.h"

#include <spdlog/spdlog.h>
#include <time.h>

#include <string>

#include "capture/run_time_sampler.h"

namespace llmtap {

namespace {

uint64_t now_ns(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

}  // namespace

void add_shed_status(SelfObservation& out, const ShedStatus& status) {
  if (status.cpu_share_bound <= 0) return;
  out.cpu_share = status.cpu_share;
  out.cpu_share_bound = status.cpu_share_bound;
  out.shed_level = static_cast<double>(status.level);
  out.shed_steps = {{{"up"}, static_cast<double>(status.steps_up)},
                    {{"down"}, static_cast<double>(status.steps_down)}};
}

Readiness less_ready(Readiness readiness, const ShedStatus& status) {
  if (!readiness.ready || status.level == ShedLevel::kNone) return readiness;
  return {.ready = status.level != ShedLevel::kDetached,
          .reason = "load is shed (capture.cpu_share): " + std::string(describe(status.level))};
}

LoadShedding::LoadShedding(const Config& config, Core& core, LiveCapture& capture)
    : bound_(static_cast<double>(config.capture_cpu_share) / 100),
      core_(core),
      capture_(capture),
      shedder_({.cpu_share = bound_}, *this) {
  status_.cpu_share_bound = bound_;
}

// The sampler adds the estimate of a whole period at once.
double LoadShedding::kernel_share() {
  const double seconds = capture_.figures().program_run_seconds;
  if (seconds != program_run_seconds_)
    kernel_share_ = (seconds - program_run_seconds_) * 1e9 / static_cast<double>(RunTimeSampler::kPeriod_ns);
  program_run_seconds_ = seconds;
  return kernel_share_;
}

Result<> LoadShedding::tick() {
  const uint64_t now = now_ns(CLOCK_MONOTONIC);
  if (!shedder_.due(now)) return Ok{};
  auto stepped = shedder_.step(now, now_ns(CLOCK_PROCESS_CPUTIME_ID), kernel_share());
  const std::lock_guard lock(mutex_);
  status_ = {.level = shedder_.level(),
             .cpu_share = shedder_.cpu_share(),
             .cpu_share_bound = bound_,
             .steps_up = shedder_.steps_up(),
             .steps_down = shedder_.steps_down()};
  return stepped;
}

ShedStatus LoadShedding::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

Result<> LoadShedding::shed(ShedLevel from, ShedLevel to) {
  const double percent = shedder_.cpu_share() * 100;
  // Measured under the load that it left; until the next sample the daemon's own time speaks for both.
  if (from == ShedLevel::kDetached) kernel_share_ = 0;
  if (to > from)
    spdlog::warn("{:.0f} % of a core is above capture.cpu_share: {}", percent, describe(to));
  else if (to == ShedLevel::kNone)
    spdlog::info("{:.0f} % of a core: everything is read again", percent);
  else
    spdlog::info("{:.0f} % of a core: a step back, now {}", percent, describe(to));
  capture_.press(to >= ShedLevel::kNarrow);
  core_.mute_sooner(to >= ShedLevel::kMuteSooner);
  capture_.refuse_new_connections(to >= ShedLevel::kRefuseNew);
  if ((from == ShedLevel::kDetached) == (to == ShedLevel::kDetached)) return Ok{};
  auto done = capture_.detach(to == ShedLevel::kDetached);
  // To the discovery that begins anew.
  if (to != ShedLevel::kDetached) core_.tell_evidence_again();
  capture_.press(to >= ShedLevel::kNarrow);
  return done;
}

}  // namespace llmtap
