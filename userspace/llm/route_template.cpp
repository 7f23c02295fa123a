// SPDX-License-Identifier: Apache-2.0
#include "llm/route_template.h"

#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "base/ascii.h"
#include "llm/path_ids.h"
#include "llm/redact.h"
#include "llm/route_table.h"

namespace llmtap {

namespace {

constexpr size_t kMaxSegments = 32;
constexpr size_t kMaxRouteBytes = 128;
constexpr size_t kMaxModelBytes = 256;

using Segments = std::span<const std::string_view>;

std::vector<std::string_view> split(std::string_view path) {
  std::vector<std::string_view> segments;
  while (!path.empty()) {
    const size_t end = std::min(path.find('/'), path.size());
    if (end > 0) {
      if (segments.size() == kMaxSegments) break;
      segments.push_back(path.substr(0, end));
    }
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return segments;
}

std::string model_of(std::string_view segment) {
  const std::string decoded = percent_decoded(segment);
  std::string_view name = decoded;
  // An inference profile or provisioned model: only what follows the last '/' names a model.
  if (name.starts_with("arn:"))
    name = name.substr(name.rfind('/') == std::string_view::npos ? 0 : name.rfind('/') + 1);
  return bounded_label(name, kMaxModelBytes);
}

bool is_parameter(std::string_view part) { return part.starts_with('{'); }

// Does `row` match the last segments of the path? {m} and {d} go to `model`. From the end, where most
// rows already differ: this runs for every exchange.
bool matches(const RouteRow& row, Segments path, std::string_view& model) {
  std::string_view pattern = row.pattern;
  size_t left = path.size();
  while (!pattern.empty()) {
    if (left == 0) return false;
    const size_t slash = pattern.rfind('/');
    const std::string_view part = pattern.substr(slash + 1);
    const std::string_view segment = path[--left];
    if (part == "{v}") {
      if (!is_api_version(segment)) return false;
    } else if (is_parameter(part)) {
      if (part == "{m}" || part == "{d}") model = segment;
    } else if (part != segment) {
      return false;
    }
    pattern = pattern.substr(0, slash);
  }
  return row.context == Context::kAny || left == 0 || is_api_version(path[left - 1]) ||
         is_api_prefix(path[left - 1]);
}

bool method_fits(std::string_view allowed, std::string_view method) {
  return allowed.empty() || (allowed == "POST" ? method == "POST" : method != "POST");
}

Route from_row(const RouteRow& row, std::string_view model) {
  Route route;
  route.route = row.route;
  route.operation = row.operation;
  route.family = row.family;
  route.known = true;
  route.inference = row.inference;
  route.stream_in_path = row.stream;
  if (!model.empty()) route.model_in_path = model_of(model);
  return route;
}

// …/models/{m}:verb, …/endpoints/{e}:verb and …/tunedModels/{m}:verb, with the API version and what
// precedes it as the templates of Google's discovery documents say.
bool match_google(Segments path, Route& route) {
  if (path.size() < 2) return false;
  const std::string_view last = path.back();
  const size_t colon = last.rfind(':');
  if (colon == std::string_view::npos) return false;
  const GoogleVerb* verb = google_verb(last.substr(colon + 1));
  const std::string_view kind = path[path.size() - 2];
  if (!verb || (kind != "models" && kind != "endpoints" && kind != "tunedModels")) return false;

  std::string text;
  const auto version = std::ranges::find_if(path, is_api_version);
  if (version != path.end()) text.append("/").append(*version);
  if (std::ranges::find(path, "projects") != path.end()) text += "/projects/{p}/locations/{l}";
  if (std::ranges::find(path, "publishers") != path.end()) text += "/publishers/{pub}";
  text.append("/").append(kind).append(kind == "endpoints" ? "/{id}:" : "/{m}:").append(verb->name);
  route.route = bounded_label(text, kMaxRouteBytes);
  route.operation = verb->operation;
  route.family = verb->family;
  route.known = true;
  route.inference = verb->inference;
  route.stream_in_path = verb->stream;
  if (kind != "endpoints") route.model_in_path = model_of(last.substr(0, colon));
  return true;
}

// Collections of the OpenAI API and their items: every second segment behind the name is an id.
bool match_collection(Segments path, Route& route) {
  for (size_t i = 0; i < path.size(); ++i) {
    const Collection* collection = collection_named(path[i]);
    if (!collection) continue;
    if (i > 0 && !is_api_version(path[i - 1]) && !is_api_prefix(path[i - 1])) continue;
    std::string text = collection->root;
    for (size_t j = i; j < path.size() && j < i + 8; ++j)
      text.append("/").append(j == i || is_collection_word(path[j]) ? path[j] : std::string_view("{id}"));
    route.route = bounded_label(text, kMaxRouteBytes);
    route.operation = collection->operation;
    route.family = collection->family;
    route.known = true;
    return true;
  }
  return false;
}

std::string generic_template(Segments path) {
  std::string text;
  for (const std::string_view segment : path) {
    const std::string piece = "/" + (looks_like_id(segment) ? std::string("{id}") : std::string(segment));
    if (text.size() + piece.size() > kMaxRouteBytes - 4) return text + "/{*}";
    text += piece;
  }
  return text.empty() ? "/" : text;
}

}  // namespace

std::string_view path_of(std::string_view target) {
  target = target.substr(0, target.find_first_of("?#"));
  if (const size_t scheme = target.find("://"); scheme != std::string_view::npos && scheme < 16) {
    const size_t begin = target.find('/', scheme + 3);
    return begin == std::string_view::npos ? std::string_view("/") : target.substr(begin);
  }
  return target.starts_with('/') ? target : std::string_view();
}

Route match_route(std::string_view method, std::string_view target) {
  const std::string_view full = path_of(target);
  Route route;
  if (full.empty()) {
    route.route = "other";
    return route;
  }
  const std::vector<std::string_view> segments = split(full.substr(0, 4096));
  const Segments path(segments);
  if (match_google(path, route)) return route;
  for (const RouteRow& row : route_rows()) {
    std::string_view model;
    if (method_fits(row.method, method) && matches(row, path, model)) return from_row(row, model);
  }
  if (match_collection(path, route)) return route;
  route.route = generic_template(path);
  return route;
}

std::string route_template(std::string_view method, std::string_view target) {
  return match_route(method, target).route;
}

std::string_view operation_for(std::string_view method, std::string_view target) {
  return match_route(method, target).operation;
}

}  // namespace llmtap
