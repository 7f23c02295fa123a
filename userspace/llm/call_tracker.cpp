// SPDX-License-Identifier: Apache-2.0
#include "llm/call_tracker.h"

#include <algorithm>
#include <tuple>

#include "llm/call_begin.h"
#include "llm/gateway_headers.h"
#include "llm/header_usage.h"
#include "llm/open_exchange.h"
#include "llm/rate_limit_headers.h"
#include "llm/recognise.h"
#include "llm/redact.h"
#include "llm/request_head.h"

namespace llmtap {
namespace {

// So much of a body must show what it is, else it is no LLM call.
constexpr uint64_t kSniffBytes = 4096;

std::string_view text(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

CallDirection direction_of(const ConnectionFacts& connection) {
  if (connection.role == Role::kServer) return CallDirection::kInbound;
  if (connection.role == Role::kClient || !connection.has_addresses) return CallDirection::kOutbound;
  // Nobody saw the connection begin: servers listen on the lower port.
  return connection.local.port < connection.remote.port ? CallDirection::kInbound : CallDirection::kOutbound;
}

const std::shared_ptr<const ProcessFacts>& unknown_process() {
  static const std::shared_ptr<const ProcessFacts> unknown = [] {
    auto facts = std::make_shared<ProcessFacts>();
    facts->workload = "unknown";
    return facts;
  }();
  return unknown;
}

}  // namespace

CallTracker::CallTracker(const Limits& limits, const CallTrackerOptions& options, ProcessLookup process,
                         CallSink& sink, VerdictSink& verdicts)
    : limits_(limits),
      options_(options),
      providers_(options.hosts),
      process_(std::move(process)),
      sink_(sink),
      verdicts_(verdicts),
      roles_(limits.workloads),
      records_(limits.json_string_bytes) {}

CallTracker::~CallTracker() = default;

void CallTracker::on_clock(const ClockFacts& clock) {
  clock_ = clock;
  sink_.on_clock(clock);
}

OpenExchange* CallTracker::find(ExchangeId id) {
  if (last_ != nullptr && last_id_ == id) return last_;
  OpenExchange* const found = open_.find(id);
  if (found == nullptr) return nullptr;
  last_id_ = id;
  return last_ = found;
}

OpenExchange* CallTracker::add(const ConnectionFacts& connection, ExchangeId id) {
  ++counters_.exchanges;
  ++books_.items_in;
  if (open_.size() >= limits_.open_calls) {
    ++counters_.exchanges_refused;
    books_.lose("table_full", 1, 0);
    return nullptr;
  }
  OpenExchange& exchange = open_.insert(id, std::make_unique<OpenExchange>());
  last_id_ = id;
  last_ = &exchange;
  exchange.connection_id = connection.id;
  exchange.http.exchange = id;
  exchange.http.process = process_ ? process_(connection.process) : nullptr;
  if (!exchange.http.process) exchange.http.process = unknown_process();
  exchange.http.direction = direction_of(connection);
  return &exchange;
}

void CallTracker::on_request_head(const ConnectionFacts& connection, ExchangeId id, const RequestHead& head) {
  OpenExchange* exchange = find(id) != nullptr ? nullptr : add(connection, id);
  if (exchange == nullptr) return;
  HttpExchange& http = exchange->http;
  http.method = bounded_label(head.method, 16);
  http.start_ns = head.start_ns;
  Route route = match_route(head.method, head.target);
  if (head.websocket || asks_for_websocket(head)) complete_websocket_route(route, head);
  http.route = route.route;

  const std::string& workload = http.process->workload;
  const RequestEvidence evidence =
      weigh_request(connection, head, route, http.direction, providers_, roles_.known(workload));
  if (evidence.weight != RequestEvidence::Weight::kNone) {
    exchange->state = std::make_unique<CallState>();
    CallState& state = *exchange->state;
    state.route = std::move(route);
    state.dialect = dialect_of_family(state.route.family, state.route.operation, state.route.route);
    if (state.dialect == Dialect::kNone) state.dialect = evidence.dialect;
    state.anthropic_header = !head.header("anthropic-version").empty();
    state.websocket = head.websocket;
    state.upgrade = evidence.upgrade;
    state.certain_upgrade = evidence.upgrade && evidence.certain;
    state.json_request = evidence.json;
    state.may_be_mcp = evidence.mcp;
    state.batch_form = batch_form(http.method, path_of(head.target), state.route, evidence.provider);
    if (state.batch_form != BatchForm::kNone)
      state.batch_id = evidence.host + std::string(path_of(head.target));
    if (evidence.read_body) state.request = std::make_unique<RequestReader>(limits_.json_string_bytes);
    if (evidence.multipart && state.request) state.request->set_multipart();
    LlmCall& call = state.call;
    call.exchange = id;
    call.process = http.process;
    call.connection = connection;
    call.direction = http.direction;
    call.connection_reused = id.number > 0 || !connection.first_byte_seen;
    call.method = http.method;
    call.route = http.route;
    call.host = bounded_label(evidence.host, 255);
    call.provider = evidence.provider;
    call.request_start_ns = head.start_ns;
    read_request_headers(call, head, state.route, options_);
    call.requested_model = bounded_label(state.route.model_in_path);
    call.stream = state.route.stream_in_path;
    if (head.websocket) call.response_model = bounded_label(head.model);
    if (evidence.weight == RequestEvidence::Weight::kCertain) {
      ++counters_.by_path;
      open_if_recognised(*exchange);
    }
  } else {
    // The same bytes would be weighed the same; but a reply may make another protocol of the connection.
    give_up(*exchange, head.header("upgrade").empty() ? Verdict::kRepeats : Verdict::kTimes);
  }
  http.role = roles_.role(workload);
  http.watched = roles_.serves(workload) ||
                 std::ranges::find(options_.watched_workloads, workload) != options_.watched_workloads.end();
  exchange->http_opened = true;
  sink_.on_http_open(http);
}

// Opens the call. Provider and operation are what is known by now.
void CallTracker::open_if_recognised(OpenExchange& exchange) {
  CallState& state = *exchange.state;
  LlmCall& call = state.call;
  exchange.kind = OpenExchange::Kind::kCall;
  call.dialect = dialect_name(state.dialect);
  call.operation = state.route.known ? state.route.operation : dialect_operation(state.dialect);
  if (state.dialect == Dialect::kMcp) {
    call.operation = dialect_operation(state.dialect);
    call.provider = "mcp";
  }
  if (call.provider.empty()) {
    const bool bedrock = state.route.family.starts_with("bedrock");
    state.provider_by_dialect = !bedrock && !state.anthropic_header;
    call.provider = bedrock                  ? std::string_view("aws.bedrock")
                    : state.anthropic_header ? std::string_view("anthropic")
                                             : fallback_provider(state.dialect);
  }
  if (state.request && !state.request->facts().model.empty())
    call.requested_model = bounded_label(state.request->facts().model);
  const std::string& workload = call.process->workload;
  // A tool's server is no inference server, and nothing of it is watched for being one.
  if (state.dialect != Dialect::kMcp) roles_.saw(workload, call.direction);
  call.role = roles_.role(workload);
  ++counters_.calls_opened;
  verdicts_.set_verdict(exchange.connection_id, Verdict::kWanted);
  sink_.on_call_open(call);
}

// Not an LLM call. Bodies are no longer worth their copy; of a watched workload the heads are (D25).
void CallTracker::give_up(OpenExchange& exchange, Verdict unwatched) {
  exchange.kind = OpenExchange::Kind::kNotLlm;
  exchange.state.reset();
  const std::string& workload = exchange.http.process->workload;
  const bool watched =
      exchange.http.watched || roles_.serves(workload) ||
      std::ranges::find(options_.watched_workloads, workload) != options_.watched_workloads.end();
  verdicts_.set_verdict(exchange.connection_id, watched ? Verdict::kHeads : unwatched);
}

void CallTracker::on_response_head(const ConnectionFacts& connection, ExchangeId id,
                                   const ResponseHead& head) {
  OpenExchange* exchange = find(id);
  const ReplyKind kind = reply_kind(head);
  if (exchange == nullptr) {
    exchange = add(connection, id);
    if (exchange == nullptr) return;
    exchange->mid_stream = true;
    exchange->http.start_ns = head.start_ns;
    exchange->http.route = "other";
    if (kind.readable) {
      exchange->state = std::make_unique<CallState>();
      LlmCall& call = exchange->state->call;
      call.exchange = id;
      call.process = exchange->http.process;
      call.connection = connection;
      call.direction = exchange->http.direction;
      call.connection_reused = true;
      call.route = "other";
      const HostFacts host = host_of(connection, {}, exchange->http.direction);
      call.host = bounded_label(host.name, 255);
      call.provider = providers_.match(host.name, host.port, {}).provider;
    } else {
      give_up(*exchange);
    }
    const std::string& workload = exchange->http.process->workload;
    exchange->http.role = roles_.role(workload);
    exchange->http.watched = roles_.serves(workload);
    exchange->http_opened = true;
    sink_.on_http_open(exchange->http);
  }
  exchange->http.status = head.status;
  if (exchange->first_reply_ns == 0) exchange->first_reply_ns = head.start_ns;
  if (!exchange->state) return;
  CallState& state = *exchange->state;
  LlmCall& call = state.call;
  call.connection = connection;
  call.status = head.status;
  if (!head.model.empty()) call.response_model = bounded_label(head.model);
  call.response_start_ns = head.start_ns;
  if (call.http_version == HttpVersion::kUnknown) call.http_version = head.version;
  // What came says more than what was asked for.
  if (head.status >= 200 && head.status < 300)
    call.stream = kind.stream || (state.route.stream_in_path && kind.json);
  state.json_reply = kind.json;
  add_gateway_response_headers(call.gateway, head.headers);
  state.header_usage = usage_of_headers(head.headers);
  if (head.status >= 400) state.header_error = error_of_headers(head.headers);
  if (state.certain_upgrade && head.status >= 400) {
    ++counters_.by_path;
    open_if_recognised(*exchange);
  }
  call.provider_request_id = provider_request_id(head.headers);
  if (call.request_id.empty()) call.request_id = request_id_header(head.headers);
  const uint64_t wall = clock_.realtime_ns == 0 ? 0 : clock_.wall_ns(head.time_ns);
  RateLimitHeaders limits = parse_rate_limit_headers(head.headers, wall);
  call.rate_limits = std::move(limits.limits);
  call.retry_after_seconds = limits.retry_after_seconds;
  if (call.gateway.name == "litellm" && call.direction == CallDirection::kInbound)
    roles_.is_gateway(call.process->workload);
  if (!state.batch_id.empty() && head.status == 200)
    begin_batch(state, prices_, options_.prices, limits_.json_string_bytes);
  if (kind.readable || head.status >= 400 || state.batch) {
    state.reply = std::make_unique<ReplyReader>(limits_, records_);
    if (call.stream && !kind.stream) state.reply->set_body_is_stream();
    if (state.request_facts.incremental) state.reply->set_incremental();
    state.reply->set_batch(state.batch.get());
  }
}

void CallTracker::body(ExchangeId id, Side side, std::span<const uint8_t> bytes, uint64_t time_ns,
                       bool event) {
  books_.bytes_in += bytes.size();
  OpenExchange* exchange = find(id);
  if (exchange == nullptr) return books_.lose("no_exchange", 0, bytes.size());
  if (!exchange->state) return books_.lose("not_llm", 0, bytes.size());
  CallState& state = *exchange->state;
  LlmCall& call = state.call;
  if (side == Side::kRequest) {
    exchange->request_scanned += bytes.size();
    if (!state.request) return books_.lose("not_read", 0, bytes.size());
    state.request->feed(text(bytes));
    books_.bytes_out += bytes.size();
    if (exchange->kind == OpenExchange::Kind::kUndecided) {
      const Dialect shape = request_shape(state);
      if ((state.route.known && state.route.family != "mcp" && state.request->confirms_known_path()) ||
          shape != Dialect::kNone) {
        state.dialect_by_body = state.dialect == Dialect::kNone;
        if (state.dialect_by_body) state.dialect = shape;
        ++counters_.by_body;
        open_if_recognised(*exchange);
      } else if (exchange->request_scanned > kSniffBytes && !state.route.known &&
                 !state.request->may_become_llm()) {
        give_up(*exchange);
      }
    }
    return;
  }
  if (call.first_body_ns == 0 && !bytes.empty()) call.first_body_ns = time_ns;
  exchange->reply_scanned += bytes.size();
  if (!state.reply) return books_.lose("not_read", 0, bytes.size());
  if (state.inlined) state.inlined->feed(text(bytes));
  if (event)
    state.reply->feed_event(text(bytes));
  else
    state.reply->feed_body(text(bytes), time_ns);
  books_.bytes_out += bytes.size();
  if (exchange->kind != OpenExchange::Kind::kUndecided) return;
  const Dialect shape = state.reply->shape();
  if (shape != Dialect::kNone) {
    if (state.dialect == Dialect::kNone) state.dialect = shape;
    if (shape == Dialect::kGeminiGenerate && state.json_reply && exchange->mid_stream) call.stream = false;
    ++counters_.by_reply;
    open_if_recognised(*exchange);
  } else if (exchange->reply_scanned > kSniffBytes && state.reply->facts().records > 0) {
    give_up(*exchange);
  } else if (exchange->reply_scanned > kSniffBytes && state.reply->malformed()) {
    give_up(*exchange);
  }
}

void CallTracker::on_body(ExchangeId id, Side side, std::span<const uint8_t> bytes, uint64_t time_ns) {
  body(id, side, bytes, time_ns, false);
}

void CallTracker::on_event_data(ExchangeId id, Side side, std::span<const uint8_t> bytes, uint64_t time_ns) {
  body(id, side, bytes, time_ns, side == Side::kResponse);
}

void CallTracker::on_event_end(ExchangeId id, Side side, const EventEnd& end) {
  OpenExchange* exchange = find(id);
  if (exchange == nullptr || !exchange->state || side == Side::kRequest || !exchange->state->reply) return;
  if (end.error && end.complete) exchange->state->reply->set_error(end.name);
  exchange->state->reply->end_event(end.name, end.first_byte_ns != 0 ? end.first_byte_ns : end.time_ns,
                                    end.complete);
}

void CallTracker::on_whole_event(ExchangeId id, Side side, std::span<const uint8_t> bytes,
                                 const EventEnd& end) {
  OpenExchange* exchange = find(id);
  // What is not known to be a call yet takes the long way, which finds out.
  if (exchange == nullptr || exchange->kind != OpenExchange::Kind::kCall || side == Side::kRequest ||
      !exchange->state->reply)
    return MessageSink::on_whole_event(id, side, bytes, end);
  CallState& state = *exchange->state;
  books_.bytes_in += bytes.size();
  books_.bytes_out += bytes.size();
  if (state.call.first_body_ns == 0 && !bytes.empty()) state.call.first_body_ns = end.first_byte_ns;
  exchange->reply_scanned += bytes.size();
  if (state.inlined) state.inlined->feed(text(bytes));
  state.reply->event(text(bytes), end.name, end.first_byte_ns != 0 ? end.first_byte_ns : end.time_ns,
                     end.complete);
}

void CallTracker::on_message_end(ExchangeId id, Side side, const MessageEnd& end) {
  OpenExchange* exchange = find(id);
  if (exchange == nullptr) return;
  if (exchange->defect == Defect::kNone) exchange->defect = end.defect;
  (side == Side::kRequest ? exchange->http.request_bytes : exchange->http.response_bytes) = end.wire_bytes;
  if (side == Side::kResponse) {
    exchange->reply_ended = true;
    if (exchange->state && exchange->state->json_reply && exchange->state->reply &&
        exchange->state->reply->malformed())
      ++counters_.bodies_malformed;
    return;
  }
  exchange->request_ended = true;
  if (!exchange->state) return;
  CallState& state = *exchange->state;
  state.call.request_end_ns = end.time_ns;
  if (!state.request) return;
  state.request->finish();
  if (state.json_request && state.request->malformed()) ++counters_.bodies_malformed;
  state.request_facts = state.request->facts();
  if (end.defect != Defect::kNone) state.cut_request = true;
  if (exchange->kind == OpenExchange::Kind::kCall) settle_dialect(state);
  // On a path that nobody knows, only the request can say what it was.
  if (exchange->kind == OpenExchange::Kind::kUndecided && !state.route.known && !state.upgrade) {
    give_up(*exchange);
    return;
  }
  state.request.reset();
}

void CallTracker::on_exchange_end(ExchangeId id, const ExchangeEnd& end) {
  if (OpenExchange* exchange = find(id)) finish(*exchange, end);
}

void CallTracker::finish(OpenExchange& exchange, const ExchangeEnd& end) {
  const ExchangeId id = exchange.http.exchange;
  HttpExchange& http = exchange.http;
  http.end_ns = end.time_ns;
  if (http.request_bytes == 0) http.request_bytes = end.request_bytes;
  if (http.response_bytes == 0) http.response_bytes = end.response_bytes;
  if (exchange.kind == OpenExchange::Kind::kCall) {
    LlmCall& call = exchange.state->call;
    if (end.connection != nullptr) call.connection = *end.connection;
    call.request_bytes = http.request_bytes;
    call.response_bytes = http.response_bytes;
    complete_call(exchange, end,
                  {options_, prices_.get(), clock_, counters_, pending_, counted_batches_, attempts_});
    call.role = roles_.role(call.process->workload);
    ++counters_.calls_finished;
    sink_.on_call_finished(call);
  } else {
    ++counters_.not_llm;
  }
  http.role = roles_.role(http.process->workload);
  ++books_.items_out;
  if (exchange.http_opened) sink_.on_http_finished(http);
  if (last_ == &exchange) last_ = nullptr;
  open_.erase(id);
}

void CallTracker::finish_all(uint64_t time_ns) {
  std::vector<OpenExchange*> left;
  left.reserve(open_.size());
  open_.for_each([&](const ExchangeId&, OpenExchange& exchange) { left.push_back(&exchange); });
  // The same order in every replay.
  std::ranges::sort(left, [](const OpenExchange* a, const OpenExchange* b) {
    const HttpExchange &x = a->http, &y = b->http;
    return std::tie(x.start_ns, x.exchange.connection, x.exchange.number) <
           std::tie(y.start_ns, y.exchange.connection, y.exchange.number);
  });
  for (OpenExchange* exchange : left)
    finish(*exchange, {.how = ExchangeEnd::How::kLost, .time_ns = time_ns, .defect = Defect::kTruncated});
}

}  // namespace llmtap
