// SPDX-License-Identifier: Apache-2.0
#include "pipeline/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

namespace llmtap {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

Config from_yaml(const std::string& text) {
  Config config;
  const auto result = apply_yaml(config, text, "test.yaml");
  EXPECT_TRUE(result.has_value()) << result.error().message;
  return config;
}

std::string yaml_error(const std::string& text) {
  Config config;
  const auto result = apply_yaml(config, text, "test.yaml");
  return result ? "no error" : result.error().message;
}

std::string yaml_hint(const std::string& text) {
  Config config;
  const auto result = apply_yaml(config, text, "test.yaml");
  return result ? "no error" : result.error().hint;
}

Error env_error(const std::string& name, const std::string& value) {
  Config config;
  const std::vector<std::pair<std::string, std::string>> environment{{name, value}};
  const auto result = apply_environment(config, environment);
  return result ? Error{"no error", ""} : result.error();
}

std::string setting_error(const std::string& key, const std::string& value) {
  Config config;
  const auto result = apply_setting(config, {key, value, "--set"});
  return result ? "no error" : result.error().message;
}

class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& text) {
    const int fd = ::mkstemp(path_.data());
    if (fd >= 0) ::close(fd);
    std::ofstream(path_) << text;
  }
  ~TemporaryFile() { ::unlink(path_.c_str()); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_ = ::testing::TempDir() + "/llmtap_config_XXXXXX";
};

TEST(ConfigKeys, EveryDefaultInTheTableIsTheOneInTheStruct) {
  const Config fresh;
  for (const ConfigKey& key : config_keys()) {
    if (!key.built() || key.type == "rows") continue;
    Config config;
    const auto result =
        apply_setting(config, {std::string(key.name), std::string(key.default_value), "test"});
    ASSERT_TRUE(result.has_value()) << result.error().message;
    std::visit(
        [&](auto member) {
          if constexpr (!std::is_same_v<decltype(member), std::monostate>) {
            EXPECT_TRUE(config.*member == fresh.*member) << key.name;
          }
        },
        key.member);
  }
}

TEST(ConfigKeys, NoTwoHaveTheSameNameOrVariable) {
  std::vector<std::string> names;
  for (const ConfigKey& key : config_keys()) names.push_back(environment_name(key.name));
  std::ranges::sort(names);
  EXPECT_EQ(std::ranges::adjacent_find(names), names.end());
}

TEST(ConfigKeys, TheReferenceNamesEveryKey) {
  const std::string reference = config_reference();
  for (const ConfigKey& key : config_keys())
    EXPECT_THAT(reference, HasSubstr("`" + std::string(key.name) + "`"));
  EXPECT_THAT(reference, HasSubstr("`LLMTAP_METRICS_LISTEN`"));
}

TEST(ConfigYaml, ReadsEveryKindOfValue) {
  const Config config = from_yaml(R"(
metrics:
  enabled: false
  listen: "[::1]:1234"
  series_ttl: 1h30m
  max_series: 1000
otlp.endpoint: https://collector:4317   # dotted keys and maps mix
otlp:
  headers: {authorization: "Bearer x", X-Scope: a b}
targets:
  include: [team-a, team-b]
  exclude: []
  ports: [80, 11434]
capture: {ring_bytes: 32MiB}
providers:
  - {host: "*.llm.corp.example", provider: corp, dialect: openai_chat}
  - host: 10.0.0.7:8000
    provider: vllm
)");
  EXPECT_FALSE(config.metrics_enabled);
  EXPECT_EQ(config.metrics_listen, (ListenAddress{"::1", 1234}));
  EXPECT_EQ(config.metrics_series_ttl, std::chrono::seconds(5400));
  EXPECT_EQ(config.metrics_max_series, 1000u);
  EXPECT_EQ(config.otlp_endpoint, "https://collector:4317");
  EXPECT_THAT(config.otlp_headers,
              ElementsAre(std::pair<std::string, std::string>("authorization", "Bearer x"),
                          std::pair<std::string, std::string>("X-Scope", "a b")));
  EXPECT_THAT(config.targets_include, ElementsAre("team-a", "team-b"));
  EXPECT_THAT(config.targets_exclude, IsEmpty());
  EXPECT_THAT(config.targets_ports, ElementsAre(80, 11434));
  EXPECT_EQ(config.capture_ring_bytes, 32u << 20);
  EXPECT_THAT(config.providers, ElementsAre(ProviderRow{".llm.corp.example", "corp", "openai_chat"},
                                            ProviderRow{"10.0.0.7:8000", "vllm", ""}));
}

