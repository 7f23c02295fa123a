// SPDX-License-Identifier: Apache-2.0
#include "llm/rate_limit_headers.h"

#include <array>
#include <chrono>

#include "base/ascii.h"

namespace llmtap {

namespace {

using Kind = RateLimit::Kind;
using Scope = RateLimit::Scope;

constexpr size_t kMaxLimits = 16;
constexpr double kMaxSeconds = 366.0 * 86400;

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

std::optional<double> plausible(std::optional<double> seconds) {
  if (!seconds || *seconds < 0 || *seconds > kMaxSeconds) return std::nullopt;
  return seconds;
}

// Seconds from now to a Unix time; a moment that has passed is 0.
std::optional<double> until(std::optional<double> unix_seconds, uint64_t wall_ns) {
  if (!unix_seconds || wall_ns == 0) return std::nullopt;
  return plausible(std::max(0.0, *unix_seconds - static_cast<double>(wall_ns) * 1e-9));
}

// A reset: Go duration (OpenAI, Groq), plain seconds (Azure), Unix time in seconds or milliseconds
// (OpenRouter), RFC 3339 (Anthropic).
std::optional<double> reset_of(std::string_view value, uint64_t wall_ns) {
  if (const auto number = parse_number(value)) {
    if (*number > 1e12) return until(*number / 1000, wall_ns);
    if (*number > 1e9) return until(number, wall_ns);
    return plausible(number);
  }
  if (const auto duration = parse_go_duration(value)) return plausible(duration);
  return until(parse_rfc3339(value), wall_ns);
}

std::optional<Kind> kind_of(std::string_view text) {
  if (text == "requests" || text.empty() || text == "req-minute" || text == "req-10-second")
    return Kind::kRequests;
  if (text == "tokens" || text == "tokens-minute") return Kind::kTokens;
  if (text == "input-tokens") return Kind::kInputTokens;
  if (text == "output-tokens") return Kind::kOutputTokens;
  return std::nullopt;
}

std::optional<Scope> scope_of(std::string_view text) {
  if (text == "api_key" || text.starts_with("model_per_key") || text == "key") return Scope::kKey;
  if (text.starts_with("team") || text.starts_with("model_per_team") || text == "organization")
    return Scope::kTeam;
  if (text == "user" || text == "customer" || text == "end_user") return Scope::kUser;
  return std::nullopt;
}

enum class Field : uint8_t { kLimit, kRemaining, kReset };

class Collector {
 public:
  explicit Collector(uint64_t wall_ns) : wall_ns_(wall_ns) {}

  void add(Kind kind, Scope scope, Field field, std::string_view value) {
    const auto number = field == Field::kReset ? reset_of(value, wall_ns_) : parse_number(value);
    if (!number || *number < 0) return;
    RateLimit* limit = find(kind, scope);
    if (!limit) return;
    auto& member = field == Field::kLimit       ? limit->limit
                   : field == Field::kRemaining ? limit->remaining
                                                : limit->reset_seconds;
    if (!member) member = number;  // of repeated fields the first, as elsewhere
  }
  std::vector<RateLimit> take() { return std::move(limits_); }

 private:
  RateLimit* find(Kind kind, Scope scope) {
    for (RateLimit& limit : limits_)
      if (limit.kind == kind && limit.scope == scope) return &limit;
    if (limits_.size() == kMaxLimits) return nullptr;
    limits_.emplace_back();
    limits_.back().kind = kind;
    limits_.back().scope = scope;
    return &limits_.back();
  }

