// SPDX-License-Identifier: Apache-2.0
// From what was read to the finished call.
#include <algorithm>

#include "llm/call_price.h"
#include "llm/error_class.h"
#include "llm/estimate.h"
#include "llm/finish_class.h"
#include "llm/identity.h"
#include "llm/mcp.h"
#include "llm/open_exchange.h"
#include "llm/rate_limit_headers.h"
#include "llm/redact.h"
#include "llm/token_rules.h"
#include "llm/trace_ids.h"

namespace llmtap {
namespace {

constexpr size_t kMaxIdBytes = 256;

Incomplete incomplete_of(Defect defect) {
  switch (defect) {
    case Defect::kNone: return Incomplete::kNo;
    case Defect::kLostSegment: return Incomplete::kLostSegment;
    case Defect::kMidStreamAttach: return Incomplete::kMidStreamAttach;
    case Defect::kTruncated: return Incomplete::kTruncated;
    case Defect::kParseError: return Incomplete::kParseError;
    case Defect::kDecompressError: return Incomplete::kDecompressError;
  }
  return Incomplete::kNo;
}

void take_request(LlmCall& call, const CallState& state) {
  const RequestFacts& f = state.request_facts;
  if (!f.model.empty()) call.requested_model = bounded_label(f.model);
  if (call.requested_model.empty()) call.requested_model = bounded_label(state.route.model_in_path);
  call.max_tokens = f.max_tokens;
  call.temperature = f.temperature;
  call.top_p = f.top_p;
  call.choice_count = f.choice_count;
  call.service_tier = bounded_label(f.service_tier, 32);
  call.previous_response_id = bounded_label(f.previous_response_id, kMaxIdBytes);
  call.conversation_id = bounded_label(f.conversation_id, kMaxIdBytes);
  call.fingerprint = f.fingerprint;
  // It fills the provider's cache: no answer is meant to come.
  if (f.generate == false) call.operation = "warmup";
  if (call.end_user_sha256.empty()) call.end_user_sha256 = hash_end_user(f.end_user);
  if (state.dialect == Dialect::kMcp) {
    call.mcp_method = mcp_method_label(f.rpc_method);
    // Of a resource or a prompt the name is content.
    if (call.mcp_method == "tools/call") call.mcp_tool = mask_secrets(bounded_label(f.rpc_tool));
    return;
  }
  if (call.gateway.name == "cloudflare" && call.gateway.provider.empty())
    if (const size_t slash = call.requested_model.find('/'); slash != std::string::npos)
      call.gateway.provider = call.requested_model.substr(0, slash);
  // Without a good reply, what was asked for has to do. Ollama streams unless told not to.
  const bool ollama = state.dialect == Dialect::kOllamaChat || state.dialect == Dialect::kOllamaGenerate;
  if (call.status < 200 || call.status >= 300)
    call.stream = f.stream.value_or(state.route.stream_in_path || (ollama && call.request_bytes > 0));
}

void take_reply(LlmCall& call, const ReplyFacts& f) {
  if (!f.model.empty()) call.response_model = bounded_label(f.model);
  call.response_id = bounded_label(f.id, kMaxIdBytes);
  if (!f.service_tier.empty()) call.service_tier = bounded_label(f.service_tier, 32);
  if (call.conversation_id.empty()) call.conversation_id = bounded_label(f.conversation_id, kMaxIdBytes);
  if (call.previous_response_id.empty())
    call.previous_response_id = bounded_label(f.previous_response_id, kMaxIdBytes);
  for (const std::string& reason : f.finish_reasons) call.finish_reasons.push_back(bounded_label(reason, 64));
  call.tool_calls = f.tool_calls;
  for (const std::string& name : f.tool_names) call.tool_names.push_back(bounded_label(name));
  call.stream_chunks = f.stream_chunks;
  call.content_chunks = f.content_chunks;
  call.gaps = f.gaps;
  call.first_content_ns = f.first_content_ns;
  call.first_reasoning_ns = f.first_reasoning_ns;
  call.first_tool_ns = f.first_tool_ns;
  call.first_audio_ns = f.first_audio_ns;
  for (const uint64_t mark : {f.first_content_ns, f.first_reasoning_ns, f.first_tool_ns, f.first_audio_ns})
    if (mark != 0 && (call.first_token_ns == 0 || mark < call.first_token_ns)) call.first_token_ns = mark;
  call.last_token_ns = f.last_token_ns;
}

void classify_finish(LlmCall& call, const ReplyFacts& f, Dialect dialect) {
  if (dialect == Dialect::kOpenAiResponses && call.finish_reasons.empty() && !f.status.empty()) {
    // A response has a status where the other APIs have finish reasons.
    if (f.status == "completed") {
      call.finish_reasons = {"completed"};
      call.finish_class = "stop";
    } else if (f.status == "incomplete") {
      call.finish_reasons = {bounded_label(f.incomplete_reason.empty() ? f.status : f.incomplete_reason, 64)};
      call.finish_class = f.incomplete_reason.empty() ? "length" : finish_class(f.incomplete_reason);
    } else if (f.status == "cancelled" && !f.incomplete_reason.empty()) {
      // Realtime: by the client, or by who speaks.
      call.finish_reasons = {bounded_label(f.incomplete_reason, 64)};
      call.finish_class = "other";
    } else if (f.status == "failed" || f.status == "cancelled") {
      call.finish_reasons = {bounded_label(f.status, 64)};
      call.finish_class = "error";
    }
  } else {
    for (const std::string& reason : call.finish_reasons)
      if (call.finish_class.empty()) call.finish_class = finish_class(reason);
  }
  if (f.interrupted) {
    call.finish_reasons = {"interrupted"};
    call.finish_class = "other";
  }
  if (call.finish_class.empty() && f.prompt_blocked) call.finish_class = "filter";
  // OpenAI's models stop when they have refused.
  if (f.refused && call.finish_class == "stop" && call.tool_calls == 0) call.finish_class = "filter";
  // These APIs say "stop" also when the model asks for a tool.
  const bool stop_hides_tools = dialect == Dialect::kOpenAiResponses || dialect == Dialect::kGeminiGenerate ||
                                dialect == Dialect::kOllamaChat;
  if (stop_hides_tools && call.tool_calls > 0 && call.finish_class == "stop") call.finish_class = "tool";
}

// Of the others only the end of the body tells.
bool ends_with_an_event(Dialect dialect) {
  return dialect != Dialect::kOpenAiEmbeddings && dialect != Dialect::kOpenAiImages &&
         dialect != Dialect::kOpenAiAudio && dialect != Dialect::kTriton && dialect != Dialect::kMcp;
}

TextMeter meter(std::initializer_list<TextCount> counts) {
  TextMeter text;
  for (const TextCount& count : counts) text.add_counted(count.characters - count.wide, count.wide);
  return text;
}

// One exchange is seen at both of its ends, and each of them counts it once.
std::string seen_by(const LlmCall& call, const std::string& id) {
  if (id.empty()) return {};
  const std::string_view workload = call.process ? std::string_view(call.process->workload) : "";
  return std::string(call.direction == CallDirection::kInbound ? "in " : "out ")
      .append(workload)
      .append("\n")
      .append(id);
}

void count_or_estimate(LlmCall& call, const OpenExchange& exchange, const ReplyFacts& f, bool whole_reply,
                       PendingResponses& pending, CallTrackerCounters& counters) {
  const CallState& state = *exchange.state;
  const bool success = call.status >= 200 && call.status < 300;
  const bool unfinished = f.status == "queued" || f.status == "in_progress";
  // Counting endpoints answer with token counts that nobody used; a stored response that is read again
  // was counted when it was made, unless it was made in the background: then the first poll that finds
  // it finished counts it.
  if (state.route.known && !state.route.inference) {
    if (!success || unfinished || f.usage.empty() || !pending.take(seen_by(call, f.id))) return;
    call.tokens = count_tokens(f.usage, state.dialect, call.provider);
    return;
  }
  if (!success) return;
  if (unfinished && !call.stream) {
    pending.add(seen_by(call, f.id));
    return;
  }
  UsageNumbers usage = state.header_usage;
  usage.overwrite(f.usage);
  call.tokens = count_tokens(usage, state.dialect, call.provider);

  const bool embeddings = call.operation == "embeddings" || call.operation == "rerank";
  const uint64_t characters = f.content.characters + f.reasoning.characters + f.tool_text.characters;
  const auto estimated_output = [&] {
    if (call.stream && chunk_is_token(call.provider)) return call.content_chunks;
    return estimate_tokens(call.provider, call.dialect, meter({f.content, f.reasoning}),
                           meter({f.tool_text}));
  };
  if (call.tokens.source == TokenSource::kReported) {
    // The output count of message_start is a placeholder until a message_delta comes.
    if (state.dialect == Dialect::kAnthropicMessages && call.stream && !f.usage_is_final && !whole_reply) {
      call.tokens.output = std::max(call.tokens.output.value_or(0), estimated_output());
      call.tokens.source = TokenSource::kEstimated;
      ++counters.tokens_estimated;
    }
    return;
  }
  if ((f.error && characters == 0) || billed_by_unit(call.operation) || state.request_facts.generate == false)
    return;
  const bool text_in = state.request_facts.characters > 0 && !state.request_facts.has_media &&
                       !exchange.mid_stream && !state.cut_request;
  if (text_in) {
    TextMeter text;
    text.add_counted(state.request_facts.characters - state.request_facts.wide, state.request_facts.wide);
    call.tokens.input = estimate_input_tokens(call.provider, call.dialect, text,
                                              embeddings ? 0 : state.request_facts.messages);
  }
  if (!embeddings && characters > 0) call.tokens.output = estimated_output();
  if (call.tokens.input || call.tokens.output) {
    call.tokens.source = TokenSource::kEstimated;
    ++counters.tokens_estimated;
  }
}

// The sums of a file that was read to its end for the first time.
void take_batch(LlmCall& call, const BatchResults& batch, CallTrackerCounters& counters) {
  call.operation = "batches";
  call.service_tier = "batch";
  call.stream = false;
  call.batch_results = batch.lines();
  call.response_model = bounded_label(batch.model());
  call.tokens = batch.tokens();
  if (call.tokens.source == TokenSource::kNone) return;
  call.cost_usd = batch.usd();
  call.price_missing = !call.cost_usd;
  if (call.cost_usd)
    call.cost_source = CostSource::kPriceTable;
  else
    ++counters.price_missing;
}

void set_ids(LlmCall& call, const ClockFacts& clock) {
  const uint64_t wall = call.start_wall_ns;
  if (call.request_id.empty()) call.request_id = call.gateway.call_id;
  if (call.request_id.empty()) call.request_id = generated_request_id(call.exchange, wall);
  if (call.trace_id.empty() && !call.response_id.empty())
    call.trace_id = trace_id_from_response_id(call.response_id);
  if (call.trace_id.empty()) call.trace_id = generated_trace_id(call.exchange, wall);
}

}  // namespace

void complete_call(OpenExchange& exchange, const ExchangeEnd& end, const FinishContext& context) {
  using How = ExchangeEnd::How;
  CallState& state = *exchange.state;
  LlmCall& call = state.call;
  if (state.request) {
    state.request->finish();
    state.request_facts = state.request->facts();
    state.cut_request = true;
  }
  if (state.reply) state.reply->finish();
  static const ReplyFacts kNothing;
  const ReplyFacts& f = state.reply ? state.reply->facts() : kNothing;
  if (state.dialect == Dialect::kNone) state.dialect = f.shape;
  call.dialect = dialect_name(state.dialect);

  call.end_ns = end.time_ns;
  if (exchange.mid_stream && call.request_start_ns == 0) call.request_start_ns = call.response_start_ns;
  if (call.request_end_ns == 0 && exchange.request_ended) call.request_end_ns = call.request_start_ns;
  if (context.clock.realtime_ns != 0) {
    call.start_wall_ns = context.clock.wall_ns(call.request_start_ns);
    call.end_wall_ns = context.clock.wall_ns(call.end_ns);
  }
  take_request(call, state);
  take_reply(call, f);
  // A WebSocket met in the middle: no path says which API. Realtime's messages name no model.
  if (state.websocket && !state.route.known && call.operation == "other") {
    const bool named = !state.request_facts.model.empty() || !f.model.empty();
    call.operation = named ? dialect_operation(state.dialect) : "realtime";
  }
  classify_finish(call, f, state.dialect);
  // An operation is done, which is no answer's end.
  if (state.batch_form == BatchForm::kOperation) call.finish_reasons.clear(), call.finish_class.clear();

  const bool success = call.status >= 200 && call.status < 300;
  // A stream ends with the event that its dialect ends with, or at least with a finish reason and the
  // proper end of its body; anything else by the end of its body alone.
  const bool body_complete = exchange.reply_ended && end.how == How::kComplete;
  const bool has_terminator = call.stream && state.dialect != Dialect::kNone &&
                              ends_with_an_event(state.dialect) && f.stream_chunks > 0;
  const bool whole = has_terminator ? f.terminal || ((f.finish_seen || f.prompt_blocked) && body_complete)
                                    : body_complete || (exchange.reply_ended && end.how == How::kUpgraded);
  const bool cut = success && !whole && !f.error;

  ErrorFacts error{.status = call.status};
  const std::string masked_code = mask_secrets(bounded_label(f.error_code));
  const std::string masked_type =
      mask_secrets(bounded_label(f.error_type.empty() ? state.header_error : f.error_type));
  if (f.error || call.status >= 400) {
    error.type = masked_type;
    error.code = masked_code;
    error.message = f.error_message;
    error.in_stream = f.error && success;
    call.error_class = classify_error(error);
    call.error_code = masked_code.empty() ? masked_type : masked_code;
    if (!f.error && f.records == 0) call.error_code.clear();
    if (call.error_code.empty()) call.error_code = state.header_error;
    if (const auto rpc = mcp_error_class(masked_code); !rpc.empty() && state.dialect == Dialect::kMcp)
      call.error_class = rpc;
  } else if (f.tool_failed && state.dialect == Dialect::kMcp) {
    call.error_class = "tool_error";
  }
  const double waited =
      static_cast<double>(call.end_ns - std::min(call.end_ns, call.request_start_ns)) * 1e-9;
  const OutcomeFacts outcome{
      .status = call.status,
      .error_class = cut && end.how == How::kComplete ? std::string_view("truncated") : call.error_class,
      .budget_exceeded = is_budget_error(error),
      .stream_error = (f.error || (f.tool_failed && state.dialect == Dialect::kMcp)) && success,
      .content_blocked = success && (call.finish_class == "filter" || f.prompt_blocked),
      .timed_out = exchange.first_reply_ns == 0 && waited >= context.options.patience_seconds &&
                   (end.how == How::kClientAborted || end.how == How::kNoResponse),
      .terminal_seen = whole,
      .how = end.how,
  };
  call.outcome = outcome_for(outcome);
  // On a WebSocket a client ends a response without ending the connection, or by speaking.
  const bool cancelled = f.interrupted || (state.websocket && f.status == "cancelled");
  if (cancelled && call.outcome == Outcome::kOk) call.outcome = Outcome::kClientAborted;
  if (call.status == 429 || call.error_class == "rate_limit" || call.error_class == "quota")
    call.limit_type = limit_type_for(error, call.rate_limits);
  if (call.error_class.empty()) {
    if (call.outcome == Outcome::kClientAborted) call.error_class = "client_aborted";
    if (call.outcome == Outcome::kTruncated) call.error_class = "truncated";
    if (call.outcome == Outcome::kTimeout) call.error_class = "timeout";
  }

  if (f.error && success && state.dialect != Dialect::kMcp) {
    call.abort = AbortReason::kUpstreamErrorEvent;
  } else if (call.outcome == Outcome::kTimeout && call.status == 0) {
    call.abort = AbortReason::kIdleTimeout;
  } else if (!whole && end.how == How::kClientAborted) {
    call.abort = AbortReason::kClientClosed;
  } else if (!whole && (end.how == How::kServerAborted || end.how == How::kNoResponse)) {
    call.abort = AbortReason::kUpstreamReset;
  } else if (cut && end.how == How::kComplete) {
    call.abort = AbortReason::kTruncated;
  }

  const Defect defect = exchange.defect != Defect::kNone ? exchange.defect : end.defect;
  call.incomplete = exchange.mid_stream ? Incomplete::kMidStreamAttach : incomplete_of(defect);
  // SDKs close a stream at its last event and leave the end of the chunked body unread.
  if (call.incomplete == Incomplete::kTruncated && has_terminator && f.terminal && exchange.request_ended)
    call.incomplete = Incomplete::kNo;
  if (call.incomplete == Incomplete::kNo && cut) call.incomplete = Incomplete::kTruncated;

  if (state.batch && state.batch->lines() > 0) {
    // A batch of Gemini's is polled, and may be asked for by several paths.
    const std::string id = state.inlined && !state.inlined->name().empty()
                               ? call.host + "/" + state.inlined->name()
                               : state.batch_id;
    if (body_complete && context.counted_batches.add(seen_by(call, id)))
      take_batch(call, *state.batch, context.counters);
  } else if (state.dialect != Dialect::kMcp) {
    count_or_estimate(call, exchange, f, whole, context.pending, context.counters);
    price_call(call, state, f, context);
  }
  set_ids(call, context.clock);
  if (state.dialect != Dialect::kMcp) call.retry_of = context.attempts.link(call);
}

}  // namespace llmtap
