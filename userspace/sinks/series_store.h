// SPDX-License-Identifier: Apache-2.0
// Counters, gauges and histograms by family and label values: written by the core thread, read by
// scrapes. Series of idle label sets end; a budget bounds how many there are, refusals are counted.
#pragma once

#include <prometheus/metric_family.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sinks/label_caps.h"
#include "sinks/metric_families.h"

namespace llmtap {

struct Exemplar {
  std::string trace_id;  // empty: none
  double value = 0;
  double timestamp_seconds = 0;  // Unix time
};

// One family as a scrape sees it. `exemplars` is by metric, then by bucket (counters: one element);
// empty where there are none. prometheus-cpp's model has no place for them.
struct CollectedFamily {
  prometheus::MetricFamily family;
  std::vector<std::vector<Exemplar>> exemplars;
};

class SeriesStore {
 public:
  using Labels = std::initializer_list<std::string_view>;

  SeriesStore(std::span<const FamilyDesc> families, size_t max_series);

  // `labels` in the order of the family's description.
  void add(FamilyId, Labels labels, double amount, const Exemplar* exemplar = nullptr);
  void set(FamilyId, Labels labels, double value);
  void observe(FamilyId, Labels labels, double value, const Exemplar* exemplar = nullptr);
  // Observations counted elsewhere, by bucket (not cumulative), the last one being +Inf.
  void merge(FamilyId, Labels labels, std::span<const uint64_t> counts, double sum);

  void set_now(uint64_t now_ns) { now_ns_ = now_ns; }
  void expire(std::chrono::nanoseconds ttl);

  // Families with at least one series, metrics sorted by label values.
  std::vector<CollectedFamily> collect() const;

  struct Count {
    std::string_view family;
    uint64_t series = 0;   // as a scrape counts them: one per bucket, sum and count
    uint64_t dropped = 0;  // updates refused by the budget
  };
  std::vector<Count> counts() const;

 private:
  struct Series {
    std::vector<std::string> values;
    double value = 0;               // histograms: the sum
    std::vector<uint64_t> buckets;  // not cumulative, +Inf last
    std::vector<Exemplar> exemplars;
    uint64_t last_ns = 0;
  };
  struct Family {
    const FamilyDesc* desc = nullptr;
    std::vector<std::string> label_names;
    uint64_t weight = 1;  // series of one label set
    mutable std::mutex mutex;
    StringMap<Series> series_by_key;
    uint64_t dropped = 0;
  };
  // With the family's mutex held; nullptr when the budget is used up.
  Series* find(Family&, Labels labels);
  Family& family(FamilyId id) { return *families_[static_cast<size_t>(id)]; }

  size_t max_series_;
  std::atomic<uint64_t> series_ = 0;
  std::atomic<uint64_t> now_ns_ = 0;
  std::vector<std::unique_ptr<Family>> families_;
};

}  // namespace llmtap
