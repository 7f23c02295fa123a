// SPDX-License-Identifier: Apache-2.0
// Every key of the reference: set in the file, by the environment and on the command line, or refused
// in all three because it is not built yet.
#include <gmock/gmock.h>

#include <algorithm>

#include "pipeline/config.h"

namespace llmtap {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAreArray;

enum class Built : uint8_t {
  kYes,
  kOne,  // one value only: what the program does; `value` is one that is not built yet
  kNotYet,
};

struct Key {
  const char* name;
  Built built;
  const char* value;     // not the default
  const char* off = "";  // not built: a value that is accepted, because it means off
};

constexpr Key kReference[] = {
    {"metrics.enabled", Built::kYes, "false"},
    {"metrics.listen", Built::kYes, "0.0.0.0:1234"},
    {"metrics.path", Built::kYes, "/other"},
    {"web.config.file", Built::kYes, "/etc/llmtap/web.yml"},
    {"metrics.genai_names", Built::kYes, "true"},
    {"metrics.exemplars", Built::kYes, "false"},
    {"metrics.exclude_metrics", Built::kYes, "llmtap_series"},
    {"metrics.max_series", Built::kYes, "1000"},
    {"metrics.series_ttl", Built::kYes, "1h"},
    {"identity.hash_end_user", Built::kOne, "false", "true"},
    {"identity.header_map", Built::kYes, "X-My-User,X-Other"},
    {"prices.file", Built::kYes, "/etc/llmtap/prices.json"},
    {"prices.count_estimated", Built::kYes, "true"},
    {"routes.max_templates", Built::kYes, "10"},
    {"content.capture", Built::kOne, "full", "off"},
    {"otlp.endpoint", Built::kYes, "https://collector:4317"},
    {"otlp.protocol", Built::kYes, "http/protobuf"},
    {"otlp.insecure", Built::kYes, "true"},
    {"otlp.headers", Built::kYes, "authorization=Bearer x"},
    {"otlp.traces.enabled", Built::kYes, "false"},
    {"traces.genai_generation", Built::kYes, "old"},
    {"traces.sampler.type", Built::kYes, "probability"},
    {"traces.sampler.rate", Built::kYes, "0.25"},
    {"traces.sampler.keep_errors", Built::kYes, "false"},
    {"traces.sampler.keep_slower_than", Built::kYes, "2s"},
    {"log.level", Built::kYes, "debug"},
    {"log.requests.enabled", Built::kYes, "false"},
    {"log.requests.file", Built::kYes, "/var/log/calls.json"},
    {"log.requests.style", Built::kOne, "relay", "llmtap"},
    {"targets.include", Built::kYes, "a,b"},
    {"targets.exclude", Built::kYes, "1234,postgres"},
    {"targets.ports", Built::kYes, "80,11434"},
    {"capture.ring_bytes", Built::kYes, "32MiB"},
    {"capture.cpu_share", Built::kYes, "25"},
    {"capture.narrow_share", Built::kYes, "7"},

    {"enabled", Built::kNotYet, "false", "true"},
    {"memory.max_bytes", Built::kNotYet, "100", "0"},
    {"metrics.native_histograms", Built::kNotYet, "true", "false"},
    {"metrics.config", Built::kNotYet, "x"},
    {"metrics.exclude_labels", Built::kNotYet, "x"},
    {"compat.<profile>.mode", Built::kNotYet, "on", "off"},
    {"compat.<profile>.workloads", Built::kNotYet, "x"},
    {"compat.merge", Built::kNotYet, "true", "false"},
    {"compat.relay.label_style", Built::kNotYet, "documented"},
    {"compat.litellm.schema", Built::kNotYet, "newest"},
    {"compat.litellm.buckets", Built::kNotYet, "current"},
    {"compat.litellm.include_labels", Built::kNotYet, "all"},
    {"compat.litellm.org_labels", Built::kNotYet, "true", "false"},
    {"compat.litellm.end_user", Built::kNotYet, "true", "false"},
    {"compat.litellm.stream_label", Built::kNotYet, "true", "false"},
    {"compat.litellm.caller_identity", Built::kNotYet, "api_key_alias"},
    {"compat.litellm.custom_metadata_labels", Built::kNotYet, "x"},
    {"compat.litellm.custom_tags", Built::kNotYet, "x"},
    {"compat.litellm.count_401", Built::kNotYet, "true", "false"},
    {"identity.mapping_file", Built::kNotYet, "/x"},
    {"identity.labels", Built::kNotYet, "team"},
    {"identity.max_series", Built::kNotYet, "2000"},
    {"identity.end_user_ttl", Built::kNotYet, "1h"},
    {"prices.discounts", Built::kYes, "openai=0.1, aws.bedrock = 0.05"},
    {"prices.batch_factor", Built::kYes, "0.4"},
    {"prices.tier_factors", Built::kYes, "flex=0.5,openai/priority=2"},
    {"routes.file", Built::kNotYet, "/x"},
    {"events.rules", Built::kNotYet, "x"},
    {"stores.postgres", Built::kNotYet, "timing", "off"},
    {"stores.redis", Built::kNotYet, "timing", "off"},
    {"pii.mode", Built::kNotYet, "placeholders", "off"},
    {"pii.detectors", Built::kNotYet, "email"},
    {"pii.placeholders", Built::kNotYet, "x"},
    {"content.max_bytes", Built::kNotYet, "8192"},
    {"content.redact", Built::kNotYet, "false", "true"},
    {"stderr.exceptions", Built::kNotYet, "on", "off"},
    {"hang.threshold_seconds", Built::kNotYet, "60"},
    {"backend.window_seconds", Built::kNotYet, "60"},
    {"backend.partial_ratio", Built::kNotYet, "0.05"},
    {"backend.down_ratio", Built::kNotYet, "0.5"},
    {"backend.min_requests", Built::kNotYet, "5"},
    {"backend.cooldown_seconds", Built::kNotYet, "5"},
    {"budget.stale_after", Built::kNotYet, "1h"},
    {"conversations.ttl", Built::kNotYet, "24h"},
    {"conversations.max", Built::kNotYet, "50000"},
    {"gpu.source", Built::kNotYet, "nvml", "off"},
    {"gpu.interval", Built::kNotYet, "10s"},
    {"otlp.metrics.enabled", Built::kNotYet, "true", "false"},
    {"otlp.logs.enabled", Built::kNotYet, "true", "false"},
    {"traces.exporter.type", Built::kNotYet, "stdout", "otlp"},
    {"traces.style", Built::kNotYet, "gogateway", "otel"},
    {"traces.phases", Built::kNotYet, "spans"},
    {"traces.service_names", Built::kNotYet, "x"},
    {"traces.compat_attributes", Built::kNotYet, "x"},
    {"log.requests.logger_name", Built::kNotYet, "x"},
    {"notify", Built::kNotYet, "slack", "off"},
};

std::string written(const Key& key) {
  std::string name = key.name;
  if (const size_t open = name.find("<profile>"); open != std::string::npos) name.replace(open, 9, "litellm");
  return name;
}

// From one source; the others are empty.
struct Source {
  const char* name;
  Result<> (*set)(Config&, const std::string& key, const std::string& value);
};
constexpr Source kSources[] = {
    {"file",
     [](Config& config, const std::string& key, const std::string& value) {
       return apply_yaml(config, key + ": \"" + value + "\"\n", "test.yaml");
     }},
    {"environment",
     [](Config& config, const std::string& key, const std::string& value) {
       const std::vector<std::pair<std::string, std::string>> environment{{environment_name(key), value}};
       return apply_environment(config, environment);
     }},
    {"command line", [](Config& config, const std::string& key,
                        const std::string& value) { return apply_setting(config, {key, value, "--set"}); }},
};

const ConfigKey& described(const Key& key) {
  return *std::ranges::find(config_keys(), std::string_view(key.name), &ConfigKey::name);
}

bool differs_from_default(const Config& config, const Key& key) {
  const Config fresh;
  return std::visit(
      [&](auto member) {
        if constexpr (std::is_same_v<decltype(member), std::monostate>)
          return false;
        else
          return !(config.*member == fresh.*member);
      },
      described(key).member);
}

class ConfigKeyTest : public ::testing::TestWithParam<Key> {};

TEST_P(ConfigKeyTest, IsSetOrRefusedByEverySource) {
  const Key& key = GetParam();
  for (const Source& source : kSources) {
    Config config;
    const auto set = source.set(config, written(key), key.value);
    if (key.built == Built::kYes) {
      ASSERT_TRUE(set.has_value()) << source.name << ": " << set.error().message;
      EXPECT_TRUE(differs_from_default(config, key)) << source.name;
      continue;
    }
    ASSERT_FALSE(set.has_value()) << source.name;
    EXPECT_THAT(set.error().message, HasSubstr("not built yet")) << source.name;
    EXPECT_FALSE(differs_from_default(config, key)) << source.name;
    if (*key.off == '\0') continue;
    const auto off = source.set(config, written(key), key.off);
    EXPECT_TRUE(off.has_value()) << source.name << ": " << off.error().message;
  }
}

INSTANTIATE_TEST_SUITE_P(Reference, ConfigKeyTest, ::testing::ValuesIn(kReference), [](const auto& test) {
  std::string name = test.param.name;
  std::ranges::replace_if(name, [](char c) { return !isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
});

TEST(ConfigKeyTable, HoldsEveryKey) {
  std::vector<std::string> here{"log.requests.format", "providers"};  // one value; the file only: ConfigYaml
  for (const Key& key : kReference) here.emplace_back(key.name);
  std::vector<std::string> there;
  for (const ConfigKey& key : config_keys()) there.emplace_back(key.name);
  EXPECT_THAT(there, UnorderedElementsAreArray(here));
}

}  // namespace
}  // namespace llmtap