  uint64_t wall_ns_;
  std::vector<RateLimit> limits_;
};

std::optional<Field> take_field(std::string_view& rest) {
  if (take_prefix(rest, "limit")) return Field::kLimit;
  if (take_prefix(rest, "remaining")) return Field::kRemaining;
  if (take_prefix(rest, "reset")) return Field::kReset;
  return std::nullopt;
}

// x-ratelimit-<field>[-<kind>] and LiteLLM's x-ratelimit-<scope>-<field>-<kind>.
void read_x_ratelimit(Collector& to, std::string_view rest, Scope plain, std::string_view value) {
  Scope scope = plain;
  auto field = take_field(rest);
  if (!field) {
    const size_t end = rest.find('-');
    if (end == std::string_view::npos) return;
    const auto named = scope_of(rest.substr(0, end));
    if (!named) return;
    scope = *named;
    rest.remove_prefix(end + 1);
    if (!(field = take_field(rest))) return;
  }
  if (!rest.empty() && !take_prefix(rest, "-")) return;
  if (const auto kind = kind_of(rest)) to.add(*kind, scope, *field, value);
}

// anthropic-ratelimit-<kind>-<field>
void read_anthropic(Collector& to, std::string_view rest, std::string_view value) {
  const size_t at = rest.rfind('-');
  if (at == std::string_view::npos) return;
  std::string_view name = rest.substr(at + 1);
  const auto field = take_field(name);
  const auto kind = kind_of(rest.substr(0, at));
  if (field && name.empty() && kind && at > 0) to.add(*kind, Scope::kProvider, *field, value);
}

void read_litellm_key(Collector& to, std::string_view rest, std::string_view value) {
  if (rest == "rpm-limit") to.add(Kind::kRequests, Scope::kKey, Field::kLimit, value);
  if (rest == "tpm-limit") to.add(Kind::kTokens, Scope::kKey, Field::kLimit, value);
  if (rest.starts_with("remaining-requests")) to.add(Kind::kRequests, Scope::kKey, Field::kRemaining, value);
  if (rest.starts_with("remaining-tokens")) to.add(Kind::kTokens, Scope::kKey, Field::kRemaining, value);
}

std::optional<double> retry_after(std::string_view value, uint64_t wall_ns) {
  if (const auto seconds = parse_number(value)) return plausible(seconds);
  return until(parse_http_date(value), wall_ns);
}

bool digits(std::string_view text, size_t at, size_t count, int& value) {
  if (text.size() < at + count) return false;
  value = 0;
  for (size_t i = at; i < at + count; ++i) {
    if (!is_digit(text[i])) return false;
    value = value * 10 + (text[i] - '0');
  }
  return true;
}

std::optional<double> unix_time(int year, int month, int day, int hour, int minute, int second) {
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok() || hour > 23 || minute > 59 || second > 60) return std::nullopt;
  const auto days = std::chrono::sys_days(date).time_since_epoch().count();
  return static_cast<double>(days) * 86400 + hour * 3600 + minute * 60 + second;
}

}  // namespace

std::optional<double> parse_go_duration(std::string_view text) {
  struct Unit {
    std::string_view name;
    double seconds;
  };
  // "ms" before "m"; the micro sign is U+00B5 or U+03BC.
  constexpr Unit kUnits[] = {{"ms", 1e-3},        {"us", 1e-6}, {"\xC2\xB5s", 1e-6},
                             {"\xCE\xBCs", 1e-6}, {"ns", 1e-9}, {"d", 86400},
                             {"h", 3600},         {"m", 60},    {"s", 1}};
  text = trimmed(text);
  if (text.empty() || text.size() > 64) return std::nullopt;
  double total = 0;
  while (!text.empty()) {
    const size_t n = std::min(text.find_first_not_of("0123456789."), text.size());
    const auto number = parse_number(text.substr(0, n));
    if (!number) return std::nullopt;
    text.remove_prefix(n);
    const auto* unit = std::ranges::find_if(kUnits, [&](const Unit& u) { return text.starts_with(u.name); });
    if (unit == std::end(kUnits)) return std::nullopt;
    total += *number * unit->seconds;
    text.remove_prefix(unit->name.size());
  }
  return total;
}

