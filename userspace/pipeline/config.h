// SPDX-License-Identifier: Apache-2.0
// The configuration: one flat struct, one table that describes every key. Sources, weakest first:
// YAML file, environment (LLMTAP_ + the key in capitals, dots as underscores), command line.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "llmtap/result.h"

namespace llmtap {

// host:port, host without brackets.
struct ListenAddress {
  std::string host = "127.0.0.1";
  uint16_t port = 9464;
  bool operator==(const ListenAddress&) const = default;
};

// A row of the user's own provider table. `host`: exact, ".suffix" (written "*.suffix" too), or "a.*.b";
// `dialect` may be empty: by path and body.
struct ProviderRow {
  std::string host, provider, dialect;
  bool operator==(const ProviderRow&) const = default;
};

// Members are the keys with dots as underscores; the defaults stand in kKeys too, a test holds both equal.
struct Config {
  bool metrics_enabled = true;
  ListenAddress metrics_listen;
  std::string metrics_path = "/metrics";
  bool metrics_genai_names = false;
  uint64_t metrics_max_series = 50'000;
  std::chrono::seconds metrics_series_ttl{24 * 3600};
  bool metrics_exemplars = true;
  std::vector<std::string> metrics_exclude_metrics;
  std::string web_config_file;  // empty: none
  std::string prices_file;      // empty: the shipped table
  bool prices_count_estimated = false;
  std::vector<std::pair<std::string, double>> prices_discounts;  // by provider, 0..1
  double prices_batch_factor = 0.5;
  std::vector<std::pair<std::string, double>> prices_tier_factors;  // "flex", "provider/priority"
  std::string log_level = "info";
  bool log_requests_enabled = true;
  std::string log_requests_file = "-";  // "-": stdout
  std::string log_requests_style = "llmtap";
  std::string log_requests_format = "json";
  std::string otlp_endpoint;  // empty: no export
  std::string otlp_protocol = "grpc";
  bool otlp_insecure = false;
  std::vector<std::pair<std::string, std::string>> otlp_headers;  // secrets: never printed
  bool otlp_traces_enabled = true;
  std::string traces_genai_generation = "new";
  std::string traces_sampler_type = "always";
  double traces_sampler_rate = 0.1;
  bool traces_sampler_keep_errors = true;
  std::chrono::seconds traces_sampler_keep_slower_than{0};  // 0: off
  std::vector<std::string> targets_include;                 // workloads watched whatever their role
  std::vector<std::string> targets_exclude{"kube-system"};
  std::vector<uint16_t> targets_ports;  // empty: all
  uint64_t routes_max_templates = 200;
  uint64_t capture_ring_bytes = 16 << 20;
  uint64_t capture_cpu_share = 0;     // percent of one core; 0: no bound
  uint64_t capture_narrow_share = 5;  // the same
  std::string content_capture = "off";
  bool identity_hash_end_user = true;
  std::vector<std::string> identity_header_map;
  std::vector<ProviderRow> providers;
};

struct ConfigKey {
  // What a value looks like, and where it goes; monostate: the feature is not built yet.
  using Member =
      std::variant<std::monostate, bool Config::*, uint64_t Config::*, double Config::*,
                   std::string Config::*, std::chrono::seconds Config::*, ListenAddress Config::*,
                   std::vector<std::string> Config::*, std::vector<uint16_t> Config::*,
                   std::vector<std::pair<std::string, std::string>> Config::*,
                   std::vector<std::pair<std::string, double>> Config::*, std::vector<ProviderRow> Config::*>;
  std::string_view name;           // <profile> stands for one word
  std::string_view type;           // shown in the reference
  std::string_view default_value;  // as it would be written
  // Comma-separated words, "a..b" for numbers, empty: any of the type. Of a key that is not built yet:
  // the values accepted because they mean off, or what the program does anyway.
  std::string_view valid;
  Member member;
  std::string_view help;
  std::string_view unbuilt_values = {};  // of a built key: values that a later version will take
  bool secret = false;                   // the value is not repeated in errors
  bool built() const { return !std::holds_alternative<std::monostate>(member); }
};

std::span<const ConfigKey> config_keys();

// "metrics.listen" -> "LLMTAP_METRICS_LISTEN".
std::string environment_name(std::string_view key);

// A key set outside the file. `origin` names it in errors: "--listen", "--set".
struct Setting {
  std::string key, value, origin;
};

struct ConfigSources {
  std::string file;                                              // empty: none
  std::vector<std::pair<std::string, std::string>> environment;  // every variable; others are passed over
  std::vector<Setting> settings;                                 // the last one of a key wins
};

Result<Config> load_config(const ConfigSources& sources);

// As load_config, with the file's text at hand; `name` stands for it in errors.
Result<> apply_yaml(Config& config, const std::string& text, const std::string& name);
Result<> apply_environment(Config& config, std::span<const std::pair<std::string, std::string>> environment);
Result<> apply_setting(Config& config, const Setting& setting);

// Every key as a Markdown table: the README's, and `llmtap run --print-config-reference`.
std::string config_reference();

}  // namespace llmtap
