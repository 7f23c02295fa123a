// SPDX-License-Identifier: Apache-2.0
#include "sinks/otlp_exporter.h"

#include <opentelemetry/common/key_value_iterable_view.h>
#include <opentelemetry/sdk/common/global_log_handler.h>
#include <opentelemetry/sdk/instrumentationscope/instrumentation_scope.h>
#include <opentelemetry/sdk/resource/resource.h>
#include <opentelemetry/sdk/trace/exporter.h>
#include <opentelemetry/sdk/trace/recordable.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <thread>

#include "sinks/call_queue.h"
#include "sinks/label_names.h"
#include "sinks/otlp_transport.h"

namespace llmtap {
namespace {

namespace nostd = opentelemetry::nostd;
namespace sdk = opentelemetry::sdk;
namespace trace = opentelemetry::trace;
using sdk::trace::Recordable;
using sdk::trace::SpanExporter;

// Kept resources; more workloads than these make new ones at the next batch.
constexpr size_t kResources = 1024;

nostd::string_view view(std::string_view text) { return {text.data(), text.size()}; }

// Ids come checked from span_ids(): hex of the right length, or empty.
template <size_t kBytes>
std::array<uint8_t, kBytes> from_hex(std::string_view hex) {
  std::array<uint8_t, kBytes> bytes{};
  const auto digit = [](char c) { return static_cast<uint8_t>(c <= '9' ? c - '0' : c - 'a' + 10); };
  for (size_t i = 0; i < kBytes && 2 * i + 1 < hex.size(); ++i)
    bytes[i] = static_cast<uint8_t>(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
  return bytes;
}

opentelemetry::common::SystemTimestamp at_wall(const LlmCall& call, uint64_t monotonic_ns) {
  const uint64_t wall = call.end_wall_ns - (call.end_ns - monotonic_ns);
  return opentelemetry::common::SystemTimestamp(std::chrono::nanoseconds(wall));
}

struct Attributes {
  Recordable& span;
  void text(std::string_view key, std::string_view value) {
    if (!value.empty()) span.SetAttribute(view(key), view(value));
  }
  void number(std::string_view key, std::optional<uint64_t> value) {
    if (value) span.SetAttribute(view(key), static_cast<int64_t>(std::min<uint64_t>(*value, INT64_MAX)));
  }
  void real(std::string_view key, std::optional<double> value) {
    if (value) span.SetAttribute(view(key), *value);
  }
  void flag(std::string_view key, bool value) { span.SetAttribute(view(key), value); }
};

std::optional<uint64_t> unless_zero(uint64_t value) { return value ? std::optional(value) : std::nullopt; }

void set_genai(Attributes out, const LlmCall& call, bool old_names) {
  out.text("gen_ai.operation.name", genai_operation(call));
  // A server that only speaks OpenAI's format is named by the format, and by its address.
  out.text("gen_ai.provider.name", call.provider == "openai_compatible" ? "openai" : call.provider);
  out.text("gen_ai.request.model", call.requested_model);
  if (call.stream) out.flag("gen_ai.request.stream", true);
  out.number("gen_ai.request.max_tokens", call.max_tokens);
  out.real("gen_ai.request.temperature", call.temperature);
  out.real("gen_ai.request.top_p", call.top_p);
  out.number("gen_ai.request.choice.count", call.choice_count);
  out.text("gen_ai.response.id", call.response_id);
  out.text("gen_ai.response.model", call.response_model);
  if (!call.finish_reasons.empty()) {
    std::vector<nostd::string_view> reasons;
    reasons.reserve(call.finish_reasons.size());
    for (const std::string& reason : call.finish_reasons) reasons.push_back(view(reason));
    out.span.SetAttribute("gen_ai.response.finish_reasons",
                          nostd::span<const nostd::string_view>(reasons.data(), reasons.size()));
  }
  if (call.stream && call.first_body_ns > call.request_start_ns && call.request_start_ns != 0)
    out.real("gen_ai.response.time_to_first_chunk",
             static_cast<double>(call.first_body_ns - call.request_start_ns) / 1e9);
  // An estimate would read as the provider's own count.
  if (call.tokens.source != TokenSource::kEstimated) {
    out.number("gen_ai.usage.input_tokens", call.tokens.input);
    out.number("gen_ai.usage.output_tokens", call.tokens.output);
    out.number("gen_ai.usage.cache_read.input_tokens", call.tokens.cached);
    out.number(
        old_names ? "gen_ai.usage.cache_creation.input_tokens" : "gen_ai.usage.cache_write.input_tokens",
        call.tokens.cache_write);
    out.number("gen_ai.usage.reasoning.output_tokens", call.tokens.reasoning);
  }
  out.text("gen_ai.conversation.id", call.conversation_id);
  if (call.tool_names.size() == 1) out.text("gen_ai.tool.name", call.tool_names.front());
  out.text("gen_ai.tool.name", call.mcp_tool);
  out.text("mcp.method.name", call.mcp_method);
  if (call.provider == "openai" && (call.operation == "chat" || call.operation == "responses"))
    out.text("openai.api.type", call.operation == "chat" ? "chat_completions" : "responses");
}

void set_wire(Attributes out, const LlmCall& call) {
  const ServerAddress server = server_address(call);
  out.text("server.address", server.host);
  out.number("server.port", unless_zero(server.port));
  out.text("http.request.method", call.method);
  out.text("http.route", call.route);
  if (call.status > 0) out.number("http.response.status_code", static_cast<uint64_t>(call.status));
  out.text("url.path", call.path);
  out.text("user_agent.original", call.user_agent);
  if (call.connection.has_addresses) {
    const std::string peer = address_text(call.connection.remote);
    if (call.direction == CallDirection::kInbound) out.text("client.address", peer);
    out.text("network.peer.address", peer);
  }
  out.text("error.type", error_type(call));
  if (call.process) {
    out.number("process.pid", call.process->key.tgid);
    const std::string& exe = call.process->exe;
    out.text("process.executable.name", std::string_view(exe).substr(exe.rfind('/') + 1));
  }
}

void set_own(Attributes out, const LlmCall& call) {
  out.text("llmtap.role", name_of(call.role));
  out.text("llmtap.direction", name_of(call.direction));
  out.text("llmtap.hop", name_of(call.hop));
  out.text("llmtap.outcome", name_of(call.outcome));
  out.number("llmtap.attempt", attempt_of(call));
  if (call.gateway.overhead_ms) out.real("llmtap.overhead_s", *call.gateway.overhead_ms / 1e3);
  out.text("llmtap.cache", cache_result(call));
  out.real("llmtap.cost_usd", call.cost_usd);
  out.text("llmtap.key_sha256", call.key_sha256);
  out.text("llmtap.end_user", call.end_user_sha256);
  out.flag("llmtap.capture.complete", call.incomplete == Incomplete::kNo);
}

void fill(Recordable& span, const LlmCall& call, bool old_names) {
  const SpanIds ids = span_ids(call);
  const auto trace_id = from_hex<16>(ids.trace_id);
  const auto span_id = from_hex<8>(ids.span_id), parent_id = from_hex<8>(ids.parent_span_id);
  const trace::TraceFlags sampled(trace::TraceFlags::kIsSampled);
  span.SetIdentity(trace::SpanContext(trace::TraceId(trace_id), trace::SpanId(span_id), sampled, false),
                   trace::SpanId(parent_id));
  span.SetTraceFlags(sampled);
  const std::string operation(genai_operation(call));
  span.SetName(call.requested_model.empty() ? operation : operation + " " + call.requested_model);
  const bool inbound = call.direction == CallDirection::kInbound;
  span.SetSpanKind(inbound ? trace::SpanKind::kServer : trace::SpanKind::kClient);
  const uint64_t start = call.request_start_ns ? call.request_start_ns : call.end_ns;
  span.SetStartTime(at_wall(call, start));
  span.SetDuration(std::chrono::nanoseconds(call.end_ns - std::min(start, call.end_ns)));
  // HTTP conventions: a refusal is the client's error, not the server's.
  const bool refusal = inbound && call.status >= 400 && call.status < 500;
  const bool failed =
      call.outcome != Outcome::kOk && !refusal && !(inbound && call.outcome == Outcome::kClientAborted);
  if (failed) span.SetStatus(trace::StatusCode::kError, error_type(call));
  set_genai({span}, call, old_names);
  set_wire({span}, call);
  set_own({span}, call);
  if (call.response_start_ns) span.AddEvent("first_byte", at_wall(call, call.response_start_ns));
  if (call.first_token_ns) span.AddEvent("first_token", at_wall(call, call.first_token_ns));
  if (call.last_token_ns) span.AddEvent("last_token", at_wall(call, call.last_token_ns));
  if (failed && !inbound) {
    const std::string type = error_type(call);
    const std::map<std::string, opentelemetry::common::AttributeValue> what{{"exception.type", view(type)}};
    span.AddEvent("gen_ai.client.operation.exception", at_wall(call, call.end_ns),
                  opentelemetry::common::KeyValueIterableView(what));
  }
}

// The library writes to standard error by itself, where it would flood the log; results are counted.
class Silence : public sdk::common::internal_log::LogHandler {
 public:
  void Handle(sdk::common::internal_log::LogLevel, const char*, int, const char*,
              const sdk::common::AttributeMap&) noexcept override {}
};

}  // namespace

struct OtlpExporter::Impl {
  explicit Impl(OtlpOptions from) : options(std::move(from)), queue(options.queue) {}

