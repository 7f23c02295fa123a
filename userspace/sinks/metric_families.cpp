// SPDX-License-Identifier: Apache-2.0
#include "sinks/metric_families.h"

#include <array>

#include "llmtap/llm_call.h"

namespace llmtap {
namespace {

constexpr std::array kDur{0.01, 0.025, 0.05, 0.1,  0.25, 0.5,   1.0,   2.5,
                          5.0,  10.0,  20.0, 30.0, 60.0, 120.0, 300.0, 600.0};
constexpr std::array kTtft{0.005, 0.01, 0.025, 0.05, 0.1,  0.25, 0.5,  0.75, 1.0,  1.5,
                           2.0,   3.0,  5.0,   7.5,  10.0, 15.0, 20.0, 30.0, 60.0, 120.0};
constexpr std::array kTok{1.0,     4.0,     16.0,     64.0,      256.0,     1024.0,     4096.0,
                          16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0, 16777216.0, 67108864.0};
constexpr std::array kSize{100.0, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8};
constexpr std::array kTps{1.0,  2.5,   5.0,   10.0,  20.0,  30.0,  40.0,  50.0,
                          75.0, 100.0, 150.0, 200.0, 300.0, 500.0, 1000.0};
constexpr std::array kAge{1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0};
// The OpenTelemetry conventions' own boundaries.
constexpr std::array kGenaiDur{0.01, 0.02, 0.04, 0.08,  0.16,  0.32,  0.64,
                               1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92};
constexpr std::array kGenaiTtft{0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,
                                0.25,  0.5,   0.75, 1.0,  2.5,  5.0,  7.5,  10.0};
constexpr std::array kGenaiTpot{0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5};

constexpr auto kCounter = prometheus::MetricType::Counter;
constexpr auto kGauge = prometheus::MetricType::Gauge;
constexpr auto kHistogram = prometheus::MetricType::Histogram;

#define W "namespace,workload,role"
#define DPOM "direction,provider,operation,model"
#define LIMIT W ",scope,provider,model,kind,id"
#define GENAI                                                                              \
  "gen_ai_operation_name,gen_ai_provider_name,gen_ai_request_model,gen_ai_response_model," \
  "server_address,server_port"

constexpr std::array<FamilyDesc, static_cast<size_t>(FamilyId::kCount)> kFamilies{{
    {"llmtap_requests_total",
     kCounter,
     W ",direction,hop,provider,operation,model,stream,status_code,outcome",
     {},
     false,
     "Finished LLM calls; status_code 0 means that no reply was seen. Sum over hop=\"edge\" to count each "
     "call once."},
    {"llmtap_request_duration_seconds", kHistogram, W "," DPOM ",stream,ok", kDur, true,
     "Time from the first request byte to the last reply byte of LLM calls."},
    {"llmtap_time_to_first_byte_seconds", kHistogram, W "," DPOM, kTtft, false,
     "Time from the first request byte to the first reply byte of streamed LLM calls."},
    {"llmtap_time_to_first_token_seconds", kHistogram, W "," DPOM ",token_kind", kTtft, true,
     "Time from the first request byte to the first stream event that bears a token, by kind of token; any "
     "is the "
     "earliest of all kinds."},
    {"llmtap_inter_token_seconds", kHistogram, W "," DPOM, kInterTokenBuckets, false,
     "Gaps between consecutive token-bearing events of one stream; an event may bear several tokens."},
    {"llmtap_time_per_output_token_seconds", kHistogram, W "," DPOM, kInterTokenBuckets, false,
     "Mean time per output token of one stream after its first token, by reported token counts."},
    {"llmtap_output_tokens_per_second", kHistogram, W "," DPOM, kTps, false,
     "Output tokens of one stream divided by the time from its first to its last token."},
    {"llmtap_stream_duration_seconds", kHistogram, W "," DPOM, kDur, false,
     "Time from the first request byte to the last reply byte of streamed LLM calls."},
    {"llmtap_stream_chunks_total",
     kCounter,
     W "," DPOM,
     {},
     false,
     "Data events of streamed replies, without the terminator."},
    {"llmtap_stream_max_gap_seconds", kHistogram, W "," DPOM, kAge, false,
     "Largest gap between token-bearing events inside one stream."},
    {"llmtap_stream_aborts_total",
     kCounter,
     W "," DPOM ",reason",
     {},
     false,
     "Streams that ended without their terminator, by reason."},
    {"llmtap_in_flight_requests",
     kGauge,
     W ",direction,provider,operation",
     {},
     false,
     "LLM calls open now."},
    {"llmtap_in_flight_oldest_seconds",
     kGauge,
     W ",direction,provider",
     {},
     false,
     "Age of the oldest LLM call that is open now; 0 when none is."},
    {"llmtap_request_size_bytes", kHistogram, W ",direction,provider,operation", kSize, false,
     "Request body bytes of LLM calls."},
    {"llmtap_response_size_bytes", kHistogram, W ",direction,provider,operation", kSize, false,
     "Reply body bytes of LLM calls, before decompression."},
    {"llmtap_finish_reasons_total",
     kCounter,
     W "," DPOM ",reason",
     {},
     false,
     "Reasons why models stopped, as providers name them, one per choice."},
    {"llmtap_tokens_total",
     kCounter,
     W ",direction,hop,provider,operation,model,type,source",
     {},
     false,
     "Tokens of LLM calls. Types input and output are totals; input_cached, input_cache_write, "
     "output_reasoning and "
     "the audio and image types are parts of them."},
    {"llmtap_tokens_per_request", kHistogram, W "," DPOM ",type", kTok, false,
     "Input and output tokens of single LLM calls."},
    {"llmtap_cost_usd_total",
     kCounter,
     W "," DPOM ",source",
     {},
     true,
     "Cost of LLM calls in US dollars, booked at one hop of each chain of calls."},
    {"llmtap_price_missing_total",
     kCounter,
     "provider,model",
     {},
     false,
     "LLM calls with known token counts whose model is not in the price table; they add no cost."},
    {"llmtap_backend_errors_total",
     kCounter,
     W ",provider,endpoint,model,error_type",
     {},
     false,
     "Failed outbound LLM calls, by the provider's error code or its class."},
    {"llmtap_rate_limited_total",
     kCounter,
     W ",origin,provider,model,limit_type",
     {},
     false,
     "LLM calls refused by a rate limit."},
    {"llmtap_ratelimit_limit", kGauge, LIMIT, {}, false, "Rate limit last reported in reply headers."},
    {"llmtap_ratelimit_remaining",
     kGauge,
     LIMIT,
     {},
     false,
     "What was left of the rate limit when it was last reported in reply headers."},
    {"llmtap_ratelimit_reset_seconds",
     kGauge,
     LIMIT,
     {},
     false,
     "Time to the reset of the rate limit when it was last reported in reply headers."},
    {"llmtap_retry_after_seconds", kHistogram, W ",origin,provider", kAge, false,
     "Waiting time asked for by replies with status 429, 503 or 529."},
    {"llmtap_tool_calls_total",
     kCounter,
     W ",provider,model,tool",
     {},
     false,
     "Tool calls that models asked for, by tool."},
    {"llmtap_mcp_calls_total",
     kCounter,
     W ",direction,server,method,tool,status",
     {},
     false,
     "MCP messages over HTTP, by JSON-RPC method and the tool that tools/call names. They are no LLM calls."},
    {"llmtap_mcp_call_duration_seconds", kHistogram, W ",direction,server,method,tool,status", kDur, false,
     "Time from the first request byte to the last reply byte of MCP messages."},
    {"llmtap_exchanges_incomplete_total",
     kCounter,
     W ",reason",
     {},
     false,
     "LLM calls whose numbers may be incomplete because the capture was."},
    {"llmtap_http_requests_total",
     kCounter,
     W ",method,route,status_code",
     {},
     false,
     "Inbound HTTP requests of watched workloads, LLM calls included."},
    {"llmtap_http_request_duration_seconds", kHistogram, W ",method,route,status_code", kDur, false,
     "Time from the first request byte to the last reply byte of inbound HTTP requests."},
    {"llmtap_http_in_flight_requests",
     kGauge,
     W ",method,route",
     {},
     false,
     "Inbound HTTP requests open now."},
    {"llmtap_http_request_size_bytes", kHistogram, W ",method,route", kSize, false,
     "Request body bytes of inbound HTTP requests."},
    {"llmtap_http_response_size_bytes", kHistogram, W ",method,route", kSize, false,
     "Reply body bytes of inbound HTTP requests, before decompression."},
    {"gen_ai_client_operation_duration_seconds", kHistogram, GENAI ",error_type", kGenaiDur, true,
     "Duration of GenAI operations as their client sees them."},
    {"gen_ai_client_token_usage", kHistogram, GENAI ",error_type,gen_ai_token_type", kTok, false,
     "Input and output tokens of GenAI operations as their client sees them."},
    {"gen_ai_client_operation_time_to_first_chunk_seconds", kHistogram, GENAI, kGenaiDur, false,
     "Time to the first chunk of streamed GenAI operations as their client sees them."},
    {"gen_ai_server_request_duration_seconds", kHistogram, GENAI ",error_type", kGenaiDur, true,
     "Duration of GenAI requests as their server sees them."},
    {"gen_ai_server_time_to_first_token_seconds", kHistogram, GENAI, kGenaiTtft, true,
     "Time to the first token of streamed GenAI requests as their server sees them."},
    {"gen_ai_server_time_per_output_token_seconds", kHistogram, GENAI, kGenaiTpot, false,
     "Mean time per output token after the first of streamed GenAI requests as their server sees them."},
}};
#undef W
#undef DPOM
#undef LIMIT
#undef GENAI

}  // namespace

std::span<const FamilyDesc> metric_families() { return kFamilies; }

}  // namespace llmtap
