// SPDX-License-Identifier: Apache-2.0
// Bounds the values of labels that come from the wire: per scope, the first `cap` distinct values
// keep their name, later ones become "other" until an old one has been idle for the time to live.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

namespace llmtap {

inline constexpr std::string_view kOtherLabel = "other";
inline constexpr size_t kLabelBytes = 128;

struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
template <typename Value>
using StringMap = std::unordered_map<std::string, Value, StringHash, std::equal_to<>>;

// Printable ASCII, at most kLabelBytes; other bytes become '_'.
std::string clean_label(std::string_view value);

// For the core thread alone.
class LabelCaps {
 public:
  // `scopes`: distinct (kind, scope) pairs kept; beyond it every value of a new scope is "other".
  explicit LabelCaps(std::chrono::nanoseconds ttl, size_t scopes = 8192) : ttl_(ttl), max_scopes_(scopes) {}

  // The cleaned value, or "other". `may_enter` false: only a value that is already there keeps its
  // name. Valid until the next call of expire().
  std::string_view admit(std::string_view kind, std::string_view scope, std::string_view value, size_t cap,
                         uint64_t now_ns, bool may_enter = true);
  void expire(uint64_t now_ns);

 private:
  std::chrono::nanoseconds ttl_;
  size_t max_scopes_;
  StringMap<StringMap<uint64_t>> last_seen_by_value_by_scope_;
};

}  // namespace llmtap