  void run();
  bool export_once(const std::vector<LlmCall>& calls);
  const sdk::resource::Resource& resource_of(const LlmCall& call);

  OtlpOptions options;
  CallQueue queue;
  std::atomic<uint64_t> ok = 0, error = 0, not_sampled = 0;
  std::unique_ptr<SpanExporter> exporter;
  std::unique_ptr<sdk::instrumentationscope::InstrumentationScope> scope;
  std::map<std::string, std::unique_ptr<sdk::resource::Resource>> resource_by_workload;
  std::thread thread;
};

const sdk::resource::Resource& OtlpExporter::Impl::resource_of(const LlmCall& call) {
  const std::string workload = call.process ? call.process->workload : "unknown";
  auto& resource = resource_by_workload[workload];
  if (!resource) {
    sdk::resource::ResourceAttributes attributes{{"service.name", workload},
                                                 {"telemetry.distro.name", "llmtap"}};
    if (call.process && !call.process->container_id.empty())
      attributes.SetAttribute("container.id", call.process->container_id);
    resource = std::make_unique<sdk::resource::Resource>(sdk::resource::Resource::Create(attributes));
  }
  return *resource;
}

bool OtlpExporter::Impl::export_once(const std::vector<LlmCall>& calls) {
  // Recordables point to their resources until they are sent, which is within this function.
  if (resource_by_workload.size() > kResources) resource_by_workload.clear();
  std::vector<std::unique_ptr<Recordable>> spans;
  for (const LlmCall& call : calls) {
    std::unique_ptr<Recordable> span = exporter->MakeRecordable();
    if (!span) return false;
    span->SetInstrumentationScope(*scope);
    span->SetResource(resource_of(call));
    fill(*span, call, options.old_genai_names);
    spans.push_back(std::move(span));
  }
  const auto result = exporter->Export(nostd::span<std::unique_ptr<Recordable>>(spans.data(), spans.size()));
  return result == sdk::common::ExportResult::kSuccess;
}

void OtlpExporter::Impl::run() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  bool hopeless = false;
  for (;;) {
    const std::vector<LlmCall> calls = queue.take(options.batch);
    if (calls.empty()) {
      if (queue.stopped()) return;
      continue;
    }
    if (hopeless) {
      error += calls.size();
      continue;
    }
    bool sent = false;
    auto backoff = options.first_backoff;
    try {
      for (unsigned attempt = 0; !sent && attempt < options.attempts; ++attempt, backoff *= 2) {
        if (attempt > 0) {
          if (queue.stopped()) break;
          queue.pause(backoff);
        }
        sent = export_once(calls);
      }
    } catch (const std::exception&) {  // out of memory inside the library: the batch is lost
      sent = false;
    }
    (sent ? ok : error) += calls.size();
    // A collector that hangs may hold up the end of the program by one time-out, not by one per batch.
    hopeless = !sent && queue.stopped();
  }
}

OtlpExporter::OtlpExporter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<OtlpExporter>> OtlpExporter::open(OtlpOptions options) {
  if (options.endpoint.empty())
    return Error{"no OTLP endpoint", "set otlp.endpoint, for example collector:4317"};
  try {
    sdk::common::internal_log::GlobalLogHandler::SetLogHandler(
        nostd::shared_ptr<sdk::common::internal_log::LogHandler>(new Silence));
    auto impl = std::make_unique<Impl>(std::move(options));
    impl->exporter = make_otlp_transport(impl->options);
    if (!impl->exporter) return Error{"cannot make an OTLP exporter for " + impl->options.endpoint};
    auto scope =
        sdk::instrumentationscope::InstrumentationScope::Create("llmtap", impl->options.service_version);
    impl->scope.reset(scope.release());
    impl->thread = std::thread([raw = impl.get()] { raw->run(); });
    return std::unique_ptr<OtlpExporter>(new OtlpExporter(std::move(impl)));
  } catch (const std::exception& failure) {
    return Error{std::string("cannot make an OTLP exporter: ") + failure.what()};
  }
}

OtlpExporter::~OtlpExporter() {
  impl_->queue.stop();
  if (impl_->thread.joinable()) impl_->thread.join();
  impl_->exporter->Shutdown(std::chrono::seconds(1));
}

void OtlpExporter::on_call_finished(const LlmCall& call) {
  if (impl_->options.sampler.keeps(call))
    impl_->queue.push(call);
  else
    ++impl_->not_sampled;
}

bool OtlpExporter::flush(std::chrono::milliseconds timeout) { return impl_->queue.wait_idle(timeout); }

ExportCounters OtlpExporter::counters() const {
  const uint64_t ok = impl_->ok, error = impl_->error;
  return {.signal = "traces",
          .ok = ok,
          .error = error,
          .dropped = impl_->queue.dropped(),
          .queued = impl_->queue.accepted() - ok - error,
          .not_sampled = impl_->not_sampled};
}

}  // namespace llmtap
