// SPDX-License-Identifier: Apache-2.0
#include "sinks/label_caps.h"

namespace llmtap {

std::string clean_label(std::string_view value) {
  std::string clean(value.substr(0, kLabelBytes));
  for (char& c : clean)
    if (c < 0x20 || c > 0x7e) c = '_';
  return clean;
}

std::string_view LabelCaps::admit(std::string_view kind, std::string_view scope, std::string_view value,
                                  size_t cap, uint64_t now_ns, bool may_enter) {
  // Cut names would collide: too long a value is nobody's name.
  if (value.size() > kLabelBytes) return kOtherLabel;
  const std::string clean = clean_label(value);
  std::string key(kind);
  key += '\n';
  key += scope;
  auto group = last_seen_by_value_by_scope_.find(key);
  if (group != last_seen_by_value_by_scope_.end()) {
    if (auto known = group->second.find(clean); known != group->second.end()) {
      known->second = now_ns;
      return known->first;
    }
  }
  if (!may_enter) return kOtherLabel;
  if (group == last_seen_by_value_by_scope_.end()) {
    if (last_seen_by_value_by_scope_.size() >= max_scopes_) return kOtherLabel;
    group = last_seen_by_value_by_scope_.try_emplace(std::move(key)).first;
  }
  if (group->second.size() >= cap) return kOtherLabel;
  return group->second.emplace(clean, now_ns).first->first;
}

void LabelCaps::expire(uint64_t now_ns) {
  const auto ttl = static_cast<uint64_t>(ttl_.count());
  auto& scopes = last_seen_by_value_by_scope_;
  for (auto scope = scopes.begin(); scope != scopes.end();) {
    std::erase_if(scope->second,
                  [&](const auto& value) { return now_ns > value.second && now_ns - value.second > ttl; });
    scope = scope->second.empty() ? scopes.erase(scope) : std::next(scope);
  }
}

}  // namespace llmtap
