// SPDX-License-Identifier: Apache-2.0
// Finished calls and exchanges as Prometheus metrics. Fed by the core thread; collect() may run on
// any other thread at the same time.
#pragma once

#include <prometheus/collectable.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "llmtap/limits.h"
#include "llmtap/sink.h"
#include "sinks/exposition.h"
#include "sinks/label_caps.h"
#include "sinks/self_observation.h"
#include "sinks/series_store.h"

namespace llmtap {

struct MetricsOptions {
  bool genai_names = false;  // also the families of the OpenTelemetry GenAI conventions
  bool exemplars = true;
  std::set<std::string, std::less<>> exclude;  // families that are not exposed
  std::chrono::nanoseconds series_ttl = std::chrono::hours(24);
  // Asked at each scrape, on the scraping thread; may be empty.
  std::function<SelfObservation()> observe;
};

class Metrics : public CallSink, public prometheus::Collectable {
 public:
  Metrics(const Limits& limits, MetricsOptions options);

  void on_call_open(const LlmCall&) override;
  void on_call_finished(const LlmCall&) override;
  void on_http_open(const HttpExchange&) override;
  void on_http_finished(const HttpExchange&) override;
  void on_clock(const ClockFacts&) override;

  std::vector<prometheus::MetricFamily> Collect() const override;
  std::vector<CollectedFamily> collect() const;
  // The whole exposition; what /metrics answers.
  std::string expose(ExpositionFormat format) const { return llmtap::expose(collect(), format); }

 private:
  struct Names;  // label values of one call
  struct ExchangeHash {
    size_t operator()(const ExchangeId& id) const {
      return id.connection * 0x9e3779b97f4a7c15ULL ^ id.number;
    }
  };
  using FlightKey = std::vector<std::string>;
  struct Flights {
    struct Open {
      FlightKey key;
      uint64_t start_ns = 0;
    };
    std::unordered_map<ExchangeId, Open, ExchangeHash> open;
    std::map<FlightKey, uint64_t> count_by_key;  // zeros stay until they expire
  };

  Names names_of(const LlmCall&);
  void count_mcp(const LlmCall& call, const Names& n);
  void count_incomplete(const LlmCall&, const Names&);
  void count_sizes_and_tokens(const LlmCall&, const Names&);
  void count_stream(const LlmCall&, const Names&, const Exemplar*);
  void count_failures(const LlmCall&, const Names&);
  void count_rate_limits(const LlmCall&, const Names&);
  void count_replies(const LlmCall&, const Names&);
  void count_genai(const LlmCall&, const Names&, const Exemplar*);
  std::string model_label(const LlmCall&, const std::string& model, const std::string& workload);
  void take_off(Flights&, const ExchangeId&, FlightKey, uint64_t start_ns);
  void land(Flights&, const ExchangeId&);
  std::vector<CollectedFamily> flight_families() const;
  void add_series_counts(std::vector<CollectedFamily>&) const;

  Limits limits_;
  MetricsOptions options_;
  LabelCaps caps_;
  SeriesStore store_;
  uint64_t last_expiry_ns_ = 0;
  std::set<std::string, std::less<>> workloads_;  // whose counters of incomplete calls stand at 0

  mutable std::mutex flights_mutex_;
  uint64_t now_ns_ = 0;
  Flights calls_, http_;
};

}  // namespace llmtap
