// SPDX-License-Identifier: Apache-2.0
#include "llm/cost.h"

#include <algorithm>

namespace llmtap {

namespace {

using Factor = std::optional<double>;

Factor ratio(const std::optional<double>& of, const std::optional<double>& to, Factor otherwise) {
  return of && to && *to > 0 ? *of / *to : otherwise;
}

// What `special` (a service class, or a context tier) does not list, from `base`: input-like rates move
// as the input rate does, output-like ones as the output rate. Providers state such surcharges and
// discounts as one factor for a side.
Rates filled(const Rates& special, const Rates& base, Factor unlisted) {
  const Factor in = ratio(special.input, base.input, unlisted);
  const Factor out = ratio(special.output, base.output, special.input ? in : unlisted);
  const auto pick = [](const std::optional<double>& listed, const std::optional<double>& standard,
                       Factor factor) -> std::optional<double> {
    if (listed) return listed;
    if (standard && factor) return *standard * *factor;
    return std::nullopt;
  };
  Rates rates;
  rates.input = pick(special.input, base.input, in);
  rates.cache_read = pick(special.cache_read, base.cache_read, in);
  rates.cache_write = pick(special.cache_write, base.cache_write, in);
  rates.cache_write_1h = pick(special.cache_write_1h, base.cache_write_1h, in);
  rates.input_audio = pick(special.input_audio, base.input_audio, in);
  rates.input_image = pick(special.input_image, base.input_image, in);
  rates.output = pick(special.output, base.output, out);
  rates.reasoning = pick(special.reasoning, base.reasoning, out);
  rates.output_audio = pick(special.output_audio, base.output_audio, out);
  rates.output_image = pick(special.output_image, base.output_image, out);
  return rates;
}

class Sum {
 public:
  // Tokens without a rate make the whole cost unknown: a partial sum would be a wrong number.
  void add(uint64_t tokens, const std::optional<double>& rate) {
    if (tokens == 0) return;
    if (rate)
      usd_ += static_cast<double>(tokens) * *rate;
    else
      known_ = false;
  }
  void add(double usd) { usd_ += usd; }
  std::optional<double> usd() const { return known_ ? std::optional(usd_) : std::nullopt; }

