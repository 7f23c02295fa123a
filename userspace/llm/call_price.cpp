// SPDX-License-Identifier: Apache-2.0
#include "llm/call_price.h"

#include <algorithm>
#include <charconv>

#include "llm/cost.h"

namespace llmtap {
namespace {

// "1024x1792": width, height.
std::pair<uint64_t, uint64_t> size_of(std::string_view text) {
  const size_t x = text.find('x');
  uint32_t width = 0, height = 0;
  if (x == std::string_view::npos) return {};
  const auto number = [](std::string_view digits, uint32_t& to) {
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), to);
    return parsed.ec == std::errc{} && parsed.ptr == digits.data() + digits.size() && to < 65536;
  };
  if (!number(text.substr(0, x), width) || !number(text.substr(x + 1), height)) return {};
  return {width, height};
}

BilledUnits units_of(const LlmCall& call, const CallState& state, const ReplyFacts& f) {
  BilledUnits units;
  if (call.operation == "image_generation" || call.operation == "generate_content") units.images = f.images;
  if (call.operation == "audio_transcription") units.seconds = f.seconds.value_or(0);
  if (call.operation == "audio_speech") units.characters = state.request_facts.characters;
  if (call.operation == "rerank") units.queries = f.usage.get_or_zero(Usage::kSearchUnits);
  const auto [width, height] = size_of(state.request_facts.image_size);
  units.pixels = width * height;
  units.searches = std::max(f.searches, f.usage.get_or_zero(Usage::kSearches));
  units.fast = f.speed == "fast";
  if (f.geo == "us" || call.host.starts_with("us.api.openai.com")) units.region = BilledUnits::Region::kUs;
  if (call.host.starts_with("eu.api.openai.com")) units.region = BilledUnits::Region::kEu;
  return units;
}

const ModelPrice* find_price(const PriceTable& table, const LlmCall& call, const CallState& state,
                             const BilledUnits& units) {
  // Images have an entry per quality and size where these decide: "hd/1024-x-1792/dall-e-3".
  if (units.images > 0 && call.tokens.source == TokenSource::kNone) {
    const auto [width, height] = size_of(state.request_facts.image_size);
    const std::string& quality = state.request_facts.image_quality;
    const std::string size = std::to_string(width) + "-x-" + std::to_string(height) + "/";
    if (width > 0)
      for (const std::string& name :
           {(quality.empty() ? "standard" : quality) + "/" + size + call.model(), size + call.model()})
        if (const ModelPrice* price = table.find(name, call.provider); price && price->key.ends_with(name))
          return price;
  }
  if (const ModelPrice* price = table.find(call.response_model, call.requested_model, call.provider))
    return price;
  // Behind an alias, some gateways name the model that answered.
  return table.find(call.gateway.model_id, {});
}

}  // namespace

bool billed_by_unit(std::string_view operation) {
  return operation == "image_generation" || operation == "audio_speech" ||
         operation == "audio_transcription" || operation == "rerank" || operation == "moderation";
}

void price_call(LlmCall& call, const CallState& state, const ReplyFacts& f, const FinishContext& context) {
  // A gateway's header comes before generation: on streams it says 0.
  const auto& header = call.gateway.response_cost_usd;
  if (header && (!call.stream || *header > 0)) {
    call.cost_usd = header;
    call.cost_source = CostSource::kHeader;
    return;
  }
  if (f.cost_usd) {
    call.cost_usd = f.cost_usd;
    call.cost_source = CostSource::kHeader;
    return;
  }
  if (context.prices == nullptr || call.status < 200 || call.status >= 300) return;
  const BilledUnits units = units_of(call, state, f);
  if (call.tokens.source == TokenSource::kNone && !units.any()) return;
  if (call.tokens.source == TokenSource::kEstimated && !context.options.count_estimated_cost) return;
  const ModelPrice* model = find_price(*context.prices, call, state, units);
  const PriceRules& rules = context.options.prices;
  const ServiceTier tier = service_tier_from(call.service_tier);
  if (model != nullptr)
    call.cost_usd = cost_usd(*model, call.tokens, tier, units, rules.class_factor(call.provider, tier));
  if (call.cost_usd) {
    *call.cost_usd *= rules.paid(call.provider);
    call.cost_source = CostSource::kPriceTable;
  } else {
    call.price_missing = true;
    ++context.counters.price_missing;
  }
}

}  // namespace llmtap
