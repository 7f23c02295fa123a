// SPDX-License-Identifier: Apache-2.0
#include "capture/exclusion.h"

#include <algorithm>
#include <string_view>

namespace llmtap {
namespace {

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// "/a/b" is below "/a", not below "/a/bc" or "/".
bool is_below(std::string_view path, std::string_view folder) {
  while (folder.size() > 1 && folder.ends_with('/')) folder.remove_suffix(1);
  return folder.size() > 1 && path.starts_with(folder) &&
         (path.size() == folder.size() || path[folder.size()] == '/');
}

bool has_part(std::string_view path, std::string_view part) {
  while (!path.empty()) {
    const size_t end = std::min(path.find('/'), path.size());
    if (path.substr(0, end) == part) return true;
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return false;
}

}  // namespace

bool Exclusion::matches(const ProcessFacts& facts) const {
  const std::string_view program = std::string_view(facts.exe).substr(facts.exe.rfind('/') + 1);
  return std::ranges::any_of(names_, [&](const std::string& name) {
    if (name.empty()) return false;
    if (is_number(name)) return name == std::to_string(facts.key.tgid);
    if (name.starts_with('/')) return facts.exe == name || is_below(facts.cgroup, name);
    return name == facts.workload || name == program || name == facts.comm || name == facts.unit ||
           (!facts.unit.empty() && name + ".service" == facts.unit) || has_part(facts.cgroup, name);
  });
}

}  // namespace llmtap
