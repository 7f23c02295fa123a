// SPDX-License-Identifier: Apache-2.0
#include "sinks/series_store.h"

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace llmtap {
namespace {

std::vector<std::string> split(std::string_view list) {
  std::vector<std::string> names;
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    names.emplace_back(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return names;
}

prometheus::ClientMetric::Histogram cumulate(std::span<const double> bounds,
                                             const std::vector<uint64_t>& counts, double sum) {
  prometheus::ClientMetric::Histogram histogram;
  histogram.bucket.reserve(counts.size());
  for (size_t i = 0; i < counts.size(); ++i) {
    histogram.sample_count += counts[i];
    histogram.bucket.push_back(
        {histogram.sample_count, i < bounds.size() ? bounds[i] : std::numeric_limits<double>::infinity()});
  }
  histogram.sample_sum = sum;
  return histogram;
}

}  // namespace

SeriesStore::SeriesStore(std::span<const FamilyDesc> families, size_t max_series) : max_series_(max_series) {
  for (const FamilyDesc& desc : families) {
    auto entry = std::make_unique<Family>();
    entry->desc = &desc;
    entry->label_names = split(desc.labels);
    if (desc.type == prometheus::MetricType::Histogram) entry->weight = desc.buckets.size() + 3;
    families_.push_back(std::move(entry));
  }
}

SeriesStore::Series* SeriesStore::find(Family& in, Labels labels) {
  LLMTAP_CHECK(labels.size() == in.label_names.size());
  std::string key;
  for (std::string_view label : labels) {
    key += clean_label(label);
    key += '\n';
  }
  auto it = in.series_by_key.find(key);
  if (it == in.series_by_key.end()) {
    if (series_ + in.weight > max_series_) {
      ++in.dropped;
      return nullptr;
    }
    series_ += in.weight;
    Series series;
    for (std::string_view label : labels) series.values.push_back(clean_label(label));
    if (in.desc->type == prometheus::MetricType::Histogram)
      series.buckets.resize(in.desc->buckets.size() + 1);
    it = in.series_by_key.emplace(std::move(key), std::move(series)).first;
  }
  it->second.last_ns = now_ns_;
  return &it->second;
}

void SeriesStore::add(FamilyId id, Labels labels, double amount, const Exemplar* exemplar) {
  Family& in = family(id);
  const std::lock_guard lock(in.mutex);
  Series* series = find(in, labels);
  if (!series) return;
  series->value += amount;
  if (exemplar) series->exemplars.assign(1, *exemplar);
}

void SeriesStore::set(FamilyId id, Labels labels, double value) {
  Family& in = family(id);
  const std::lock_guard lock(in.mutex);
  if (Series* series = find(in, labels)) series->value = value;
}

void SeriesStore::observe(FamilyId id, Labels labels, double value, const Exemplar* exemplar) {
  Family& in = family(id);
  const std::lock_guard lock(in.mutex);
  Series* series = find(in, labels);
  if (!series) return;
  const auto bounds = in.desc->buckets;
  const auto bucket = static_cast<size_t>(std::ranges::lower_bound(bounds, value) - bounds.begin());
  ++series->buckets[bucket];
  series->value += value;
  if (exemplar) {
    series->exemplars.resize(series->buckets.size());
    series->exemplars[bucket] = *exemplar;
  }
}

void SeriesStore::merge(FamilyId id, Labels labels, std::span<const uint64_t> counts, double sum) {
  Family& in = family(id);
  const std::lock_guard lock(in.mutex);
  Series* series = find(in, labels);
  if (!series) return;
  LLMTAP_CHECK(counts.size() == series->buckets.size());
  for (size_t i = 0; i < counts.size(); ++i) series->buckets[i] += counts[i];
  series->value += sum;
}

void SeriesStore::expire(std::chrono::nanoseconds ttl) {
  const uint64_t now = now_ns_;
  for (auto& in : families_) {
    const std::lock_guard lock(in->mutex);
    const size_t ended = std::erase_if(in->series_by_key, [&](const auto& entry) {
      const uint64_t last = entry.second.last_ns;
      return now > last && now - last > static_cast<uint64_t>(ttl.count());
    });
    series_ -= ended * in->weight;
  }
}

std::vector<CollectedFamily> SeriesStore::collect() const {
  std::vector<CollectedFamily> collected;
  for (const auto& in : families_) {
    std::vector<Series> all;
    {
      const std::lock_guard lock(in->mutex);
      all.reserve(in->series_by_key.size());
      for (const auto& [key, series] : in->series_by_key) all.push_back(series);
    }
    if (all.empty()) continue;
    std::ranges::sort(all, {}, &Series::values);
    CollectedFamily out;
    out.family.name = in->desc->name;
    out.family.help = in->desc->help;
    out.family.type = in->desc->type;
    for (Series& series : all) {
      prometheus::ClientMetric metric;
      for (size_t i = 0; i < series.values.size(); ++i)
        metric.label.push_back({in->label_names[i], std::move(series.values[i])});
      switch (in->desc->type) {
        case prometheus::MetricType::Counter: metric.counter.value = series.value; break;
        case prometheus::MetricType::Histogram:
          metric.histogram = cumulate(in->desc->buckets, series.buckets, series.value);
          break;
        default: metric.gauge.value = series.value; break;
      }
      out.family.metric.push_back(std::move(metric));
      out.exemplars.push_back(std::move(series.exemplars));
    }
    collected.push_back(std::move(out));
  }
  return collected;
}

std::vector<SeriesStore::Count> SeriesStore::counts() const {
  std::vector<Count> counts;
  for (const auto& in : families_) {
    const std::lock_guard lock(in->mutex);
    counts.push_back({in->desc->name, in->series_by_key.size() * in->weight, in->dropped});
  }
  return counts;
}

}  // namespace llmtap
