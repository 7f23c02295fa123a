// SPDX-License-Identifier: Apache-2.0
#include "llm/prices.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "llm/model_names.h"

namespace llmtap {

namespace {

using nlohmann::json;

// The public table has 3,000 models in 2 MiB; beyond this a file is not a price table.
constexpr uintmax_t kMaxFileBytes = 64 << 20;
constexpr std::string_view kHint =
    "use a file in LiteLLM's format (model_prices_and_context_window.json), or remove the setting to use "
    "the built-in prices";

// A rate is finite and not negative; the public table writes some as strings ("1.5e-06") or null.
std::optional<double> number_of(const json& value) {
  double number = 0;
  if (value.is_number()) {
    number = value.get<double>();
  } else if (const auto* text = value.get_ptr<const std::string*>()) {
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
    if (error != std::errc{} || end != text->data() + text->size()) return std::nullopt;
  } else {
    return std::nullopt;
  }
  if (!std::isfinite(number) || number < 0) return std::nullopt;
  return number;
}

struct CostKey {
  std::string_view name;
  std::optional<double> Rates::* member;
};
constexpr CostKey kCostKeys[] = {
    {"input_cost_per_token", &Rates::input},
    {"output_cost_per_token", &Rates::output},
    {"cache_read_input_token_cost", &Rates::cache_read},
    {"cache_creation_input_token_cost", &Rates::cache_write},
    {"cache_creation_input_token_cost_above_1hr", &Rates::cache_write_1h},
    {"output_cost_per_reasoning_token", &Rates::reasoning},
    {"input_cost_per_audio_token", &Rates::input_audio},
    {"output_cost_per_audio_token", &Rates::output_audio},
    {"input_cost_per_image_token", &Rates::input_image},
    {"output_cost_per_image_token", &Rates::output_image},
};

struct UnitKey {
  std::string_view name;
  std::optional<double> UnitRates::* member;
};
constexpr UnitKey kUnitKeys[] = {
    {"input_cost_per_image", &UnitRates::input_image},
    {"output_cost_per_image", &UnitRates::output_image},
    {"input_cost_per_pixel", &UnitRates::input_pixel},
    {"output_cost_per_pixel", &UnitRates::output_pixel},
    {"input_cost_per_second", &UnitRates::input_second},
    {"output_cost_per_second", &UnitRates::output_second},
    {"input_cost_per_audio_per_second", &UnitRates::input_second},
    {"input_cost_per_character", &UnitRates::input_character},
    {"output_cost_per_character", &UnitRates::output_character},
    {"input_cost_per_query", &UnitRates::query},
};
constexpr UnitKey kSearchKeys[] = {
    {"search_context_size_low", &UnitRates::search_low},
    {"search_context_size_medium", &UnitRates::search_medium},
    {"search_context_size_high", &UnitRates::search_high},
};

struct FactorKey {
  std::string_view name;
  std::optional<double> ModelPrice::* member;
};
constexpr FactorKey kFactorKeys[] = {
    {"fast", &ModelPrice::fast_factor},
    {"us", &ModelPrice::us_factor},
    {"regional_processing_uplift_multiplier_us", &ModelPrice::us_factor},
    {"regional_processing_uplift_multiplier_eu", &ModelPrice::eu_factor},
};

bool take_suffix(std::string_view& text, std::string_view suffix) {
  if (!text.ends_with(suffix)) return false;
  text.remove_suffix(suffix.size());
  return true;
}

// "…_above_272k_tokens" -> 272000, cut off. Not "…_above_1hr".
bool take_context_tier(std::string_view& text, uint64_t& tokens) {
  std::string_view rest = text;
  if (!take_suffix(rest, "k_tokens")) return false;
  const size_t at = rest.rfind("_above_");
  if (at == std::string_view::npos) return false;
  const std::string_view digits = rest.substr(at + 7);
  uint32_t thousands = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), thousands);
  if (digits.empty() || error != std::errc{} || end != digits.data() + digits.size()) return false;
  tokens = uint64_t{thousands} * 1000;
  text = rest.substr(0, at);
  return true;
}

