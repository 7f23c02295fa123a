// SPDX-License-Identifier: Apache-2.0
// One LLM call, and one plain HTTP exchange, as the sinks see them. Made by llm/, completed by
// links/. Nothing here holds a prompt, a completion or a credential. A number is exact, or marked as
// an estimate, or absent. All times are CLOCK_MONOTONIC nanoseconds, 0 = did not happen or not seen;
// names in brackets are the clock marks of the metric reference (inbound / outbound).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "llmtap/facts.h"
#include "llmtap/message.h"

namespace llmtap {

enum class CallDirection : uint8_t { kInbound, kOutbound };
enum class Hop : uint8_t { kUnknown, kEdge, kInner };
enum class WorkloadRole : uint8_t { kClient, kServer, kGateway };

enum class Outcome : uint8_t {
  kOk,
  kClientError,
  kAuthError,
  kRateLimited,
  kContentBlocked,
  kBudgetExceeded,
  kNotFound,
  kServerError,
  kTimeout,
  kConnectionError,
  kClientAborted,
  kStreamError,
  kTruncated,
};

// Why a call's numbers may be missing something.
enum class Incomplete : uint8_t {
  kNo,
  kTruncated,
  kLostSegment,
  kMidStreamAttach,
  kParseError,
  kDecompressError
};

enum class AbortReason : uint8_t {
  kNone,
  kClientClosed,
  kUpstreamReset,
  kUpstreamErrorEvent,
  kIdleTimeout,
  kTruncated
};

// What a traceparent says of the trace: whether its sender records it.
enum class TraceFlag : uint8_t { kNone, kNotSampled, kSampled };

enum class TokenSource : uint8_t { kNone, kReported, kGateway, kEstimated };
enum class CostSource : uint8_t { kNone, kHeader, kPriceTable };

struct TokenCounts {
  // input includes cache read and write, output includes reasoning; the others are subsets.
  std::optional<uint64_t> input, output;
  std::optional<uint64_t> cached, cache_write, cache_write_1h, reasoning;
  std::optional<uint64_t> input_audio, output_audio, input_image, output_image;
  TokenSource source = TokenSource::kNone;
};

// One of the rate-limit dimensions a reply reported.
struct RateLimit {
  enum class Kind : uint8_t { kRequests, kTokens, kInputTokens, kOutputTokens };
  enum class Scope : uint8_t { kProvider, kKey, kTeam, kUser };
  Kind kind = Kind::kRequests;
  Scope scope = Scope::kProvider;
  std::optional<double> limit, remaining, reset_seconds;
};

// What LiteLLM (and other gateways) say of a call in their replies.
struct GatewayFacts {
  std::string name;  // "litellm", "portkey", …; empty: no gateway header seen
  std::string call_id, model_id, model_group, version;
  std::optional<double> response_cost_usd;
  std::optional<uint32_t> attempted_retries, attempted_fallbacks;
  std::optional<double> key_spend_usd, key_max_budget_usd;
  std::optional<double> key_tpm_limit, key_rpm_limit;
  std::optional<double> overhead_ms, response_duration_ms;
  std::optional<bool> cache_hit;  // by a cache status header
  std::string provider;           // whom it asked, in its own words; empty: it does not say
};

// Gaps between consecutive token-bearing events, in the ITL buckets of the metric reference
// (seconds): 0.001 … 10, the last one is +Inf. Kept as counts so that a stream of any length fits.
inline constexpr std::array<double, 19> kInterTokenBuckets{0.001, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.03,
                                                           0.05,  0.075,  0.1,   0.15, 0.2,   0.3,  0.5,
                                                           0.75,  1,      2.5,   5,    10};
struct InterTokenGaps {
  std::array<uint64_t, kInterTokenBuckets.size() + 1> counts{};  // not cumulative
  uint64_t total = 0;
  double sum_seconds = 0;
  double max_seconds = 0;
};

struct LlmCall {
  // Identity of the exchange.
  ExchangeId exchange;
  std::shared_ptr<const ProcessFacts> process;  // never null
  ConnectionFacts connection;
  CallDirection direction = CallDirection::kOutbound;
  WorkloadRole role = WorkloadRole::kClient;
  Hop hop = Hop::kUnknown;         // by links/, before the sinks see the finished call
  bool refused_upstream = false;   // by links/: an inbound refusal (429) that an outbound call got first
  bool connection_reused = false;  // not the connection's first exchange

