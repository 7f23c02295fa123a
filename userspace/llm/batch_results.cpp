// SPDX-License-Identifier: Apache-2.0
#include "llm/batch_results.h"

#include <algorithm>

#include "llm/cost.h"
#include "llm/reply_shape.h"
#include "llm/token_rules.h"

namespace llmtap {
namespace {

void add_to(std::optional<uint64_t>& sum, const std::optional<uint64_t>& more) {
  if (more) sum = sum.value_or(0) + *more;
}

}  // namespace

void BatchResults::add(const ReplyRecord& line, std::string_view model) {
  const TokenCounts tokens = count_tokens(line.usage, shape_of(line), provider_);
  if (tokens.source == TokenSource::kNone) return;
  ++lines_;
  add_to(tokens_.input, tokens.input);
  // Embeddings have none.
  add_to(tokens_.output, tokens.output);
  add_to(tokens_.cached, tokens.cached);
  add_to(tokens_.cache_write, tokens.cache_write);
  add_to(tokens_.cache_write_1h, tokens.cache_write_1h);
  add_to(tokens_.reasoning, tokens.reasoning);
  add_to(tokens_.input_audio, tokens.input_audio);
  add_to(tokens_.output_audio, tokens.output_audio);
  add_to(tokens_.input_image, tokens.input_image);
  add_to(tokens_.output_image, tokens.output_image);
  tokens_.source = TokenSource::kReported;
  if (!line.model.empty()) model = line.model;
  if (models_ == 0 || model != model_) models_ = std::min(models_ + 1, 2);
  if (models_ == 1) model_ = model;
  const ModelPrice* price = prices_ ? prices_->find(model, provider_) : nullptr;
  const auto usd = price == nullptr ? std::nullopt
                                    : cost_usd(*price, tokens, ServiceTier::kBatch, {},
                                               rules_.class_factor(provider_, ServiceTier::kBatch));
  if (usd)
    usd_ += *usd * rules_.paid(provider_);
  else
    priced_ = false;
}

}  // namespace llmtap
