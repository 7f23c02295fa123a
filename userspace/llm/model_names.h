// SPDX-License-Identifier: Apache-2.0
// How the same model is spelled by providers, deployments and price tables.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace llmtap {

// Prefixes under which a price table lists a provider's models ("groq/"), by provider label.
std::span<const std::string_view> price_prefixes(std::string_view provider);

// The name itself, then without "models/", a region ("us.") or a provider prefix ("openai/"), and with
// Azure's spelling undone. Most certain first, at most 6.
std::vector<std::string> model_spellings(std::string_view model);

// Cuts one date or release suffix (-2026-01-31, -20260131, -0131, @20260131, -v1:0, -latest, :free,
// -preview); false: there is none.
bool strip_release_suffix(std::string_view& model);

// The rest of a name behind a known model says that it is another one: "mini", "lite", "8", "audio".
bool is_other_model(std::string_view rest);

}  // namespace llmtap
