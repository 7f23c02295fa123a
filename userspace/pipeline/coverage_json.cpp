// SPDX-License-Identifier: Apache-2.0
#include "pipeline/coverage_json.h"

#include <nlohmann/json.hpp>

namespace llmtap {

using Json = nlohmann::ordered_json;

std::string coverage_json(const Coverage& coverage) {
  Json document;
  document["libraries"] = Json::array();
  for (const AttachTarget& target : coverage.targets)
    document["libraries"].push_back({{"runtime", target.runtime},
                                     {"path", target.path},
                                     {"processes", target.processes},
                                     {"attached", target.attached},
                                     {"sampled", target.sampled},
                                     {"own_links", target.own_links}});
  document["unfollowed_seconds"] = std::chrono::duration<double>(coverage.unfollowed).count();
  // Paths are bytes, not always UTF-8: such bytes become U+FFFD.
  return document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<HookedLibraries> parse_coverage_json(std::string_view text) {
  const Json document = Json::parse(text, nullptr, false);
  const auto libraries = document.is_object() ? document.find("libraries") : document.end();
  if (!document.is_object() || libraries == document.end() || !libraries->is_array())
    return Error{"the answer is no list of libraries"};
  HookedLibraries result;
  for (const Json& entry : *libraries) {
    if (!entry.is_object()) return Error{"the answer is no list of libraries"};
    const auto text_of = [&](const char* name) {
      const auto found = entry.find(name);
      return found != entry.end() && found->is_string() ? found->get<std::string>() : std::string();
    };
    const auto count_of = [&](const char* name) {
      const auto found = entry.find(name);
      return found != entry.end() && found->is_number_unsigned() ? found->get<size_t>() : size_t{0};
    };
    const auto sampled = entry.find("sampled");
    result.libraries.push_back({.runtime = text_of("runtime"),
                                .path = text_of("path"),
                                .processes = count_of("processes"),
                                .sampled = sampled != entry.end() && *sampled == true,
                                .own_links = count_of("own_links")});
  }
  const auto seconds = document.find("unfollowed_seconds");
  if (seconds != document.end() && seconds->is_number()) result.unfollowed_seconds = seconds->get<double>();
  return result;
}

}  // namespace llmtap
