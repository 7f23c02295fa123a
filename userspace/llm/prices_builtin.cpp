// SPDX-License-Identifier: Apache-2.0
#include "llm/prices.h"

// Of llmtap_embed(… data/model-prices.json llmtap_model_prices).
extern "C" {
extern const char llmtap_model_prices_begin[];
extern const char llmtap_model_prices_end[];
}

namespace llmtap {

Result<std::shared_ptr<const PriceTable>> PriceTable::builtin() {
  return parse({llmtap_model_prices_begin, llmtap_model_prices_end}, "built-in price table");
}

}  // namespace llmtap
