// SPDX-License-Identifier: Apache-2.0
// The results of a batch as they are downloaded: one line per request, each with its own model and
// usage. Priced line by line, because a context tier is decided by one request.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "llm/price_rules.h"
#include "llm/reply_record.h"
#include "llmtap/llm_call.h"

namespace llmtap {

class BatchResults {
 public:
  // `provider`: the call's label.
  BatchResults(std::string provider, std::shared_ptr<const PriceTable> prices, const PriceRules& rules)
      : provider_(std::move(provider)), prices_(std::move(prices)), rules_(rules) {}

  // `model`: of lines that name none; may be empty.
  void add(const ReplyRecord& line, std::string_view model = {});

  // With usage: requests that failed have none and cost nothing, and files of requests have custom ids
  // too.
  uint64_t lines() const { return lines_; }
  const TokenCounts& tokens() const { return tokens_; }
  // The model of all lines; empty: there are several, or none is named.
  const std::string& model() const { return models_ == 1 ? model_ : kNone; }
  // Nothing when a line could not be priced: a part of the sum would be a wrong number.
  std::optional<double> usd() const { return priced_ ? std::optional(usd_) : std::nullopt; }

 private:
  inline static const std::string kNone;
  const std::string provider_;
  const std::shared_ptr<const PriceTable> prices_;
  const PriceRules rules_;
  TokenCounts tokens_;
  std::string model_;
  int models_ = 0;
  double usd_ = 0;
  bool priced_ = true;
  uint64_t lines_ = 0;
};

}  // namespace llmtap