TEST(ConfigYaml, NothingInItIsNoError) {
  for (const char* text : {"", "\n", "# only a comment\n", "---\n", "metrics:\n  # listen: x\n", "{}"})
    EXPECT_EQ(yaml_error(text), "no error") << text;
}

TEST(ConfigYaml, EveryErrorSaysWhereWhatAndWhatIsValid) {
  EXPECT_EQ(yaml_error("log:\n  level: loud\n"),
            "test.yaml:2:10: log.level: \"loud\" is not valid: expected one of trace, debug, info, warn, "
            "error, off");
  EXPECT_EQ(yaml_error("metrics:\n  enabled: yes\n"),
            "test.yaml:2:12: metrics.enabled: \"yes\" is not valid: expected true or false");
  EXPECT_EQ(yaml_error("metrics: {max_series: -1}"),
            "test.yaml:1:23: metrics.max_series: \"-1\" is not valid: expected a number in 100..10000000");
  EXPECT_THAT(yaml_error("metrics.series_ttl: 24"),
              HasSubstr("\"24\" is not valid: expected a duration with a unit"));
  EXPECT_THAT(yaml_error("capture.ring_bytes: 3MiB"),
              HasSubstr("\"3MiB\" is not valid: expected a power of two"));
  EXPECT_THAT(yaml_error("metrics.listen: 9464"), HasSubstr("expected an IP address and a port"));
  EXPECT_THAT(yaml_error("metrics.listen: [a, b]"), HasSubstr("[a, b] is not valid: expected one address"));
  EXPECT_THAT(yaml_error("targets.ports: [80, 0]"),
              HasSubstr("[80, 0] is not valid: expected `all` or a list of ports"));
  EXPECT_THAT(yaml_error("targets.include: {a: b}"), HasSubstr("a map is not valid: expected a list"));
  EXPECT_THAT(yaml_error("targets.include: [[a]]"), HasSubstr("line 1: expected a plain value"));
  EXPECT_THAT(yaml_error("metrics.path: metrics"), HasSubstr("expected a path that begins with /"));
  EXPECT_THAT(yaml_error("metrics.path: /healthz"), HasSubstr("the server does not use itself"));
  EXPECT_THAT(yaml_error("otlp.endpoint: ftp://x"), HasSubstr("expected http://, https://, or host:port"));
  EXPECT_THAT(yaml_error("traces: {sampler: {rate: 1.5}}"),
              HasSubstr("traces.sampler.rate: \"1.5\" is not valid: expected a number in 0..1"));
  EXPECT_THAT(yaml_error("traces.sampler.rate: -0.1"), HasSubstr("expected a number in 0..1"));
  EXPECT_THAT(yaml_error("traces.sampler.rate: 10%"), HasSubstr("expected a number in 0..1"));
  EXPECT_THAT(yaml_error("traces.sampler.type: ratio"),
              HasSubstr("\"ratio\" is not valid: expected one of always, never, probability"));
  EXPECT_THAT(yaml_error("traces.sampler.keep_slower_than: 2"), HasSubstr("a duration with a unit"));
  EXPECT_THAT(yaml_error("prices.batch_factor: half"), HasSubstr("expected a number in 0..100"));
  EXPECT_THAT(yaml_error("prices.batch_factor: nan"), HasSubstr("expected a number in 0..100"));
  EXPECT_THAT(yaml_error("prices.discounts: {openai: 5}"),
              HasSubstr("\"openai\": expected a number in 0..1"));
  EXPECT_THAT(yaml_error("prices.discounts: {OpenAI: 0.5}"), HasSubstr("expected a provider's name"));
  EXPECT_THAT(yaml_error("prices.tier_factors: {fast: 2}"), HasSubstr("expected flex, priority, or one"));
  EXPECT_THAT(yaml_error("providers: corp"), HasSubstr("expected a list of {host, provider, dialect}"));
  EXPECT_THAT(yaml_error("providers: [{host: a.b, provider: Corp}]"), HasSubstr("provider \"Corp\""));
  EXPECT_THAT(yaml_error("providers: [{host: a.b, name: corp}]"), HasSubstr("unknown field \"name\""));
  EXPECT_THAT(yaml_error("metrics:\n  listen:\n"), StartsWith("test.yaml:2:3: metrics.listen: has no value"));
  EXPECT_THAT(yaml_error("metrics: true"), StartsWith("test.yaml:1:1: metrics: is a section of keys"));
}

