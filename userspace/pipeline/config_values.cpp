// SPDX-License-Identifier: Apache-2.0
#include "pipeline/config_values.h"

#include <arpa/inet.h>

#include <algorithm>
#include <bit>
#include <charconv>

#include "base/ascii.h"
#include "base/logging.h"
#include "base/nearest.h"
#include "llm/dialect.h"
#include "llm/price_rules.h"

namespace llmtap {
namespace {

using Problem = std::optional<std::string>;

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t end = std::min(text.find(separator), text.size());
    if (const std::string_view part = trimmed(text.substr(0, end)); !part.empty()) parts.emplace_back(part);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

bool contains(std::string_view comma_list, std::string_view word) {
  return std::ranges::any_of(split(comma_list, ','), [&](const std::string& item) { return item == word; });
}

std::optional<uint64_t> parse_count(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return number;
}

struct Unit {
  std::string_view name;
  uint64_t factor;
};
constexpr Unit kByteUnits[] = {{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
                               {"Ki", 1 << 10},  {"Mi", 1 << 20},  {"Gi", 1 << 30}};
constexpr Unit kTimeUnits[] = {{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};

std::optional<uint64_t> times(uint64_t a, uint64_t b) {
  uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

std::optional<uint64_t> parse_bytes(std::string_view text) {
  for (const Unit& unit : kByteUnits) {
    if (!text.ends_with(unit.name)) continue;
    const auto number = parse_count(trimmed(text.substr(0, text.size() - unit.name.size())));
    return number ? times(*number, unit.factor) : std::nullopt;
  }
  return parse_count(text);
}

// "24h", "1h30m". A bare number has no unit, and is refused.
std::optional<uint64_t> parse_seconds(std::string_view text) {
  if (text.empty()) return std::nullopt;
  uint64_t seconds = 0;
  while (!text.empty()) {
    const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    const auto number = parse_count(text.substr(0, digits));
    text.remove_prefix(digits);
    const auto* unit =
        std::ranges::find_if(kTimeUnits, [&](const Unit& u) { return text.starts_with(u.name); });
    if (!number || unit == std::end(kTimeUnits)) return std::nullopt;
    text.remove_prefix(unit->name.size());
    const auto part = times(*number, unit->factor);
    if (!part || __builtin_add_overflow(seconds, *part, &seconds)) return std::nullopt;
  }
  return seconds;
}

bool in_range(uint64_t number, std::string_view range) {
  const size_t dots = range.find("..");
  if (dots == std::string_view::npos) return true;
  const auto low = parse_count(range.substr(0, dots)), high = parse_count(range.substr(dots + 2));
  return low && high && number >= *low && number <= *high;
}

bool is_header_name(std::string_view name) {  // RFC 9110, 5.6.2: token
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

Problem assign_to(bool& member, const ConfigKey& key, const ConfigValue& value) {
  if (value.text != "true" && value.text != "false") return "expected true or false";
  member = value.text == "true";
  return std::nullopt;
}

Problem assign_to(uint64_t& member, const ConfigKey& key, const ConfigValue& value) {
  const bool bytes = key.type == "bytes";
  const auto number = bytes ? parse_bytes(value.text) : parse_count(value.text);
  if (!number || !in_range(*number, key.valid) || (bytes && !std::has_single_bit(*number)))
    return bytes ? "expected a power of two of bytes in " + std::string(key.valid) + ", as in 16MiB"
                 : "expected a number in " + std::string(key.valid);
  member = *number;
  return std::nullopt;
}

std::optional<double> parse_real(std::string_view text, std::string_view range) {
  const auto parse = [](std::string_view digits) -> std::optional<double> {
    double number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc{} || end != digits.data() + digits.size() || digits.empty()) return std::nullopt;
    return number;
  };
  const size_t dots = range.find("..");
  const auto number = parse(text), low = parse(range.substr(0, dots)), high = parse(range.substr(dots + 2));
  // Not a number compares false.
  return number && *number >= *low && *number <= *high ? number : std::nullopt;
}

Problem assign_to(double& member, const ConfigKey& key, const ConfigValue& value) {
  const auto number = parse_real(value.text, key.valid);
  if (!number) return "expected a number in " + std::string(key.valid);
  member = *number;
  return std::nullopt;
}

Problem assign_to(std::chrono::seconds& member, const ConfigKey& key, const ConfigValue& value) {
  const auto seconds = parse_seconds(value.text);
  if (!seconds || !in_range(*seconds, key.valid))
    return "expected a duration with a unit (s, m, h, d), as in 24h or 1h30m, of " + std::string(key.valid) +
           " seconds";
  member = std::chrono::seconds(*seconds);
  return std::nullopt;
}

Problem assign_to(std::string& member, const ConfigKey& key, const ConfigValue& value) {
  const std::string& text = value.text;
  if (!key.valid.empty() && !contains(key.valid, text)) return "expected one of " + std::string(key.valid);
  if (text.find('\0') != std::string::npos) return "expected text without a NUL byte";
  if (key.type == "path" && (!text.starts_with('/') || text.find_first_of("?# \t\r\n") != std::string::npos))
    return "expected a path that begins with / and has no query";
  if (key.name == "metrics.path" &&
      (text == "/" || text == "/healthz" || text == "/readyz" || text.starts_with("/api/")))
    return "expected a path that the server does not use itself (/, /healthz, /readyz, /api/…)";
  if (key.type == "url" && !text.empty()) {
    const size_t scheme = text.find("://");
    if (scheme != std::string::npos && !text.starts_with("http://") && !text.starts_with("https://"))
      return "expected http://, https://, or host:port";
    if (text.size() == (scheme == std::string::npos ? 0 : scheme + 3) ||
        text.find_first_of(" \t\r\n") != std::string::npos)
      return "expected a URL, as in https://collector:4317";
  }
  member = text;
  return std::nullopt;
}

Problem assign_to(ListenAddress& member, const ConfigKey& key, const ConfigValue& value) {
  std::string expected = "expected an IP address and a port, as in 127.0.0.1:9464 or [::1]:9464";
  const std::string_view text = value.text;
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return expected;
  std::string_view host = text.substr(0, colon);
  const auto port = parse_count(text.substr(colon + 1));
  if (!port || *port > 65535) return expected;
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  if (host == "localhost") host = "127.0.0.1";
  if (host.empty()) host = "0.0.0.0";
  // Without brackets too: Kubernetes puts an IPv6 pod address as it is into $(POD_IP):9464.
  in6_addr address{};
  const std::string name(host);
  if (inet_pton(AF_INET, name.c_str(), &address) != 1 && inet_pton(AF_INET6, name.c_str(), &address) != 1)
    return expected;
  member = {name, static_cast<uint16_t>(*port)};
  return std::nullopt;
}

std::vector<std::string> items(const ConfigValue& value) {
  return value.shape == ConfigValue::Shape::kList ? value.list : split(value.text, ',');
}

Problem assign_to(std::vector<std::string>& member, const ConfigKey& key, const ConfigValue& value) {
  for (const std::string& item : items(value))
    if (item.empty() || printable(item) != item) return "expected a list of names";
  if (key.name == "identity.header_map")
    for (const std::string& item : items(value))
      if (!is_header_name(item)) return "expected a list of HTTP header names";
  member = items(value);
  return std::nullopt;
}

Problem assign_to(std::vector<uint16_t>& member, const ConfigKey& key, const ConfigValue& value) {
  std::vector<uint16_t> ports;
  if (value.shape != ConfigValue::Shape::kText || value.text != "all") {
    for (const std::string& item : items(value)) {
      const auto port = parse_count(item);
      if (!port || *port < 1 || *port > 65535)
        return "expected `all` or a list of ports in " + std::string(key.valid);
      ports.push_back(static_cast<uint16_t>(*port));
    }
  }
  member = std::move(ports);
  return std::nullopt;
}

// As a map, or as name=value,name=value.
std::optional<std::vector<std::pair<std::string, std::string>>> to_pairs(const ConfigValue& value) {
  std::vector<std::pair<std::string, std::string>> pairs = value.map;
  if (value.shape == ConfigValue::Shape::kText) {
    for (const std::string& item : split(value.text, ',')) {
      const size_t equals = item.find('=');
      if (equals == std::string::npos) return std::nullopt;
      pairs.emplace_back(trimmed(std::string_view(item).substr(0, equals)),
                         trimmed(std::string_view(item).substr(equals + 1)));
    }
  }
  return pairs;
}

Problem assign_to(std::vector<std::pair<std::string, std::string>>& member, const ConfigKey& key,
                  const ConfigValue& value) {
  auto parsed = to_pairs(value);
  if (!parsed) return "expected name=value,name=value";
  std::vector<std::pair<std::string, std::string>>& pairs = *parsed;
  for (const auto& [name, text] : pairs)
    if (!is_header_name(name) || text.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos)
      return "expected HTTP header names and values without line breaks";
  member = std::move(pairs);
  return std::nullopt;
}

bool is_label(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
  });
}

Problem assign_to(std::vector<std::pair<std::string, double>>& member, const ConfigKey& key,
                  const ConfigValue& value) {
  const auto pairs = to_pairs(value);
  if (!pairs) return "expected name=number,name=number";
  std::vector<std::pair<std::string, double>> rows;
  for (const auto& [name, text] : *pairs) {
    std::string_view provider = name;
    if (key.name == "prices.tier_factors") {
      const size_t slash = name.rfind('/');
      const size_t tier = slash == std::string::npos ? 0 : slash + 1;
      if (!service_tier_named(provider.substr(tier)))
        return "\"" + printable(name) + "\": expected flex, priority, or one of them behind provider/";
      provider = provider.substr(0, tier == 0 ? 0 : slash);
      if (tier == 0) provider = "all";
    }
    if (!is_label(provider))
      return "\"" + printable(name) + "\": expected a provider's name of small letters, digits, _ - .";
    const auto number = parse_real(text, key.valid);
    if (!number) return "\"" + printable(name) + "\": expected a number in " + std::string(key.valid);
    rows.emplace_back(name, *number);
  }
  member = std::move(rows);
  return std::nullopt;
}

bool is_host_pattern(std::string_view host) {
  return !host.empty() && host != "." && host.size() <= 260 && std::ranges::all_of(host, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           std::string_view("-._:[]*").find(c) != std::string_view::npos;
  });
}

Problem assign_to(std::vector<ProviderRow>& member, const ConfigKey& key, const ConfigValue& value) {
  std::vector<ProviderRow> rows;
  for (const auto& fields : value.rows) {
    ProviderRow row;
    for (const auto& [name, text] : fields) {
      std::string* field = name == "host"       ? &row.host
                           : name == "provider" ? &row.provider
                           : name == "dialect"  ? &row.dialect
                                                : nullptr;
      if (!field) return "unknown field \"" + printable(name) + "\": expected host, provider, dialect";
      if (!field->empty()) return "field \"" + name + "\" stands twice in a row";
      *field = text;
    }
    if (row.host.starts_with("*.")) row.host.erase(0, 1);  // ".suffix" says the same
    if (!is_host_pattern(row.host))
      return "host \"" + printable(row.host) + "\": expected a host in small letters, a.*.b or *.suffix";
    if (!is_label(row.provider))
      return "provider \"" + printable(row.provider) + "\": expected a name of small letters, digits, _ - .";
    if (!row.dialect.empty() && !dialect_named(row.dialect))
      return "dialect \"" + printable(row.dialect) + "\": expected one of " + dialect_names();
    rows.push_back(std::move(row));
  }
  member = std::move(rows);
  return std::nullopt;
}

// Shapes that each kind of member takes; text for lists and maps: the comma form.
Problem shape_problem(const ConfigKey& key, ConfigValue::Shape shape) {
  using Shape = ConfigValue::Shape;
  if (key.type == "list" || key.type == "ports")
    return shape == Shape::kText || shape == Shape::kList ? Problem{} : "expected a list";
  if (key.type == "map")
    return shape == Shape::kText || shape == Shape::kMap ? Problem{} : "expected a map of name: value";
  if (key.type == "rows")
    return shape == Shape::kRows ? Problem{}
                                 : "expected a list of {host, provider, dialect}, in the file only";
  return shape == Shape::kText ? Problem{} : "expected one " + std::string(key.type);
}

}  // namespace

ConfigValue ConfigValue::of(std::string text) {
  ConfigValue value;
  value.text = std::move(text);
  return value;
}

std::string ConfigValue::shown() const {
  std::string result;
  switch (shape) {
    case Shape::kText: result = "\"" + text + "\""; break;
    case Shape::kList:
      result = "[";
      for (const std::string& item : list) result += (result.size() > 1 ? ", " : "") + item;
      result += "]";
      break;
    case Shape::kMap: result = "a map"; break;
    case Shape::kRows: result = "a list of maps"; break;
  }
  result = printable(result.substr(0, 200));
  return result;
}

std::optional<std::string> assign(Config& config, const ConfigKey& key, const ConfigValue& value) {
  const bool text = value.shape == ConfigValue::Shape::kText;
  if (!key.built()) {
    if (text && contains(key.valid, value.text)) return std::nullopt;
    return value.shown() + ": not built yet" +
           (key.valid.empty() ? "; leave it out" : "; leave it out, or set it to " + std::string(key.valid));
  }
  if (text && !key.unbuilt_values.empty() && contains(key.unbuilt_values, value.text))
    return value.shown() + ": not built yet; valid: " + std::string(key.valid);
  Problem problem = shape_problem(key, value.shape);
  if (!problem)
    problem = std::visit(
        [&](auto member) -> Problem {
          if constexpr (std::is_same_v<decltype(member), std::monostate>)
            return std::nullopt;  // not built: answered above
          else
            return assign_to(config.*member, key, value);
        },
        key.member);
  if (!problem) return std::nullopt;
  return (key.secret ? std::string("the value (not shown)") : value.shown()) + " is not valid: " + *problem;
}

const ConfigKey* find_config_key(std::string_view name) {
  for (const ConfigKey& key : config_keys()) {
    if (key.name == name) return &key;
    const size_t open = key.name.find('<');
    if (open == std::string_view::npos) continue;
    const std::string_view head = key.name.substr(0, open), tail = key.name.substr(key.name.find('>') + 1);
    if (name.size() <= head.size() + tail.size() || !name.starts_with(head) || !name.ends_with(tail))
      continue;
    const std::string_view word = name.substr(head.size(), name.size() - head.size() - tail.size());
    if (word.find('.') == std::string_view::npos) return &key;
  }
  return nullptr;
}

std::string nearest_config_key(std::string_view name) {
  std::vector<std::string_view> names;
  for (const ConfigKey& key : config_keys()) {
    // "listen" alone: the key that ends so is meant.
    if (key.name.ends_with("." + std::string(name))) return "did you mean " + std::string(key.name) + "?";
    names.push_back(key.name);
  }
  const std::string_view near = nearest(name, names);
  return near.empty() ? "" : "did you mean " + std::string(near) + "?";
}

}  // namespace llmtap
