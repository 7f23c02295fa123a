// SPDX-License-Identifier: Apache-2.0
// The sinks that a configuration asks for, opened and closed together.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "llmtap/limits.h"
#include "llmtap/sink.h"
#include "pipeline/config.h"
#include "sinks/json_log.h"
#include "sinks/metrics.h"
#include "sinks/otlp_exporter.h"
#include "sinks/recent_calls.h"

namespace llmtap {

OtlpOptions otlp_options(const Config& config, const Limits& limits);

class SinkSet {
 public:
  // `observe` may be empty: then the exposition says nothing of the probe itself.
  static Result<std::unique_ptr<SinkSet>> open(const Config& config, const Limits& limits,
                                               std::function<SelfObservation()> observe);
  std::vector<CallSink*> all();
  Metrics& metrics() { return metrics_; }
  RecentCalls& recent() { return recent_; }
  std::vector<ExportCounters> export_counters() const;
  // The log file was rotated.
  void reopen();
  // Waits until what was handed over is written out or counted as lost; false: not in time.
  bool drain(std::chrono::milliseconds timeout);
  // The last drain.
  void close();

 private:
  SinkSet(const Config& config, const Limits& limits, std::function<SelfObservation()> observe);

  Metrics metrics_;
  RecentCalls recent_;
  std::unique_ptr<JsonLog> log_;        // null: off
  std::unique_ptr<OtlpExporter> otlp_;  // null: no endpoint
};

}  // namespace llmtap
