// SPDX-License-Identifier: Apache-2.0
#include "pipeline/options.h"

namespace llmtap {

namespace {

HostRule host_rule(const ProviderRow& row) {
  HostRule rule;
  rule.host = split_port(row.host, rule.port);
  rule.provider = row.provider;
  rule.dialect = dialect_named(row.dialect).value_or(Dialect::kNone);
  return rule;
}

}  // namespace

CallTrackerOptions tracker_options(const Config& config) {
  CallTrackerOptions options;
  for (const ProviderRow& row : config.providers) options.hosts.push_back(host_rule(row));
  options.count_estimated_cost = config.prices_count_estimated;
  options.prices = {.batch_factor = config.prices_batch_factor,
                    .tier_factors = config.prices_tier_factors,
                    .discounts = config.prices_discounts};
  options.watched_workloads = config.targets_include;
  for (std::string name : config.identity_header_map) {
    for (char& c : name)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    options.end_user_headers.push_back(std::move(name));
  }
  return options;
}

Limits limits_of(const Config& config) {
  Limits limits;
  limits.series = config.metrics_max_series;
  limits.routes_per_workload = config.routes_max_templates;
  return limits;
}

Result<std::shared_ptr<const PriceTable>> load_prices(const Config& config) {
  if (config.prices_file.empty()) return PriceTable::builtin();
  return PriceTable::load(config.prices_file);
}

}  // namespace llmtap