TEST(ConfigYaml, NamesTheNearestKey) {
  EXPECT_EQ(yaml_error("metrics:\n  lisen: x\n"), "test.yaml:2:3: unknown key \"metrics.lisen\"");
  EXPECT_THAT(yaml_hint("metrics:\n  lisen: x\n"), StartsWith("did you mean metrics.listen?"));
  EXPECT_THAT(yaml_hint("listen: x"), StartsWith("did you mean metrics.listen?"));
  EXPECT_THAT(yaml_hint("completely_other_thing_here: 1"), StartsWith("all keys:"));
}

TEST(ConfigYaml, RefusesWhatIsNotBuiltYetUnlessItIsOff) {
  EXPECT_EQ(yaml_error("stores.postgres: decode"),
            "test.yaml:1:18: stores.postgres: \"decode\": not built yet; leave it out, or set it to off");
  EXPECT_EQ(yaml_error("stores.postgres: off"), "no error");
  EXPECT_EQ(yaml_error("compat: {litellm: {mode: off}}"), "no error");
  EXPECT_THAT(yaml_error("compat: {litellm: {mode: exclusive}}"),
              HasSubstr("compat.litellm.mode: \"exclusive\": not built yet"));
  EXPECT_THAT(yaml_error("compat: {relay: {label_style: shipped}}"),
              HasSubstr("not built yet; leave it out"));
  EXPECT_THAT(yaml_error("log.requests.style: relay"), HasSubstr("\"relay\": not built yet; valid: llmtap"));
  EXPECT_THAT(yaml_error("content.capture: full"), HasSubstr("not built yet; valid: off"));
  EXPECT_THAT(yaml_error("identity.hash_end_user: false"), HasSubstr("not built yet; valid: true"));
  EXPECT_EQ(yaml_error("enabled: true"), "no error");
}

TEST(ConfigYaml, RefusesAKeyThatStandsTwice) {
  EXPECT_EQ(yaml_error("metrics:\n  path: /a\n  path: /b\n"),
            "test.yaml:3:3: metrics.path: is set twice, first at test.yaml:2:3");
  EXPECT_THAT(yaml_error("metrics: {path: /a}\nmetrics.path: /b\n"), HasSubstr("metrics.path: is set twice"));
}

