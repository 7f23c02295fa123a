// SPDX-License-Identifier: Apache-2.0
#include "pipeline/sink_set.h"

#include <spdlog/spdlog.h>

namespace llmtap {

namespace {

using namespace std::chrono_literals;

// A reader of the log that stalls may not hold up the end of the program for longer.
constexpr auto kCloseWait = 5s;

}  // namespace

SinkSet::SinkSet(const Config& config, const Limits& limits, std::function<SelfObservation()> observe)
    : metrics_(limits, {.genai_names = config.metrics_genai_names,
                        .series_ttl = config.metrics_series_ttl,
                        .observe = std::move(observe)}),
      recent_(limits) {}

Result<std::unique_ptr<SinkSet>> SinkSet::open(const Config& config, const Limits& limits,
                                               std::function<SelfObservation()> observe) {
  std::unique_ptr<SinkSet> sinks(new SinkSet(config, limits, std::move(observe)));
  if (config.log_requests_enabled)
    sinks->log_ = LLMTAP_TRY(JsonLog::open({.path = config.log_requests_file,
                                            .queue = limits.export_queue,
                                            .report = [](const std::string& text) { spdlog::error("{}", text); }}));
  return sinks;
}

std::vector<CallSink*> SinkSet::all() {
  std::vector<CallSink*> sinks{&metrics_, &recent_};
  if (log_) sinks.push_back(log_.get());
  return sinks;
}

std::vector<ExportCounters> SinkSet::export_counters() const {
  std::vector<ExportCounters> counters;
  if (log_) counters.push_back(log_->counters());
  return counters;
}

void SinkSet::reopen() {
  if (log_) log_->reopen();
}

bool SinkSet::drain(std::chrono::milliseconds timeout) { return !log_ || log_->flush(timeout); }

void SinkSet::close() {
  if (!drain(kCloseWait)) spdlog::error("the last lines of the call log were not written in time");
}

}  // namespace llmtap
