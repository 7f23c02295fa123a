// SPDX-License-Identifier: Apache-2.0
// The known API paths, as data.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace llmtap {

// What must stand before the pattern: anything (gateways add prefixes), or the path's begin, an API
// version or one of the prefixes of base URLs, for words that ordinary web applications use too.
enum class Context : uint8_t { kAny, kApi };

// Matches the last segments of a path. {m}: model, {d}: deployment, {v}: API version, others: any.
struct RouteRow {
  std::string_view method;  // "POST"; "other": any but POST; empty: any
  std::string_view pattern, route;
  std::string_view operation, family;
  Context context = Context::kAny;
  bool inference = false, stream = false;
};
// Longer patterns first where one is the end of another.
std::span<const RouteRow> route_rows();

struct GoogleVerb {
  std::string_view name, operation, family;
  bool inference, stream;
};
const GoogleVerb* google_verb(std::string_view verb);

struct Collection {
  std::string_view name;
  const char* root;
  std::string_view operation, family;
};
const Collection* collection_named(std::string_view segment);
// A word of the management API rather than an id: "items", "cancel", ….
bool is_collection_word(std::string_view segment);

bool is_api_version(std::string_view segment);  // v1, v1beta, v1beta1, v0
bool is_api_prefix(std::string_view segment);   // openai, anthropic, codex, …

}  // namespace llmtap
