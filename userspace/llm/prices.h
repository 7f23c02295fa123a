// SPDX-License-Identifier: Apache-2.0
// Prices per token, from a file in LiteLLM's format (model_prices_and_context_window.json): one object,
// model name -> fields. Numbers may be strings or null, unknown keys are ignored. A table is immutable:
// a reload makes a new one, so a call keeps the prices it began with.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "llmtap/result.h"

namespace llmtap {

// Service classes that have prices of their own (suffixes _batches, _flex, _priority).
enum class ServiceTier : uint8_t { kStandard, kBatch, kFlex, kPriority };
inline constexpr size_t kServiceTiers = 4;

// Of a request's or reply's service_tier ("default", "auto", "standard", "batch", "flex", "priority",
// "scale", …). Anything else is kStandard.
ServiceTier service_tier_from(std::string_view raw);

// USD per token; absent: not listed.
struct Rates {
  std::optional<double> input, output;
  std::optional<double> cache_read, cache_write, cache_write_1h;
  std::optional<double> reasoning;  // takes the place of `output` for that subset
  std::optional<double> input_audio, output_audio, input_image, output_image;
};

// USD for what is not billed by token.
struct UnitRates {
  std::optional<double> input_image, output_image;  // one image
  std::optional<double> input_pixel, output_pixel;
  std::optional<double> input_second, output_second;
  std::optional<double> input_character, output_character;
  std::optional<double> query;                                   // search units of a ranking
  std::optional<double> search_low, search_medium, search_high;  // web searches beside the tokens
  bool any() const {
    return input_image || output_image || input_pixel || output_pixel || input_second || output_second ||
           input_character || output_character || query;
  }
};

struct ModelPrice {
  // Prices of requests with more than `above_tokens` input tokens, cache included. They hold for the
  // whole request, not for the part above.
  struct ContextTier {
    uint64_t above_tokens = 0;
    std::array<Rates, kServiceTiers> rates;
  };
  std::string key;       // the table's name of the model
  std::string provider;  // litellm_provider
  std::string mode;      // chat, embedding, …
  std::array<Rates, kServiceTiers> rates;
  std::vector<ContextTier> tiers;  // ascending
  UnitRates units;
  std::optional<double> per_request_usd;
  // Factors on the whole price: a faster service, processing in one region.
  std::optional<double> fast_factor, us_factor, eu_factor;
};

class PriceTable {
 public:
  // Reads a file. The version is the table's own (`sample_spec.table_version`), else the day on which
  // the file was last changed. An error names the file and what to do.
  static Result<std::shared_ptr<const PriceTable>> load(const std::string& path);
  // `name` is for messages. Without a version in the table, `fallback_version`.
  static Result<std::shared_ptr<const PriceTable>> parse(std::string_view json, std::string_view name,
                                                         std::string_view fallback_version = "unversioned",
                                                         std::optional<int64_t> fallback_updated_s = {});
  // The table that is part of the program.
  static Result<std::shared_ptr<const PriceTable>> builtin();

  // Price of a model as a reply or request names it, nullptr if it is not known (never a price of 0).
  // `provider` is the call's provider label, may be empty. Order: exact; with the provider's prefix;
  // without date or release suffix; longest known prefix that ends at '-', unless what follows says
  // that it is another model (mini, lite, a version number, …).
  const ModelPrice* find(std::string_view model, std::string_view provider = {}) const;
  // The same for the response model first, then the requested one.
  const ModelPrice* find(std::string_view response_model, std::string_view requested_model,
                         std::string_view provider) const;

  const std::string& version() const { return version_; }  // YYYY-MM-DD
  // Unix time of the version's day; of the file's last change where the version is no day.
  std::optional<int64_t> updated_s() const { return updated_s_; }
  size_t size() const { return models_.size(); }
  // Entries that were no objects or had no usable price.
  size_t skipped() const { return skipped_; }

 private:
  const ModelPrice* exact(std::string_view model) const;
  const ModelPrice* with_prefixes(std::string_view model, std::string_view provider) const;

  std::map<std::string, ModelPrice, std::less<>> models_;
  std::string version_;
  std::optional<int64_t> updated_s_;
  size_t skipped_ = 0;
};

}  // namespace llmtap
