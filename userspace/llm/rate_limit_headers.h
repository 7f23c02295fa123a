// SPDX-License-Identifier: Apache-2.0
// Rate-limit headers of replies: OpenAI and its relatives (Go durations), Azure (plain seconds),
// Anthropic (RFC 3339), LiteLLM's key, team and user scopes, retry-after in its three forms.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "llmtap/llm_call.h"
#include "llmtap/message.h"

namespace llmtap {

struct RateLimitHeaders {
  std::vector<RateLimit> limits;  // one per kind and scope, at most 16
  std::optional<double> retry_after_seconds;
};

// `wall_ns` is the Unix time of the reply, for resets and retries given as a date; 0: those are not
// read.
RateLimitHeaders parse_rate_limit_headers(std::span<const HeaderField> response_headers, uint64_t wall_ns);

// "1h36m16.107s", "12ms", "6m0s", "17.4s", "250us" in seconds.
std::optional<double> parse_go_duration(std::string_view text);

// "2026-11-21T14:33:00Z", with fraction and offset, as Unix seconds.
std::optional<double> parse_rfc3339(std::string_view text);

// "Sat, 21 Nov 2026 14:33:00 GMT" (IMF-fixdate, RFC 9110 5.6.7) as Unix seconds.
std::optional<double> parse_http_date(std::string_view text);

}  // namespace llmtap
