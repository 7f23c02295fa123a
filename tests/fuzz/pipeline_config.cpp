// SPDX-License-Identifier: Apache-2.0
// First byte: 0 the rest is a configuration file, else the number of a key, and the rest is its value.
// Oracle: what is refused is said in one short, printable line that names its source, and what is written
// twice the same is taken twice the same; a value is taken or refused alike from the environment, the
// command line and a file, with the same effect.
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "pipeline/config.h"

namespace {

using namespace llmtap;

void check_error(const Error& error, const std::string& source) {
  LLMTAP_CHECK(error.message.starts_with(source) && error.message.size() < 2048);
  for (const char c : error.message) LLMTAP_CHECK(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
}

bool same(const Config& a, const Config& b) {
  for (const ConfigKey& key : config_keys()) {
    const bool equal = std::visit(
        [&](auto member) {
          if constexpr (std::is_same_v<decltype(member), std::monostate>)
            return true;
          else
            return a.*member == b.*member;
        },
        key.member);
    if (!equal) return false;
  }
  return true;
}

void check_file(const std::string& text) {
  Config once, again;
  const auto first = apply_yaml(once, text, "llmtap.yaml");
  const auto second = apply_yaml(again, text, "llmtap.yaml");
  LLMTAP_CHECK(first.has_value() == second.has_value() && same(once, again));
  if (!first) {
    check_error(first.error(), "llmtap.yaml");
    LLMTAP_CHECK(first.error().message == second.error().message);
    return;
  }
  // What a file says does not depend on what was said before it.
  LLMTAP_CHECK(apply_yaml(again, text, "llmtap.yaml").has_value() && same(once, again));
}

void check_value(const ConfigKey& key, const std::string& value) {
  std::string name(key.name);
  if (const size_t open = name.find('<'); open != std::string::npos)
    name.replace(open, name.find('>') - open + 1, "word");
  Config by_setting, by_environment, by_file;
  const auto setting = apply_setting(by_setting, {name, value, "--set"});
  if (!setting) check_error(setting.error(), "--set");
  const std::pair<std::string, std::string> variable{environment_name(name), value};
  const auto environment = apply_environment(by_environment, {&variable, 1});
  LLMTAP_CHECK(setting.has_value() == environment.has_value() && same(by_setting, by_environment));
  if (!environment) check_error(environment.error(), "environment " + variable.first);
  // A text in double quotes is the same in JSON and in YAML, but for what YAML does not let stand in a file.
  for (const char c : value)
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) return;
  const std::string line = name + ": " + nlohmann::json(value).dump() + "\n";
  const auto file = apply_yaml(by_file, line, "llmtap.yaml");
  LLMTAP_CHECK(file.has_value() == setting.has_value() && same(by_file, by_setting));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1 || size > 65536) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] == 0)
    check_file(text);
  else
    check_value(config_keys()[data[0] % config_keys().size()], text);
  return 0;
}
