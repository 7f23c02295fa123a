// SPDX-License-Identifier: Apache-2.0
#include "pipeline/sink_set.h"

#include <spdlog/spdlog.h>

#include "pipeline/version.h"

namespace llmtap {

namespace {

TraceSampler sampler_of(const Config& config) {
  using Type = TraceSampler::Type;
  return {.type = config.traces_sampler_type == "never"         ? Type::kNever
                  : config.traces_sampler_type == "probability" ? Type::kProbability
                                                                : Type::kAlways,
          .rate = config.traces_sampler_rate,
          .keep_errors = config.traces_sampler_keep_errors,
          .keep_slower_than = config.traces_sampler_keep_slower_than};
}

using namespace std::chrono_literals;

// A reader of the log that stalls may not hold up the end of the program for longer.
constexpr auto kCloseWait = 5s;

}  // namespace

OtlpOptions otlp_options(const Config& config, const Limits& limits) {
  return {.endpoint = config.otlp_endpoint,
          .protocol =
              config.otlp_protocol == "grpc" ? OtlpOptions::Protocol::kGrpc : OtlpOptions::Protocol::kHttp,
          .insecure = config.otlp_insecure,
          .headers = config.otlp_headers,
          .old_genai_names = config.traces_genai_generation == "old",
          .sampler = sampler_of(config),
          .service_version = kVersion,
          .queue = limits.export_queue};
}

SinkSet::SinkSet(const Config& config, const Limits& limits, std::function<SelfObservation()> observe)
    : metrics_(limits,
               {.genai_names = config.metrics_genai_names,
                .exemplars = config.metrics_exemplars,
                .exclude = {config.metrics_exclude_metrics.begin(), config.metrics_exclude_metrics.end()},
                .series_ttl = config.metrics_series_ttl,
                .observe = std::move(observe)}),
      recent_(limits) {}

Result<std::unique_ptr<SinkSet>> SinkSet::open(const Config& config, const Limits& limits,
                                               std::function<SelfObservation()> observe) {
  std::unique_ptr<SinkSet> sinks(new SinkSet(config, limits, std::move(observe)));
  if (config.log_requests_enabled)
    sinks->log_ =
        LLMTAP_TRY(JsonLog::open({.path = config.log_requests_file,
                                  .queue = limits.export_queue,
                                  .report = [](const std::string& text) { spdlog::error("{}", text); }}));
  if (!config.otlp_endpoint.empty() && config.otlp_traces_enabled)
    sinks->otlp_ = LLMTAP_TRY(OtlpExporter::open(otlp_options(config, limits)));
  return sinks;
}

std::vector<CallSink*> SinkSet::all() {
  std::vector<CallSink*> sinks{&metrics_, &recent_};
  if (log_) sinks.push_back(log_.get());
  if (otlp_) sinks.push_back(otlp_.get());
  return sinks;
}

std::vector<ExportCounters> SinkSet::export_counters() const {
  std::vector<ExportCounters> counters;
  if (log_) counters.push_back(log_->counters());
  if (otlp_) counters.push_back(otlp_->counters());
  return counters;
}

void SinkSet::reopen() {
  if (log_) log_->reopen();
}

bool SinkSet::drain(std::chrono::milliseconds timeout) {
  const bool logged = !log_ || log_->flush(timeout);
  const bool exported = !otlp_ || otlp_->flush(timeout);
  return logged && exported;
}

void SinkSet::close() {
  if (!drain(kCloseWait)) spdlog::error("the last calls were not all written to the log or exported in time");
}

}  // namespace llmtap
