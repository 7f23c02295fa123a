// SPDX-License-Identifier: Apache-2.0
// The scraping side of Metrics: what is open now, what the probe says of itself, and the budget.
#include <algorithm>
#include <array>

#include "sinks/metrics.h"

namespace llmtap {
namespace {

// Label sets of in-flight gauges that are kept at zero after their last call ended.
constexpr size_t kIdleFlightKeys = 4096;

prometheus::ClientMetric gauge(std::span<const std::string_view> names, std::span<const std::string> values,
                               double value) {
  prometheus::ClientMetric metric;
  for (size_t i = 0; i < names.size(); ++i) metric.label.push_back({std::string(names[i]), values[i]});
  metric.gauge.value = value;
  return metric;
}

CollectedFamily empty_family(FamilyId id) {
  const FamilyDesc& desc = metric_families()[static_cast<size_t>(id)];
  CollectedFamily family;
  family.family.name = desc.name;
  family.family.help = desc.help;
  family.family.type = desc.type;
  return family;
}

}  // namespace

void Metrics::take_off(Flights& flights, const ExchangeId& id, FlightKey key, uint64_t start_ns) {
  const std::lock_guard lock(flights_mutex_);
  if (flights.open.size() >= limits_.open_calls) return;
  if (flights.count_by_key.size() >= kIdleFlightKeys)
    std::erase_if(flights.count_by_key, [](const auto& entry) { return entry.second == 0; });
  const auto [it, fresh] = flights.open.try_emplace(id, Flights::Open{std::move(key), start_ns});
  if (fresh) ++flights.count_by_key[it->second.key];
}

void Metrics::land(Flights& flights, const ExchangeId& id) {
  const std::lock_guard lock(flights_mutex_);
  const auto it = flights.open.find(id);
  if (it == flights.open.end()) return;
  if (const auto count = flights.count_by_key.find(it->second.key); count != flights.count_by_key.end())
    --count->second;
  flights.open.erase(it);
}

std::vector<CollectedFamily> Metrics::flight_families() const {
  static constexpr std::array<std::string_view, 6> kCallLabels{"namespace", "workload", "role",
                                                               "direction", "provider", "operation"};
  static constexpr std::array<std::string_view, 5> kHttpLabels{"namespace", "workload", "role", "method",
                                                               "route"};
  CollectedFamily in_flight = empty_family(FamilyId::kInFlight),
                  oldest = empty_family(FamilyId::kInFlightOldest),
                  http = empty_family(FamilyId::kHttpInFlight);
  {
    const std::lock_guard lock(flights_mutex_);
    std::map<FlightKey, double> age_by_key;
    const auto without_operation = [](FlightKey key) {
      key.pop_back();
      return key;
    };
    for (const auto& [key, count] : calls_.count_by_key) {
      in_flight.family.metric.push_back(gauge(kCallLabels, key, static_cast<double>(count)));
      age_by_key.try_emplace(without_operation(key), 0);
    }
    for (const auto& [id, open] : calls_.open) {
      double& age = age_by_key[without_operation(open.key)];
      if (open.start_ns != 0 && now_ns_ > open.start_ns)
        age = std::max(age, static_cast<double>(now_ns_ - open.start_ns) / 1e9);
    }
    for (const auto& [key, age] : age_by_key)
      oldest.family.metric.push_back(gauge(std::span(kCallLabels).first(5), key, age));
    for (const auto& [key, count] : http_.count_by_key)
      http.family.metric.push_back(gauge(kHttpLabels, key, static_cast<double>(count)));
  }
  std::vector<CollectedFamily> families;
  for (CollectedFamily* family : {&in_flight, &oldest, &http})
    if (!family->family.metric.empty()) families.push_back(std::move(*family));
  return families;
}

void Metrics::add_series_counts(std::vector<CollectedFamily>& families) const {
  static constexpr std::array<std::string_view, 1> kLabels{"family"};
  CollectedFamily live, dropped;
  live.family.name = "llmtap_series";
  live.family.help = "Live series by family, as the series budget counts them.";
  live.family.type = prometheus::MetricType::Gauge;
  dropped.family.name = "llmtap_series_dropped_total";
  dropped.family.help = "Updates of series that the series budget refused.";
  dropped.family.type = prometheus::MetricType::Counter;
  for (const SeriesStore::Count& count : store_.counts()) {
    const std::string family(count.family);
    if (count.series > 0)
      live.family.metric.push_back(gauge(kLabels, std::span(&family, 1), static_cast<double>(count.series)));
    if (count.series > 0 || count.dropped > 0) {
      dropped.family.metric.push_back(gauge(kLabels, std::span(&family, 1), 0));
      dropped.family.metric.back().counter.value = static_cast<double>(count.dropped);
    }
  }
  for (CollectedFamily* family : {&live, &dropped})
    if (!family->family.metric.empty()) families.push_back(std::move(*family));
}

std::vector<CollectedFamily> Metrics::collect() const {
  std::vector<CollectedFamily> families = store_.collect();
  for (CollectedFamily& family : flight_families()) families.push_back(std::move(family));
  if (options_.observe)
    for (CollectedFamily& family : self_observation_families(options_.observe()))
      families.push_back(std::move(family));
  add_series_counts(families);
  std::erase_if(families,
                [&](const CollectedFamily& family) { return options_.exclude.contains(family.family.name); });
  return families;
}

std::vector<prometheus::MetricFamily> Metrics::Collect() const {
  std::vector<prometheus::MetricFamily> families;
  for (CollectedFamily& collected : collect()) families.push_back(std::move(collected.family));
  return families;
}

}  // namespace llmtap
