// SPDX-License-Identifier: Apache-2.0
#include "pipeline/live_capture.h"

#include <spdlog/spdlog.h>

#include <bit>

namespace llmtap {

namespace {

DiscoveryOptions discovery_options(const Config& config, Probe& probe) {
  DiscoveryOptions options;
  options.exclusion = Exclusion(config.targets_exclude);
  options.attach.narrow.cpu_share = static_cast<double>(config.capture_narrow_share) / 100;
  options.exclude = [&probe](uint32_t tgid) {
    if (const auto excluded = probe.exclude_process(tgid); !excluded)
      spdlog::error("{}", excluded.error().message);
  };
  return options;
}

}  // namespace

LiveCapture::LiveCapture(std::unique_ptr<Probe> probe, const Config& config)
    : probe_(std::move(probe)),
      attacher_(*probe_),
      discovery_options_(discovery_options(config, *probe_)),
      discovery_(std::make_unique<Discovery>(attacher_, attacher_, discovery_options_)),
      requester_([this](uint32_t tgid) { discovery_->ensure_facts(tgid); }, sink_) {
  probe_->on_stack_switch([this](uint32_t tgid) { discovery_->refuse(tgid); });
}

Result<std::unique_ptr<LiveCapture>> LiveCapture::open(const Config& config) {
  ProbeOptions options;
  options.ring_bytes = std::bit_ceil(config.capture_ring_bytes);
  options.sample_run_time = true;
  auto probe = LLMTAP_TRY(Probe::open(options));
  return std::unique_ptr<LiveCapture>(new LiveCapture(std::move(probe), config));
}

LiveCapture::~LiveCapture() { stop(); }

Result<> LiveCapture::start() { return discovery_->start(); }

void LiveCapture::stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  discovery_->stop();
}

Result<> LiveCapture::detach(bool detach) {
  const std::lock_guard lock(mutex_);
  if (stopped_) return Ok{};
  discovery_->stop();
  LLMTAP_TRY(probe_->detach_calls(detach));
  detached_ = detach;
  if (detach) return Ok{};
  discovery_ = std::make_unique<Discovery>(attacher_, attacher_, discovery_options_);
  return discovery_->start();
}

std::shared_ptr<const Coverage> LiveCapture::coverage() const {
  const std::lock_guard lock(mutex_);
  if (!detached_) return discovery_->snapshot();
  auto nothing = std::make_shared<Coverage>();
  nothing->initial_scan_done = true;
  return nothing;
}

Result<size_t> LiveCapture::poll(EventSink& sink, std::chrono::milliseconds timeout) {
  sink_.next = &sink;
  return probe_->poll(requester_, timeout);
}

Readiness LiveCapture::readiness() const {
  const auto coverage = this->coverage();
  if (!coverage->initial_scan_done)
    return {.reason = "the first scan of the running processes is not done (" +
                      std::to_string(coverage->processes_scanned) + " so far)"};
  return {.ready = true};
}

CaptureFigures LiveCapture::figures() const {
  const ProbeStatistics statistics = probe_->statistics();
  CaptureFigures figures;
  for (const auto& [source, events] : statistics.data_events_by_source)
    if (source < LLMTAP_SOURCE_MAX) figures.events_by_source[source] = events;
  figures.bytes_passed = statistics.byte_book.passed;
  figures.bytes_captured = statistics.byte_book.captured;
  figures.bytes_left_out = statistics.byte_book.left_out;
  figures.bytes_delivered = statistics.captured_bytes_delivered;
  for (size_t i = 0; i < LLMTAP_LOST_MAX; ++i) figures.lost_bytes[i] = statistics.lost[i].bytes;
  figures.ring_usage_ratio = statistics.ring_used;
  figures.skipped_runs = statistics.skipped_runs;
  for (const auto& program : statistics.programs)
    figures.program_run_seconds += static_cast<double>(program.run_time_ns) * 1e-9;
  return figures;
}

}  // namespace llmtap
