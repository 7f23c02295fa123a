// SPDX-License-Identifier: Apache-2.0
// Any bytes as a price table. Oracle: one that nlohmann::json refuses is refused, with the file's name and
// in one short message; of one that is taken, every model is found by its name, and no price is negative or
// endless.
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "llm/prices.h"

namespace {

using namespace llmtap;

void check(const std::optional<double>& rate) { LLMTAP_CHECK(!rate || (std::isfinite(*rate) && *rate >= 0)); }

void check(const std::array<Rates, kServiceTiers>& tiers) {
  for (const Rates& r : tiers)
    for (const auto* rate : {&r.input, &r.output, &r.cache_read, &r.cache_write, &r.cache_write_1h,
                             &r.reasoning, &r.input_audio, &r.output_audio, &r.input_image, &r.output_image})
      check(*rate);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto table = PriceTable::parse(input, "prices.json");
  if (!table) {
    LLMTAP_CHECK(table.error().message.find("prices.json") != std::string::npos);
    LLMTAP_CHECK(table.error().message.size() < 1024);
    return 0;
  }
  const nlohmann::json document = nlohmann::json::parse(input, nullptr, false);
  LLMTAP_CHECK(document.is_object());
  size_t found = 0;
  for (const auto& [name, fields] : document.items()) {
    const ModelPrice* price = (*table)->find(name);
    if (!price || price->key != name) continue;
    ++found;
    check(price->rates);
    uint64_t above = 0;
    for (const auto& tier : price->tiers) {
      LLMTAP_CHECK(tier.above_tokens > above);
      above = tier.above_tokens;
      check(tier.rates);
    }
    for (const auto* factor : {&price->per_request_usd, &price->fast_factor, &price->us_factor,
                               &price->eu_factor, &price->units.query, &price->units.input_second})
      check(*factor);
    LLMTAP_CHECK((*table)->find(name, "", "openai") == price);
  }
  LLMTAP_CHECK(found == (*table)->size());
  return 0;
}