  // Request.
  std::string method, route, path;  // route: template; path: without query, secrets masked
  std::string host;                 // authority, default port removed
  HttpVersion http_version = HttpVersion::kUnknown;
  std::string provider, operation;  // label values
  std::string dialect;              // "openai_chat", "anthropic", …
  std::string requested_model, response_model;
  bool stream = false;
  std::string user_agent;  // allow-listed, ≤ 128 printable bytes
  std::optional<uint64_t> max_tokens;
  std::optional<double> temperature, top_p;
  std::optional<uint64_t> choice_count;
  std::string service_tier;
  uint32_t sdk_retry_count = 0;
  std::string idempotency_sha256;  // of the key's header; the key itself is never kept
  std::string retry_of;            // request_id of the first attempt; empty: this is it, or nothing says
  // MCP: the JSON-RPC method ("other" if the protocol has no such method), and the tool it calls.
  std::string mcp_method, mcp_tool;

  // Response.
  int status = 0;  // 0: no reply
  Outcome outcome = Outcome::kOk;
  std::string error_class;                  // rate_limit, quota, context_length, …; empty: none
  std::string error_code;                   // provider's code or type, masked and bounded
  std::vector<std::string> finish_reasons;  // raw, by choice
  std::string finish_class;                 // stop, length, tool, filter, error, other
  uint32_t tool_calls = 0;
  std::vector<std::string> tool_names;
  AbortReason abort = AbortReason::kNone;
  Incomplete incomplete = Incomplete::kNo;

  // Ids.
  std::string request_id, response_id, provider_request_id, trace_id, parent_span_id;
  TraceFlag trace_flag = TraceFlag::kNone;  // kNone: the request carries no trace context
  std::string previous_response_id, conversation_id;
  std::string key_sha256, end_user_sha256;
  uint64_t fingerprint = 0;  // of the last user message; 0: none. For links/ only, never shown

  // Sizes (body bytes on the wire) and stream shape.
  uint64_t request_bytes = 0, response_bytes = 0;
  uint64_t stream_chunks = 0;   // data events without the terminator
  uint64_t content_chunks = 0;  // those that bear tokens
  InterTokenGaps gaps;

  TokenCounts tokens;
  uint64_t batch_results = 0;  // of a batch, read by this exchange; tokens and cost are their sums
  std::optional<double> cost_usd;
  CostSource cost_source = CostSource::kNone;
  bool cost_booked = false;  // by links/: this hop carries the chain's cost
  bool price_missing = false;

  std::vector<RateLimit> rate_limits;
  std::string limit_type;  // of a 429, D12; empty otherwise
  std::optional<double> retry_after_seconds;
  GatewayFacts gateway;

  // Clock marks.
  uint64_t request_start_ns = 0;   // T1 / T4
  uint64_t request_end_ns = 0;     // T2 / T5
  uint64_t response_start_ns = 0;  // T9 / T6: first byte of the response head
  uint64_t first_body_ns = 0;      //    / T6b
  uint64_t first_content_ns = 0, first_reasoning_ns = 0, first_tool_ns = 0, first_audio_ns = 0;
  uint64_t first_token_ns = 0;  // T10 / T7: the earliest of these
  uint64_t last_token_ns = 0;
  uint64_t end_ns = 0;                          // T11 / T8
  uint64_t start_wall_ns = 0, end_wall_ns = 0;  // Unix time, by the clock events

  const std::string& model() const { return response_model.empty() ? requested_model : response_model; }
  double duration_seconds() const {
    return end_ns > request_start_ns ? double(end_ns - request_start_ns) * 1e-9 : 0;
  }
};

// Every inbound HTTP exchange of a watched workload, LLM call or not.
struct HttpExchange {
  ExchangeId exchange;
  std::shared_ptr<const ProcessFacts> process;
  CallDirection direction = CallDirection::kInbound;
  WorkloadRole role = WorkloadRole::kServer;
  bool watched = false;  // role gateway or server, or named by targets.include
  std::string method, route;
  int status = 0;
  uint64_t request_bytes = 0, response_bytes = 0;
  uint64_t start_ns = 0, end_ns = 0;
};

}  // namespace llmtap