 private:
  double usd_ = 0;
  bool known_ = true;
};

bool has_output(const ModelPrice& price) {
  return price.mode != "embedding" && price.mode != "rerank" && price.mode != "moderation";
}

}  // namespace

Rates effective_rates(const ModelPrice& price, uint64_t input_tokens, ServiceTier service, Factor unlisted) {
  const ModelPrice::ContextTier* tier = nullptr;
  for (const ModelPrice::ContextTier& candidate : price.tiers)
    if (input_tokens > candidate.above_tokens) tier = &candidate;
  const Rates& base = price.rates[0];
  const Rates standard = tier ? filled(tier->rates[0], base, 1) : base;
  if (service == ServiceTier::kStandard) return standard;

  const size_t index = static_cast<size_t>(service);
  if (!tier) return filled(price.rates[index], base, unlisted);
  // The tier's own price for the class, else the class's factor below the tier.
  const Rates below = filled(price.rates[index], base, unlisted);
  Rates special = tier->rates[index];
  const auto scaled = [](const std::optional<double>& rate, Factor factor) {
    return rate && factor ? std::optional(*rate * *factor) : std::nullopt;
  };
  if (!special.input) special.input = scaled(standard.input, ratio(below.input, base.input, unlisted));
  if (!special.output) special.output = scaled(standard.output, ratio(below.output, base.output, unlisted));
  return filled(special, standard, unlisted);
}

static std::optional<double> token_cost(const ModelPrice& price, const TokenCounts& tokens,
                                        ServiceTier service, Factor unlisted) {
  if (!tokens.input) return std::nullopt;
  if (!tokens.output && has_output(price)) return std::nullopt;
  const uint64_t input = *tokens.input;
  const uint64_t output = tokens.output.value_or(0);
  const uint64_t cached = tokens.cached.value_or(0);
  const uint64_t written = std::max(tokens.cache_write.value_or(0), tokens.cache_write_1h.value_or(0));
  const uint64_t written_1h = tokens.cache_write_1h.value_or(0);
  const uint64_t reasoning = tokens.reasoning.value_or(0);
  if (cached > input || written > input - cached || reasoning > output) return std::nullopt;

  const Rates rates = effective_rates(price, input, service, unlisted);
  const auto or_else = [](const std::optional<double>& a, const std::optional<double>& b) {
    return a ? a : b;
  };
  // Cached parts can themselves be audio or images: only what is left of the input counts as such.
  uint64_t plain = input - cached - written;
  const uint64_t audio_in = rates.input_audio ? std::min(tokens.input_audio.value_or(0), plain) : 0;
  plain -= audio_in;
  const uint64_t image_in = rates.input_image ? std::min(tokens.input_image.value_or(0), plain) : 0;
  plain -= image_in;
  uint64_t spoken = output - reasoning;
  const uint64_t audio_out = rates.output_audio ? std::min(tokens.output_audio.value_or(0), spoken) : 0;
  spoken -= audio_out;
  // What has no price for words makes nothing but images.
  const uint64_t drawn = rates.output ? tokens.output_image.value_or(0) : spoken;
  const uint64_t image_out = rates.output_image ? std::min(drawn, spoken) : 0;
  spoken -= image_out;

  const std::optional<double> write = or_else(rates.cache_write, rates.input);
  Sum sum;
  sum.add(plain, rates.input);
  sum.add(audio_in, rates.input_audio);
  sum.add(image_in, rates.input_image);
  sum.add(cached, or_else(rates.cache_read, rates.input));
  sum.add(written - written_1h, write);
  // Who writes for an hour (Anthropic, also at Bedrock and Vertex) asks 2 times the input rate for it,
  // and 1.25 times for five minutes.
  const auto hour = rates.cache_write ? std::optional(*rates.cache_write * 1.6) : rates.input;
  sum.add(written_1h, or_else(rates.cache_write_1h, hour));
  sum.add(spoken, rates.output);
  sum.add(audio_out, rates.output_audio);
  sum.add(image_out, rates.output_image);
  sum.add(reasoning, or_else(rates.reasoning, rates.output));
  return sum.usd();
}

static std::optional<double> unit_cost(const ModelPrice& price, const BilledUnits& used) {
  const UnitRates& rates = price.units;
  const auto of = [](double amount, const std::optional<double>& rate,
                     const std::optional<double>& other) -> std::optional<double> {
    const std::optional<double>& either = rate ? rate : other;
    return either ? std::optional(amount * *either) : std::nullopt;
  };
  if (used.images > 0) {
    const auto images = static_cast<double>(used.images);
    if (auto usd = of(images, rates.output_image, rates.input_image)) return usd;
    if (used.pixels == 0) return std::nullopt;
    return of(images * static_cast<double>(used.pixels), rates.output_pixel, rates.input_pixel);
  }
  // Tables list the price of a second of the same audio on both sides: it is one price.
  if (used.seconds > 0) return of(used.seconds, rates.input_second, rates.output_second);
  if (used.characters > 0) return of(static_cast<double>(used.characters), rates.input_character, {});
  if (used.queries > 0) return of(static_cast<double>(used.queries), rates.query, {});
  return std::nullopt;
}

std::optional<double> cost_usd(const ModelPrice& price, const TokenCounts& tokens, ServiceTier service,
                               const BilledUnits& used, Factor unlisted_class) {
  const Rates& standard = price.rates[0];
  const bool by_tokens =
      tokens.input && (standard.input || standard.output || standard.output_image || !used.any());
  const bool fee_only = !standard.input && !standard.output && !price.units.any() && price.per_request_usd;
  std::optional<double> usd = fee_only    ? std::optional(0.0)
                              : by_tokens ? token_cost(price, tokens, service, unlisted_class)
                                          : unit_cost(price, used);
  if (!usd) return std::nullopt;
  if (price.per_request_usd) *usd += *price.per_request_usd;
  if (used.fast) {
    if (!price.fast_factor) return std::nullopt;
    *usd *= *price.fast_factor;
  }
  // A model without a factor costs the same everywhere.
  if (used.region == BilledUnits::Region::kUs) *usd *= price.us_factor.value_or(1);
  if (used.region == BilledUnits::Region::kEu) *usd *= price.eu_factor.value_or(1);
  if (used.searches > 0) {
    const UnitRates& u = price.units;
    const auto& fee = u.search_medium ? u.search_medium : u.search_low ? u.search_low : u.search_high;
    if (!fee) return std::nullopt;
    *usd += static_cast<double>(used.searches) * *fee;
  }
  return usd;
}

}  // namespace llmtap