std::optional<double> parse_rfc3339(std::string_view text) {
  text = trimmed(text);
  int year, month, day, hour, minute, second;
  if (!digits(text, 0, 4, year) || !digits(text, 5, 2, month) || !digits(text, 8, 2, day) ||
      !digits(text, 11, 2, hour) || !digits(text, 14, 2, minute) || !digits(text, 17, 2, second))
    return std::nullopt;
  if (text[4] != '-' || text[7] != '-' || (text[10] | 0x20) != 't' || text[13] != ':' || text[16] != ':')
    return std::nullopt;
  auto seconds = unix_time(year, month, day, hour, minute, second);
  if (!seconds) return std::nullopt;
  std::string_view rest = text.substr(19);
  if (rest.starts_with('.')) {
    const size_t n = std::min(rest.find_first_not_of("0123456789", 1), rest.size());
    const auto fraction = parse_number("0" + std::string(rest.substr(0, std::min<size_t>(n, 20))));
    if (n < 2 || !fraction) return std::nullopt;
    *seconds += *fraction;
    rest.remove_prefix(n);
  }
  if (rest == "Z" || rest == "z") return seconds;
  int offset_hours, offset_minutes;
  if (rest.size() != 6 || (rest[0] != '+' && rest[0] != '-') || rest[3] != ':' ||
      !digits(rest, 1, 2, offset_hours) || !digits(rest, 4, 2, offset_minutes))
    return std::nullopt;
  const double offset = offset_hours * 3600 + offset_minutes * 60;
  return rest[0] == '+' ? *seconds - offset : *seconds + offset;
}

std::optional<double> parse_http_date(std::string_view text) {
  constexpr std::array<std::string_view, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  text = trimmed(text);
  // Sun, 06 Nov 1994 08:49:37 GMT
  if (text.size() != 29 || text.substr(3, 2) != ", " || text.substr(25) != " GMT") return std::nullopt;
  int year, day, hour, minute, second;
  if (!digits(text, 5, 2, day) || !digits(text, 12, 4, year) || !digits(text, 17, 2, hour) ||
      !digits(text, 20, 2, minute) || !digits(text, 23, 2, second))
    return std::nullopt;
  const auto month = std::ranges::find(kMonths, text.substr(8, 3));
  if (month == kMonths.end()) return std::nullopt;
  return unix_time(year, static_cast<int>(month - kMonths.begin()) + 1, day, hour, minute, second);
}

RateLimitHeaders parse_rate_limit_headers(std::span<const HeaderField> response_headers, uint64_t wall_ns) {
  RateLimitHeaders result;
  Collector limits(wall_ns);
  // LiteLLM answers with the key's own limits under the plain names when the key has any.
  bool key_limits = false;
  for (const HeaderField& field : response_headers)
    if ((field.name == "x-litellm-key-rpm-limit" || field.name == "x-litellm-key-tpm-limit") &&
        parse_number(field.value))
      key_limits = true;

  std::optional<double> seconds, milliseconds;
  for (const HeaderField& field : response_headers) {
    std::string_view name = field.name;
    const bool from_provider = take_prefix(name, "llm_provider-");
    if (take_prefix(name, "x-ratelimit-")) {
      read_x_ratelimit(limits, name, key_limits && !from_provider ? Scope::kKey : Scope::kProvider,
                       field.value);
    } else if (take_prefix(name, "anthropic-ratelimit-")) {
      read_anthropic(limits, name, field.value);
    } else if (take_prefix(name, "x-litellm-key-")) {
      read_litellm_key(limits, name, field.value);
    } else if (name == "retry-after" && !from_provider && !seconds) {
      seconds = retry_after(field.value, wall_ns);
    } else if ((name == "retry-after-ms" || name == "x-ms-retry-after-ms") && !from_provider &&
               !milliseconds) {
      if (const auto number = parse_number(field.value)) milliseconds = plausible(*number / 1000);
    }
  }
  result.limits = limits.take();
  result.retry_after_seconds = milliseconds ? milliseconds : seconds;
  return result;
}

}  // namespace llmtap