std::array<Rates, kServiceTiers>& rates_of(ModelPrice& price, uint64_t above_tokens) {
  if (above_tokens == 0) return price.rates;
  auto at = std::ranges::lower_bound(price.tiers, above_tokens, {}, &ModelPrice::ContextTier::above_tokens);
  if (at == price.tiers.end() || at->above_tokens != above_tokens) {
    at = price.tiers.insert(at, ModelPrice::ContextTier{});
    at->above_tokens = above_tokens;
  }
  return at->rates;
}

// Suffixes come in the order tier, service, and in a few entries the other way round.
void read_rate(ModelPrice& price, std::string_view key, double value) {
  uint64_t above_tokens = 0;
  ServiceTier service = ServiceTier::kStandard;
  bool again = true;
  while (again) {
    again = false;
    if (take_suffix(key, "_batches")) service = ServiceTier::kBatch, again = true;
    if (take_suffix(key, "_flex")) service = ServiceTier::kFlex, again = true;
    if (take_suffix(key, "_priority")) service = ServiceTier::kPriority, again = true;
    if (above_tokens == 0 && take_context_tier(key, above_tokens)) again = true;
  }
  for (const CostKey& known : kCostKeys) {
    if (known.name != key) continue;
    rates_of(price, above_tokens)[static_cast<size_t>(service)].*known.member = value;
    return;
  }
  for (const UnitKey& known : kUnitKeys)
    if (known.name == key) price.units.*known.member = value;
  if (key.starts_with("regional_"))
    for (const FactorKey& known : kFactorKeys)
      if (known.name == key) price.*known.member = value;
  if (key == "input_cost_per_request") price.per_request_usd = value;
}

// [{"range": [32000, 128000], "input_cost_per_token": …}, …]: what holds for requests of that size.
void read_ranges(ModelPrice& price, const json& ranges) {
  for (const json& entry : ranges) {
    if (!entry.is_object()) continue;
    const auto range = entry.find("range");
    if (range == entry.end() || !range->is_array() || range->empty()) continue;
    const auto from = number_of((*range)[0]);
    if (!from || *from > 1e12) continue;
    for (const auto& [field, value] : entry.items())
      for (const CostKey& known : kCostKeys)
        if (known.name == field)
          rates_of(price, static_cast<uint64_t>(*from))[0].*known.member = number_of(value);
  }
}

void read_entry(ModelPrice& price, const json& entry) {
  for (const auto& [field, value] : entry.items()) {
    if (const auto number = number_of(value)) {
      read_rate(price, field, *number);
    } else if (value.is_object()) {
      for (const auto& [name, inner] : value.items()) {
        if (field == "search_context_cost_per_query")
          for (const UnitKey& known : kSearchKeys)
            if (known.name == name) price.units.*known.member = number_of(inner);
        if (field == "provider_specific_entry")
          for (const FactorKey& known : kFactorKeys)
            if (known.name == name) price.*known.member = number_of(inner);
      }
    } else if (field == "tiered_pricing" && value.is_array()) {
      read_ranges(price, value);
    }
  }
}

// ":line:column" of the last byte that the parser read; it counts from 1.
std::string line_of(std::string_view text, size_t byte) {
  const std::string_view before = text.substr(0, byte == 0 ? 0 : byte - 1);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t start = before.rfind('\n');
  return ":" + std::to_string(line) + ":" +
         std::to_string(before.size() - (start == std::string_view::npos ? 0 : start + 1) + 1);
}

std::string text_field(const json& object, const char* name) {
  const auto at = object.find(name);
  if (at == object.end()) return {};
  const auto* text = at->get_ptr<const std::string*>();
  return text ? *text : std::string();
}

// "2026-11-21" -> its first second, UTC.
std::optional<int64_t> unix_day(const std::string& text) {
  struct tm day{};
  const char* const end = ::strptime(text.c_str(), "%Y-%m-%d", &day);
  if (end == nullptr || *end != 0) return std::nullopt;
  return ::timegm(&day);
}

}  // namespace

ServiceTier service_tier_from(std::string_view raw) {
  if (raw == "batch" || raw == "batches") return ServiceTier::kBatch;
  if (raw == "flex" || raw == "ON_DEMAND_FLEX") return ServiceTier::kFlex;
  if (raw == "priority" || raw == "ON_DEMAND_PRIORITY") return ServiceTier::kPriority;
  return ServiceTier::kStandard;
}

