// SPDX-License-Identifier: Apache-2.0
#include "cli/calls_table.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "base/logging.h"

namespace llmtap {
namespace {

using Json = nlohmann::ordered_json;

// The list in an answer, or null; newest first, as the daemon answers, and no longer than asked for.
Json newest_calls(const std::string& json, size_t newest) {
  Json document = Json::parse(json, nullptr, false);
  if (document.is_object() && document.contains("calls")) document = Json(std::move(document["calls"]));
  if (!document.is_array()) return nullptr;
  if (document.size() > newest)
    document.erase(document.begin() + static_cast<std::ptrdiff_t>(newest), document.end());
  return document;
}

Error unexpected_answer() {
  return {"the daemon's answer is not a list of calls",
          "is it of the same version as this program (llmtap version)?"};
}

std::string text_of(const Json& call, const char* key) {
  const auto it = call.find(key);
  if (it == call.end() || it->is_null()) return "";
  if (it->is_string()) return printable(it->get<std::string>());
  return it->is_primitive() ? it->dump() : "";
}

std::optional<double> number_of(const Json& call, const char* key) {
  const auto it = call.find(key);
  if (it == call.end() || !it->is_number()) return std::nullopt;
  return it->get<double>();
}

std::string decimal(double value, int places) {
  char buffer[64];
  const int n = std::snprintf(buffer, sizeof(buffer), "%.*f", places, value);
  return n > 0 && n < static_cast<int>(sizeof(buffer)) ? buffer : "?";
}

std::string milliseconds(const Json& call, const char* key) {
  const auto value = number_of(call, key);
  if (!value) return "-";
  if (*value >= 10'000) return decimal(*value / 1000, 1) + " s";
  return decimal(*value, *value < 10 ? 1 : 0) + " ms";
}

std::string dash(std::string text) {
  if (text.empty()) text = "-";
  return text;
}

// "2026-01-02T03:04:05.123Z" without its date: the calls are recent, and in UTC.
std::string time_of_day(const Json& call) {
  const std::string text = text_of(call, "time");
  const size_t t = text.find('T');
  return t == std::string::npos || text.size() < t + 9 ? dash(text) : text.substr(t + 1, 8);
}

std::string status(const Json& call) {
  const std::string outcome = text_of(call, "outcome");
  const auto code = number_of(call, "status");
  std::string text = code && *code > 0 ? decimal(*code, 0) : "";
  if (!outcome.empty() && outcome != "ok") text += (text.empty() ? "" : " ") + outcome;
  return dash(text);
}

std::string tokens(const Json& call) {
  const std::string in = text_of(call, "input_tokens"), out = text_of(call, "output_tokens");
  const std::string mark = text_of(call, "token_source") == "estimated" ? "~" : "";
  return (in.empty() ? "-" : mark + in) + " / " + (out.empty() ? "-" : mark + out);
}

std::string cost(const Json& call) {
  const auto usd = number_of(call, "cost_usd");
  return usd ? "$" + decimal(*usd, 6) : "-";
}

std::string model(const Json& call) {
  const std::string best = text_of(call, "model");
  return dash(!best.empty() ? best : text_of(call, "requested_model"));
}

struct Column {
  const char* title;
  bool right;
  size_t max_width;
  std::string (*cell)(const Json&);
};

constexpr std::array kColumns{
    Column{"TIME", false, 12, time_of_day},
    Column{"WORKLOAD", false, 32, [](const Json& call) { return dash(text_of(call, "workload")); }},
    Column{"DIR", false, 8, [](const Json& call) { return dash(text_of(call, "direction")); }},
    Column{"PROVIDER", false, 20, [](const Json& call) { return dash(text_of(call, "provider")); }},
    Column{"MODEL", false, 36, model},
    Column{"STATUS", false, 24, status},
    Column{"IN / OUT", true, 20, tokens},
    Column{"COST", true, 14, cost},
    Column{"TTFT", true, 10, [](const Json& call) { return milliseconds(call, "ttft_ms"); }},
    Column{"DURATION", true, 10, [](const Json& call) { return milliseconds(call, "duration_ms"); }},
};

// Columns on a terminal, taking every code point as one: names are nearly always ASCII.
size_t width(std::string_view text) {
  return static_cast<size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string cut(std::string text, size_t max_width) {
  if (width(text) <= max_width) return text;
  size_t end = 0, seen = 0;
  while (end < text.size()) {
    if ((text[end] & 0xC0) != 0x80 && ++seen == max_width) break;
    ++end;
  }
  return text.substr(0, end) + "…";
}

}  // namespace

Result<std::string> calls_table(const std::string& json, size_t newest) {
  const Json calls = newest_calls(json, newest);
  if (!calls.is_array()) return unexpected_answer();
  if (calls.empty()) return std::string("No calls yet.\n");
  std::vector<const Json*> shown;
  for (const Json& call : calls)
    if (call.is_object()) shown.push_back(&call);
  std::ranges::reverse(shown);

  std::vector<std::array<std::string, kColumns.size()>> rows(1);
  for (size_t i = 0; i < kColumns.size(); ++i) rows[0][i] = kColumns[i].title;
  for (const Json* call : shown) {
    auto& row = rows.emplace_back();
    for (size_t i = 0; i < kColumns.size(); ++i) row[i] = cut(kColumns[i].cell(*call), kColumns[i].max_width);
  }
  std::array<size_t, kColumns.size()> widths{};
  for (const auto& row : rows)
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));

  std::string text;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string fill(widths[i] - width(row[i]), ' ');
      const bool last = i + 1 == row.size();
      text += kColumns[i].right ? fill + row[i] : last ? row[i] : row[i] + fill;
      text += last ? "\n" : "  ";
    }
  }
  return text;
}

Result<std::string> calls_json(const std::string& json, size_t newest) {
  Json calls = newest_calls(json, newest);
  if (!calls.is_array()) return unexpected_answer();
  Json document;
  document["calls"] = std::move(calls);
  return document.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace llmtap
