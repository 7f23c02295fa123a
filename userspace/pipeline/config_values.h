// SPDX-License-Identifier: Apache-2.0
// One value of the configuration, wherever it came from, and how it reaches its member.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pipeline/config.h"

namespace llmtap {

struct ConfigValue {
  enum class Shape { kText, kList, kMap, kRows };
  Shape shape = Shape::kText;
  std::string text;
  std::vector<std::string> list;
  std::vector<std::pair<std::string, std::string>> map;
  std::vector<std::vector<std::pair<std::string, std::string>>> rows;

  static ConfigValue of(std::string text);
  std::string shown() const;  // for errors, bounded and printable
};

// Nothing when done; else the rest of a sentence that begins with the key:
// `"loud" is not valid: expected one of trace, debug, …`.
std::optional<std::string> assign(Config& config, const ConfigKey& key, const ConfigValue& value);

// The key of that name (with <profile> filled in), or null.
const ConfigKey* find_config_key(std::string_view name);
// `did you mean metrics.listen?`, or empty when nothing is near.
std::string nearest_config_key(std::string_view name);

}  // namespace llmtap