TEST(ConfigYaml, SaysWhereItIsNotYaml) {
  EXPECT_THAT(yaml_error("metrics:\n\tlisten: x\n"), StartsWith("test.yaml:2: a tab in the indentation"));
  EXPECT_THAT(yaml_error("metrics: {"), AllOf(StartsWith("test.yaml:"), HasSubstr("is not YAML")));
  EXPECT_THAT(yaml_error("metrics: [\n  a: b: c\n"), HasSubstr("is not YAML"));
  EXPECT_THAT(yaml_error("just words"), HasSubstr("expected `key: value` lines"));
  EXPECT_THAT(yaml_error("- a\n- b\n"), HasSubstr("expected `key: value` lines"));
  EXPECT_THAT(yaml_error("a: 1\n---\nb: 2\n"), HasSubstr("several YAML documents"));
  for (const char* comma : {",", ",t,r ", "a: 1\n, b: 2\n", "- ,\n", ", ---\n"})
    EXPECT_NE(yaml_error(comma), "no error") << comma;  // and it ends
  EXPECT_THAT(yaml_error(std::string("a\0b", 3)), HasSubstr("NUL"));
  EXPECT_THAT(yaml_error("? [a]\n: b\n"), HasSubstr("a key must be a word"));
}

TEST(ConfigYaml, SurvivesDepthAndSelfReference) {
  EXPECT_NE(yaml_error(std::string(100'000, '[')), "no error");
  EXPECT_NE(yaml_error("metrics: &a\n  metrics: *a\n"), "no error");
}

TEST(ConfigYaml, NeverRepeatsASecret) {
  const std::string error = yaml_error("otlp.headers: \"hunter2 without equals\"");
  EXPECT_THAT(error, HasSubstr("the value (not shown) is not valid"));
  EXPECT_THAT(error, Not(HasSubstr("hunter2")));
}

TEST(ConfigYaml, ShowsHostileValuesHarmlessAndShort) {
  const std::string error = yaml_error("log.level: \"\\x1b[2J" + std::string(5000, 'x') + "\"");
  EXPECT_EQ(error.find('\x1b'), std::string::npos);
  EXPECT_LT(error.size(), 500u);
}

TEST(ConfigEnvironment, SetsKeysAndPassesOverOthers) {
  Config config;
  const std::vector<std::pair<std::string, std::string>> environment{
      {"PATH", "/bin"},
      {"LLMTAP_METRICS_LISTEN", "fd00::7:9464"},
      {"LLMTAP_TARGETS_INCLUDE", "a, b"},
      {"LLMTAP_OTLP_HEADERS", "authorization=Bearer x,x-b=c=d"},
      {"LLMTAP_PRICES_FILE", ""},
      {"LOG_FORMAT", "json"},
      {"LLMTAP_UPDATE_GOLDEN", "1"}};
  const auto result = apply_environment(config, environment);
  ASSERT_TRUE(result.has_value()) << result.error().message;
  EXPECT_EQ(config.metrics_listen, (ListenAddress{"fd00::7", 9464}))
      << "a pod's IPv6 address has no brackets";
  EXPECT_THAT(config.targets_include, ElementsAre("a", "b"));
  EXPECT_THAT(config.otlp_headers,
              ElementsAre(std::pair<std::string, std::string>("authorization", "Bearer x"),
                          std::pair<std::string, std::string>("x-b", "c=d")));
}

TEST(ConfigEnvironment, NamesTheVariableAndTheKey) {
  EXPECT_EQ(env_error("LLMTAP_LOG_LEVEL", "loud").message,
            "environment LLMTAP_LOG_LEVEL: log.level: \"loud\" is not valid: "
            "expected one of trace, debug, info, warn, error, off");
  EXPECT_EQ(env_error("LLMTAP_METRICS_LISTN", "x").message,
            "environment LLMTAP_METRICS_LISTN: no key has this name");
  EXPECT_THAT(env_error("LLMTAP_METRICS_LISTN", "x").hint, StartsWith("did you mean LLMTAP_METRICS_LISTEN?"));
  EXPECT_THAT(env_error("LLMTAP_STORES_REDIS", "decode").message, HasSubstr("not built yet"));
  EXPECT_THAT(env_error("LLMTAP_COMPAT_LITELLM_MODE", "exclusive").message, HasSubstr("not built yet"));
  EXPECT_THAT(env_error("LLMTAP_PROVIDERS", "x").message, HasSubstr("in the file only"));
  EXPECT_THAT(env_error("LOG_FORMAT", "text").message,
              StartsWith("environment LOG_FORMAT: log.requests.format:"));
}

// A Service named llmtap in the namespace must not keep the daemon from starting.
TEST(ConfigEnvironment, PassesOverServiceLinksOfKubernetes) {
  for (const auto& [name, value] : std::initializer_list<std::pair<const char*, const char*>>{
           {"LLMTAP_SERVICE_HOST", "10.0.0.1"},
           {"LLMTAP_SERVICE_PORT", "9464"},
           {"LLMTAP_SERVICE_PORT_METRICS", "9464"},
           {"LLMTAP_PORT", "tcp://10.0.0.1:9464"},
           {"LLMTAP_PORT_9464_TCP", "tcp://10.0.0.1:9464"},
           {"LLMTAP_PORT_9464_TCP_ADDR", "10.0.0.1"},
           {"LLMTAP_METRICS_SERVICE_HOST", "10.0.0.1"}})
    EXPECT_EQ(env_error(name, value).message, "no error") << name;
}

TEST(ConfigSetting, ChecksAddresses) {
  for (const char* good : {"127.0.0.1:0", "0.0.0.0:65535", "[::]:1", "localhost:9464", ":9464", "::1:9464"})
    EXPECT_EQ(setting_error("metrics.listen", good), "no error") << good;
  for (const char* bad :
       {"", ":", "1.2.3.4", "1.2.3.4:65536", "1.2.3.4:", "1.2.3.4:x", "host.name:1", "[::1:1", "1.2.3:1"})
    EXPECT_NE(setting_error("metrics.listen", bad), "no error") << bad;
}

TEST(ConfigSetting, ChecksDurationsAndBytesWithoutOverflow) {
  EXPECT_EQ(setting_error("metrics.series_ttl", "7d"), "no error");
  for (const char* bad : {"", "h", "1", "1x", "1h-", "99999999999999999999h", "9999999999999999h", "1s"})
    EXPECT_NE(setting_error("metrics.series_ttl", bad), "no error") << bad;
  for (const char* bad : {"", "MiB", "16MB", "99999999999GiB", "17179869185GiB", "0", "-1"})
    EXPECT_NE(setting_error("capture.ring_bytes", bad), "no error") << bad;
}

TEST(LoadConfig, StrongerSourcesWin) {
  const TemporaryFile file("log.level: warn\nmetrics:\n  path: /file\n  max_series: 111\n");
  const ConfigSources sources{file.path(),
                              {{"LLMTAP_LOG_LEVEL", "debug"}, {"LLMTAP_METRICS_PATH", "/env"}},
                              {{"log.level", "trace", "--set"}, {"log.level", "error", "--set"}}};
  const auto config = load_config(sources);
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_EQ(config->metrics_max_series, 111u);
  EXPECT_EQ(config->metrics_path, "/env");
  EXPECT_EQ(config->log_level, "error");
}

TEST(LoadConfig, SaysWhyAFileCannotBeRead) {
  const auto missing = load_config({"/nowhere/llmtap.yaml", {}, {}});
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().message, "/nowhere/llmtap.yaml: No such file or directory");
  const auto directory = load_config({"/", {}, {}});
  ASSERT_FALSE(directory.has_value());
  EXPECT_THAT(directory.error().message, HasSubstr("cannot be read"));
  const TemporaryFile large("# " + std::string(2 << 20, 'x'));
  const auto too_large = load_config({large.path(), {}, {}});
  ASSERT_FALSE(too_large.has_value());
  EXPECT_THAT(too_large.error().message, HasSubstr("larger than 1 MiB"));
}

}  // namespace
}  // namespace llmtap
