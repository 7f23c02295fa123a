// SPDX-License-Identifier: Apache-2.0
#include "sinks/metrics.h"

#include <algorithm>
#include <array>

#include "sinks/label_names.h"

namespace llmtap {
namespace {

// Caps of the metric reference that are no setting.
constexpr size_t kProviders = 40;
constexpr size_t kOperations = 24;
constexpr size_t kStatusCodes = 60;
constexpr size_t kClosedList = 50;
constexpr uint64_t kExpiryPeriodNs = 60'000'000'000;

double seconds_between(uint64_t from, uint64_t to) {
  return from != 0 && to > from ? static_cast<double>(to - from) / 1e9 : -1;
}

std::string or_unknown(std::string_view value) { return std::string(value.empty() ? "unknown" : value); }

// finish_reason, stop_reason and incomplete_details.reason as the providers write them.
constexpr std::array<std::string_view, 34> kFinishReasons{"stop",
                                                          "length",
                                                          "tool_calls",
                                                          "function_call",
                                                          "content_filter",
                                                          "end_turn",
                                                          "max_tokens",
                                                          "stop_sequence",
                                                          "tool_use",
                                                          "pause_turn",
                                                          "refusal",
                                                          "model_context_window_exceeded",
                                                          "compaction",
                                                          "max_output_tokens",
                                                          "safety",
                                                          "recitation",
                                                          "language",
                                                          "blocklist",
                                                          "prohibited_content",
                                                          "spii",
                                                          "malformed_function_call",
                                                          "unexpected_tool_call",
                                                          "too_many_tool_calls",
                                                          "guardrail_intervened",
                                                          "content_filtered",
                                                          "complete",
                                                          "stop_token",
                                                          "eos_token",
                                                          "tool_call",
                                                          "error",
                                                          "error_toxic",
                                                          "insufficient_system_resource",
                                                          "completed",
                                                          "image_safety"};

std::string finish_reason(std::string_view raw) {
  std::string reason(raw.substr(0, kLabelBytes));
  std::ranges::transform(reason, reason.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return std::ranges::find(kFinishReasons, reason) != kFinishReasons.end() ? reason
                                                                           : std::string(kOtherLabel);
}

const ProcessFacts& facts_of(const std::shared_ptr<const ProcessFacts>& process) {
  static const ProcessFacts kNobody{.workload = "unknown"};
  return process ? *process : kNobody;
}

}  // namespace

struct Metrics::Names {
  std::string ns, workload, role, direction, hop, provider, operation, model, stream;
};

Metrics::Metrics(const Limits& limits, MetricsOptions options)
    : limits_(limits),
      options_(std::move(options)),
      caps_(options_.series_ttl),
      store_(metric_families().first(options_.genai_names ? metric_families().size() : kFirstGenaiFamily),
             limits.series) {}

std::string Metrics::model_label(const LlmCall& call, const std::string& model, const std::string& workload) {
  if (model.empty()) return "unknown";
  // Model names are the client's input: one that only ever got "no such model" must not make a series.
  const bool may_enter = call.status != 400 && call.status != 404;
  return std::string(
      caps_.admit("model", workload, model, limits_.models_per_workload, call.end_ns, may_enter));
}

Metrics::Names Metrics::names_of(const LlmCall& call) {
  Names names;
  names.workload = clean_label(facts_of(call.process).workload);
  names.role = name_of(call.role);
  names.direction = name_of(call.direction);
  names.hop = name_of(call.hop);
  names.provider = caps_.admit("provider", "", or_unknown(call.provider), kProviders, call.end_ns);
  names.operation = caps_.admit("operation", "", or_unknown(call.operation), kOperations, call.end_ns);
  names.model = model_label(call, call.model(), names.workload);
  names.stream = call.stream ? "true" : "false";
  return names;
}

#define W(n) (n).ns, (n).workload, (n).role
#define DPO(n) (n).direction, (n).provider, (n).operation
#define DPOM(n) (n).direction, (n).provider, (n).operation, (n).model

void Metrics::on_call_finished(const LlmCall& call) {
  const Names n = names_of(call);
  land(calls_, call.exchange);
  if (!call.mcp_method.empty()) return count_mcp(call, n);
  const std::string status{caps_.admit("status", "", std::to_string(call.status), kStatusCodes, call.end_ns)};
  store_.add(
      FamilyId::kRequests,
      {W(n), n.direction, n.hop, n.provider, n.operation, n.model, n.stream, status, name_of(call.outcome)},
      1);

  Exemplar traced;
  if (options_.exemplars && !call.trace_id.empty()) {
    traced.trace_id = clean_label(call.trace_id).substr(0, 32);
    traced.timestamp_seconds = static_cast<double>(call.end_wall_ns) / 1e9;
  }
  const Exemplar* exemplar = traced.trace_id.empty() ? nullptr : &traced;

  if (const double duration = seconds_between(call.request_start_ns, call.end_ns); duration >= 0) {
    traced.value = duration;
    store_.observe(FamilyId::kDuration,
                   {W(n), DPOM(n), n.stream, call.outcome == Outcome::kOk ? "true" : "false"}, duration,
                   exemplar);
    if (call.stream) store_.observe(FamilyId::kStreamDuration, {W(n), DPOM(n)}, duration);
  }
  count_incomplete(call, n);
  count_sizes_and_tokens(call, n);
  if (call.stream) count_stream(call, n, exemplar ? &traced : nullptr);
  count_replies(call, n);
  count_failures(call, n);
  count_rate_limits(call, n);
  if (call.cost_booked && call.cost_usd && call.cost_source != CostSource::kNone) {
    traced.value = *call.cost_usd;
    // A counter never falls: a negative price would be a fault of the table.
    store_.add(FamilyId::kCost, {W(n), DPOM(n), name_of(call.cost_source)}, std::max(0.0, *call.cost_usd),
               exemplar);
  }
  if (call.price_missing) store_.add(FamilyId::kPriceMissing, {n.provider, n.model}, 1);
  if (options_.genai_names) count_genai(call, n, exemplar ? &traced : nullptr);
}

// Tools are run by servers of the user's own: no tokens, no price, and none of the models' rates.
void Metrics::count_mcp(const LlmCall& call, const Names& n) {
  const std::string server{caps_.admit("endpoint", n.workload, or_unknown(call.host),
                                       limits_.endpoints_per_workload, call.end_ns)};
  const std::string tool{call.mcp_tool.empty() ? ""
                                               : caps_.admit("tool", n.workload, call.mcp_tool,
                                                             limits_.tools_per_workload, call.end_ns)};
  const std::string_view status = call.outcome == Outcome::kOk ? "ok" : "error";
  store_.add(FamilyId::kMcpCalls, {W(n), n.direction, server, call.mcp_method, tool, status}, 1);
  if (const double duration = seconds_between(call.request_start_ns, call.end_ns); duration >= 0)
    store_.observe(FamilyId::kMcpDuration, {W(n), n.direction, server, call.mcp_method, tool, status},
                   duration);
}

void Metrics::count_incomplete(const LlmCall& call, const Names& n) {
  // The first loss of a workload must show in a rate: its series stand at 0 from its first call on.
  if (workloads_.size() >= limits_.workloads) workloads_.clear();
  if (workloads_.insert(n.workload + '\n' + n.role).second)
    for (const Incomplete reason :
         {Incomplete::kTruncated, Incomplete::kLostSegment, Incomplete::kMidStreamAttach,
          Incomplete::kParseError, Incomplete::kDecompressError})
      store_.add(FamilyId::kExchangesIncomplete, {W(n), name_of(reason)}, 0);
  if (call.incomplete != Incomplete::kNo)
    store_.add(FamilyId::kExchangesIncomplete, {W(n), name_of(call.incomplete)}, 1);
}

void Metrics::count_sizes_and_tokens(const LlmCall& call, const Names& n) {
  store_.observe(FamilyId::kRequestSize, {W(n), DPO(n)}, static_cast<double>(call.request_bytes));
  if (call.status != 0)
    store_.observe(FamilyId::kResponseSize, {W(n), DPO(n)}, static_cast<double>(call.response_bytes));
  const TokenCounts& tokens = call.tokens;
  if (tokens.source == TokenSource::kNone) return;
  const std::string_view source = name_of(tokens.source);
  const auto count = [&](std::string_view type, const std::optional<uint64_t>& value) {
    if (value && (*value > 0 || type == "input" || type == "output"))
      store_.add(FamilyId::kTokens,
                 {W(n), n.direction, n.hop, n.provider, n.operation, n.model, type, source},
                 static_cast<double>(*value));
  };
  count("input", tokens.input);
  count("output", tokens.output);
  count("input_cached", tokens.cached);
  count("input_cache_write", tokens.cache_write);
  count("output_reasoning", tokens.reasoning);
  count("input_audio", tokens.input_audio);
  count("output_audio", tokens.output_audio);
  count("input_image", tokens.input_image);
  if (tokens.input)
    store_.observe(FamilyId::kTokensPerRequest, {W(n), DPOM(n), "input"}, static_cast<double>(*tokens.input));
  if (tokens.output)
    store_.observe(FamilyId::kTokensPerRequest, {W(n), DPOM(n), "output"},
                   static_cast<double>(*tokens.output));
}

void Metrics::count_stream(const LlmCall& call, const Names& n, const Exemplar* traced) {
  if (const double ttfb = seconds_between(call.request_start_ns, call.response_start_ns); ttfb >= 0)
    store_.observe(FamilyId::kFirstByte, {W(n), DPOM(n)}, ttfb);
  const auto first = [&](std::string_view kind, uint64_t at_ns) {
    const double ttft = seconds_between(call.request_start_ns, at_ns);
    if (ttft < 0) return;
    Exemplar exemplar = traced ? *traced : Exemplar{};
    exemplar.value = ttft;
    store_.observe(FamilyId::kFirstToken, {W(n), DPOM(n), kind}, ttft, traced ? &exemplar : nullptr);
  };
  first("any", call.first_token_ns);
  first("content", call.first_content_ns);
  first("reasoning", call.first_reasoning_ns);
  first("tool", call.first_tool_ns);
  first("audio", call.first_audio_ns);
  if (call.gaps.total > 0) {
    store_.merge(FamilyId::kInterToken, {W(n), DPOM(n)}, call.gaps.counts, call.gaps.sum_seconds);
    store_.observe(FamilyId::kStreamMaxGap, {W(n), DPOM(n)}, call.gaps.max_seconds);
  }
  const double generating = seconds_between(call.first_token_ns, call.last_token_ns);
  if (generating > 0 && call.tokens.output && *call.tokens.output >= 2) {
    const auto output = static_cast<double>(*call.tokens.output);
    store_.observe(FamilyId::kTimePerToken, {W(n), DPOM(n)}, generating / (output - 1));
    store_.observe(FamilyId::kTokensPerSecond, {W(n), DPOM(n)}, output / generating);
  }
  if (call.stream_chunks > 0)
    store_.add(FamilyId::kStreamChunks, {W(n), DPOM(n)}, static_cast<double>(call.stream_chunks));
  if (call.abort != AbortReason::kNone)
    store_.add(FamilyId::kStreamAborts, {W(n), DPOM(n), name_of(call.abort)}, 1);
}

void Metrics::count_replies(const LlmCall& call, const Names& n) {
  for (const std::string& raw : call.finish_reasons)
    store_.add(FamilyId::kFinishReasons, {W(n), DPOM(n), finish_reason(raw)}, 1);
  if (call.finish_reasons.empty() && !call.finish_class.empty())
    store_.add(FamilyId::kFinishReasons, {W(n), DPOM(n), finish_reason(call.finish_class)}, 1);
  for (const std::string& tool : call.tool_names) {
    const std::string label{
        caps_.admit("tool", n.workload, or_unknown(tool), limits_.tools_per_workload, call.end_ns)};
    store_.add(FamilyId::kToolCalls, {W(n), n.provider, n.model, label}, 1);
  }
  if (call.tool_calls > call.tool_names.size())
    store_.add(FamilyId::kToolCalls, {W(n), n.provider, n.model, kOtherLabel},
               static_cast<double>(call.tool_calls - call.tool_names.size()));
}

void Metrics::count_failures(const LlmCall& call, const Names& n) {
  const bool failed = call.outcome != Outcome::kOk && call.outcome != Outcome::kClientAborted;
  if (!failed || call.direction != CallDirection::kOutbound) return;
  std::string peer = call.host;
  if (peer.empty() && call.connection.has_addresses)
    peer = address_text(call.connection.remote) + ":" + std::to_string(call.connection.remote.port);
  const std::string endpoint{
      caps_.admit("endpoint", n.workload, or_unknown(peer), limits_.endpoints_per_workload, call.end_ns)};
  const std::string type{caps_.admit("error_type", "", error_type(call), kClosedList, call.end_ns)};
  store_.add(FamilyId::kBackendErrors, {W(n), n.provider, endpoint, n.model, type}, 1);
}

void Metrics::count_rate_limits(const LlmCall& call, const Names& n) {
  // Who refused: the far end, or the workload itself unless it only passed a refusal on.
  const bool own = call.direction == CallDirection::kInbound && !call.refused_upstream;
  const std::string_view origin = own ? "gateway" : "provider";
  if (call.outcome == Outcome::kRateLimited) {
    const std::string limit{caps_.admit(
        "limit_type", "", call.limit_type.empty() ? "general" : call.limit_type, kClosedList, call.end_ns)};
    store_.add(FamilyId::kRateLimited, {W(n), origin, n.provider, n.model, limit}, 1);
  }
  if (call.retry_after_seconds && (call.status == 429 || call.status == 503 || call.status == 529))
    store_.observe(FamilyId::kRetryAfter, {W(n), origin, n.provider},
                   std::max(0.0, *call.retry_after_seconds));
  for (const RateLimit& limit : call.rate_limits) {
    const std::string_view scope = name_of(limit.scope), kind = name_of(limit.kind);
    const auto report = [&](FamilyId family, const std::optional<double>& value) {
      // The id of a key, team or user is an identity: not a label unless asked for.
      if (value) store_.set(family, {W(n), scope, n.provider, n.model, kind, ""}, *value);
    };
    report(FamilyId::kRateLimitLimit, limit.limit);
    report(FamilyId::kRateLimitRemaining, limit.remaining);
    report(FamilyId::kRateLimitReset, limit.reset_seconds);
  }
}

void Metrics::count_genai(const LlmCall& call, const Names& n, const Exemplar* traced) {
  const bool outbound = call.direction == CallDirection::kOutbound;
  if (!outbound && call.role == WorkloadRole::kClient) return;
  const ServerAddress server = server_address(call);
  const std::string address{
      caps_.admit("endpoint", n.workload, server.host, limits_.endpoints_per_workload, call.end_ns)};
  const std::string port = server.port ? std::to_string(server.port) : std::string();
  const std::string operation(genai_operation(call).empty() ? n.operation : genai_operation(call));
  const std::string asked = model_label(call, call.requested_model, n.workload);
  const std::string answered =
      call.response_model.empty() ? std::string() : model_label(call, call.response_model, n.workload);
  const std::string failure =
      call.outcome == Outcome::kOk
          ? std::string()
          : std::string(caps_.admit("error_type", "", error_type(call), kClosedList, call.end_ns));
#define GENAI operation, n.provider, asked, answered, address, port
  Exemplar exemplar = traced ? *traced : Exemplar{};
  const auto observe = [&](FamilyId family, SeriesStore::Labels labels, double value) {
    exemplar.value = value;
    if (value >= 0) store_.observe(family, labels, value, traced ? &exemplar : nullptr);
  };
  observe(outbound ? FamilyId::kGenaiClientDuration : FamilyId::kGenaiServerDuration, {GENAI, failure},
          seconds_between(call.request_start_ns, call.end_ns));
  if (outbound) {
    if (call.tokens.input)
      observe(FamilyId::kGenaiClientTokens, {GENAI, failure, "input"},
              static_cast<double>(*call.tokens.input));
    if (call.tokens.output)
      observe(FamilyId::kGenaiClientTokens, {GENAI, failure, "output"},
              static_cast<double>(*call.tokens.output));
    if (call.stream)
      observe(FamilyId::kGenaiClientFirstChunk, {GENAI},
              seconds_between(call.request_start_ns,
                              call.first_body_ns ? call.first_body_ns : call.response_start_ns));
  } else if (call.stream) {
    observe(FamilyId::kGenaiServerFirstToken, {GENAI},
            seconds_between(call.request_start_ns, call.first_token_ns));
    const double generating = seconds_between(call.first_token_ns, call.last_token_ns);
    if (generating > 0 && call.tokens.output && *call.tokens.output >= 2)
      observe(FamilyId::kGenaiServerTimePerToken, {GENAI},
              generating / static_cast<double>(*call.tokens.output - 1));
  }
#undef GENAI
}

void Metrics::on_call_open(const LlmCall& call) {
  const Names n = names_of(call);
  take_off(calls_, call.exchange, {W(n), DPO(n)}, call.request_start_ns);
}

void Metrics::on_http_open(const HttpExchange& http) {
  if (!http.watched || http.direction != CallDirection::kInbound) return;
  const std::string workload = clean_label(facts_of(http.process).workload);
  const std::string method{caps_.admit("method", "", or_unknown(http.method), kClosedList, http.start_ns)};
  const std::string route{
      caps_.admit("route", workload, or_unknown(http.route), limits_.routes_per_workload, http.start_ns)};
  take_off(http_, http.exchange, {"", workload, std::string(name_of(http.role)), method, route},
           http.start_ns);
}

void Metrics::on_http_finished(const HttpExchange& http) {
  land(http_, http.exchange);
  if (!http.watched || http.direction != CallDirection::kInbound) return;
  const std::string workload = clean_label(facts_of(http.process).workload);
  const std::string_view role = name_of(http.role);
  const std::string method{caps_.admit("method", "", or_unknown(http.method), kClosedList, http.end_ns)};
  const std::string route{
      caps_.admit("route", workload, or_unknown(http.route), limits_.routes_per_workload, http.end_ns)};
  const std::string status{caps_.admit("status", "", std::to_string(http.status), kStatusCodes, http.end_ns)};
  store_.add(FamilyId::kHttpRequests, {"", workload, role, method, route, status}, 1);
  if (const double duration = seconds_between(http.start_ns, http.end_ns); duration >= 0)
    store_.observe(FamilyId::kHttpDuration, {"", workload, role, method, route, status}, duration);
  store_.observe(FamilyId::kHttpRequestSize, {"", workload, role, method, route},
                 static_cast<double>(http.request_bytes));
  if (http.status != 0)
    store_.observe(FamilyId::kHttpResponseSize, {"", workload, role, method, route},
                   static_cast<double>(http.response_bytes));
}

#undef W
#undef DPO
#undef DPOM

void Metrics::on_clock(const ClockFacts& clock) {
  store_.set_now(clock.monotonic_ns);
  {
    const std::lock_guard lock(flights_mutex_);
    now_ns_ = clock.monotonic_ns;
  }
  if (clock.monotonic_ns - last_expiry_ns_ < kExpiryPeriodNs) return;
  last_expiry_ns_ = clock.monotonic_ns;
  caps_.expire(clock.monotonic_ns);
  store_.expire(options_.series_ttl);
}

}  // namespace llmtap