Result<std::shared_ptr<const PriceTable>> PriceTable::load(const std::string& path) {
  const std::string what = "price table " + path;
  std::ifstream file(path, std::ios::binary);
  struct stat status{};
  if (!file || ::stat(path.c_str(), &status) != 0)
    return Error{what + ": " + std::strerror(errno), "check the path and that the file can be read"};
  if (!S_ISREG(status.st_mode)) return Error{what + ": not a regular file", std::string(kHint)};
  if (static_cast<uintmax_t>(status.st_size) > kMaxFileBytes)
    return Error{what + ": larger than 64 MiB", std::string(kHint)};
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (file.bad()) return Error{what + ": read error", "check the file system"};
  struct tm day{};
  char version[16] = "unversioned";
  if (::gmtime_r(&status.st_mtime, &day)) std::strftime(version, sizeof version, "%Y-%m-%d", &day);
  return parse(text, what, version, status.st_mtime);
}

Result<std::shared_ptr<const PriceTable>> PriceTable::parse(std::string_view text, std::string_view name,
                                                            std::string_view fallback_version,
                                                            std::optional<int64_t> fallback_updated_s) {
  json document;
  try {
    document = json::parse(text);
  } catch (const json::exception& failure) {
    const auto* at = dynamic_cast<const json::parse_error*>(&failure);
    return Error{std::string(name) + (at ? line_of(text, at->byte) : std::string()) + ": not valid JSON",
                 std::string(kHint)};
  }
  if (!document.is_object())
    return Error{std::string(name) + ": not an object of models at top level", std::string(kHint)};

  auto table = std::make_shared<PriceTable>();
  table->version_ = fallback_version;
  table->updated_s_ = fallback_updated_s;
  for (const auto& [key, entry] : document.items()) {
    if (key == "sample_spec") {
      if (std::string version = entry.is_object() ? text_field(entry, "table_version") : ""; !version.empty())
        table->version_ = version.substr(0, 32);
      if (const auto day = unix_day(table->version_)) table->updated_s_ = day;
      continue;
    }
    if (!entry.is_object() || key.empty() || key.size() > 256) {
      ++table->skipped_;
      continue;
    }
    ModelPrice price;
    price.key = key;
    price.provider = text_field(entry, "litellm_provider");
    price.mode = text_field(entry, "mode");
    read_entry(price, entry);
    const Rates& standard = price.rates[0];
    if (!standard.input && !standard.output && !standard.output_image && !price.per_request_usd &&
        !price.units.any()) {
      ++table->skipped_;
      continue;
    }
    table->models_.emplace(key, std::move(price));
  }
  if (table->models_.empty())
    return Error{std::string(name) + ": no model with a price in it", std::string(kHint)};
  return std::shared_ptr<const PriceTable>(std::move(table));
}

const ModelPrice* PriceTable::exact(std::string_view model) const {
  const auto at = models_.find(model);
  return at == models_.end() ? nullptr : &at->second;
}

const ModelPrice* PriceTable::with_prefixes(std::string_view model, std::string_view provider) const {
  if (const ModelPrice* price = exact(model)) return price;
  std::string name;
  for (const std::string_view prefix : price_prefixes(provider)) {
    name.assign(prefix).append(model);
    if (const ModelPrice* price = exact(name)) return price;
  }
  return nullptr;
}

const ModelPrice* PriceTable::find(std::string_view model, std::string_view provider) const {
  if (model.empty() || model.size() > 256) return nullptr;
  for (const std::string& spelling : model_spellings(model)) {
    std::string_view name = spelling;
    if (const ModelPrice* price = with_prefixes(name, provider)) return price;
    while (strip_release_suffix(name))
      if (const ModelPrice* price = with_prefixes(name, provider)) return price;
  }
  for (const std::string& spelling : model_spellings(model)) {
    const std::string_view full = spelling;
    for (size_t at = full.rfind('-'); at != std::string_view::npos && at > 0; at = full.rfind('-', at - 1)) {
      if (is_other_model(full.substr(at + 1))) break;
      if (const ModelPrice* price = with_prefixes(full.substr(0, at), provider)) return price;
    }
  }
  return nullptr;
}

const ModelPrice* PriceTable::find(std::string_view response_model, std::string_view requested_model,
                                   std::string_view provider) const {
  if (const ModelPrice* price = find(response_model, provider)) return price;
  return find(requested_model, provider);
}

}  // namespace llmtap
