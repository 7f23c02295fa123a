// SPDX-License-Identifier: Apache-2.0
#include "sinks/call_json.h"

#include <charconv>
#include <cmath>
#include <concepts>
#include <ctime>
#include <optional>
#include <string_view>

#include "sinks/label_names.h"

namespace llmtap {
namespace {

// Times in milliseconds, to the microsecond.
struct Milliseconds {
  double value = 0;
};

// Bytes of the character at the front; 1 also for a byte that begins none.
size_t utf8_size(std::string_view text) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = at(0);
  const size_t size = lead >= 0xf0 && lead <= 0xf4  ? 4
                      : lead >= 0xe0 && lead < 0xf0 ? 3
                      : lead >= 0xc2 && lead < 0xe0 ? 2
                                                    : 1;
  if (size == 1 || text.size() < size) return 1;
  for (size_t i = 1; i < size; ++i)
    if ((at(i) & 0xc0) != 0x80) return 1;
  // Overlong forms, surrogates and beyond U+10FFFF (RFC 3629, section 4).
  const unsigned second = at(1);
  const bool forbidden = (lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) ||
                         (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f);
  return forbidden ? 1 : size;
}

class ObjectWriter {
 public:
  void null(std::string_view key) { begin(key) += "null"; }

  // Empty text is unknown.
  void text(std::string_view key, std::string_view value) {
    if (value.empty()) return null(key);
    std::string& out = begin(key);
    out += '"';
    while (!value.empty()) {
      const size_t size = utf8_size(value);
      if (size > 1)
        out += value.substr(0, size);
      else
        append_escaped(value.front());
      value.remove_prefix(size);
    }
    out += '"';
  }
  void boolean(std::string_view key, bool value) { begin(key) += value ? "true" : "false"; }
  void number(std::string_view key, std::unsigned_integral auto value) {
    begin(key) += std::to_string(value);
  }
  void number(std::string_view key, double value) {
    if (!std::isfinite(value)) return null(key);
    char digits[32];
    const auto end = std::to_chars(digits, digits + sizeof digits, value);
    begin(key).append(digits, end.ptr);
  }
  void number(std::string_view key, Milliseconds value) {
    if (!std::isfinite(value.value)) return null(key);
    char digits[64];
    const auto end = std::to_chars(digits, digits + sizeof digits, value.value, std::chars_format::fixed, 3);
    if (end.ec != std::errc{}) return null(key);
    std::string_view written(digits, static_cast<size_t>(end.ptr - digits));
    while (written.ends_with('0')) written.remove_suffix(1);
    if (written.ends_with('.')) written.remove_suffix(1);
    begin(key) += written;
  }
  template <typename T>
  void number(std::string_view key, const std::optional<T>& value) {
    value ? number(key, *value) : null(key);
  }
  std::string finish() {
    out_ += '}';
    return std::move(out_);
  }

 private:
  std::string& begin(std::string_view key) {
    out_ += out_.empty() ? '{' : ',';
    out_ += '"';
    out_ += key;
    return out_ += "\":";
  }
  // A byte that belongs to no character becomes U+FFFD: a line is valid UTF-8 whatever the wire said.
  void append_escaped(char c) {
    constexpr char kHex[] = "0123456789abcdef";
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out_ += '\\';
      out_ += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out_ += "\\u00";
      out_ += kHex[byte >> 4];
      out_ += kHex[byte & 0xf];
    } else if (byte >= 0x80) {
      out_ += "\\ufffd";
    } else {
      out_ += c;
    }
  }
  std::string out_;
};

std::string_view level_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::kOk: return "info";
    case Outcome::kServerError:
    case Outcome::kTimeout:
    case Outcome::kConnectionError:
    case Outcome::kStreamError:
    case Outcome::kTruncated: return "error";
    default: return "warn";
  }
}

std::optional<Milliseconds> between(uint64_t from, uint64_t to) {
  if (from == 0 || to < from) return std::nullopt;
  return Milliseconds{static_cast<double>(to - from) / 1e6};
}

std::optional<Milliseconds> per_token(const LlmCall& call) {
  if (!call.tokens.output || *call.tokens.output < 2 || call.first_token_ns == 0 ||
      call.last_token_ns <= call.first_token_ns)
    return std::nullopt;
  return Milliseconds{static_cast<double>(call.last_token_ns - call.first_token_ns) / 1e6 /
                      static_cast<double>(*call.tokens.output - 1)};
}

std::optional<double> remaining(const LlmCall& call, RateLimit::Kind kind) {
  for (const RateLimit& limit : call.rate_limits)
    if (limit.kind == kind && limit.remaining) return limit.remaining;
  return std::nullopt;
}

void write_identity(ObjectWriter& out, const LlmCall& call) {
  const SpanIds ids = span_ids(call);
  out.text("time", rfc3339_ms(call.end_wall_ns));
  out.text("level", level_of(call.outcome));
  out.text("msg", "llm call");
  out.text("request_id", call.request_id);
  out.text("response_id", call.response_id);
  out.text("call_id", call.gateway.call_id);
  out.text("provider_request_id", call.provider_request_id);
  out.text("trace_id", ids.trace_id);
  out.text("span_id", ids.span_id);
  out.null("namespace");
  out.null("pod");
  out.text("workload", call.process ? call.process->workload : "");
  out.null("container");
  out.null("node");
  if (call.process)
    out.number("pid", call.process->key.tgid);
  else
    out.null("pid");
  out.text("role", name_of(call.role));
  out.text("direction", name_of(call.direction));
  out.text("hop", name_of(call.hop));
  out.number("attempt", attempt_of(call));
}

void write_wire(ObjectWriter& out, const LlmCall& call) {
  const ConnectionFacts& connection = call.connection;
  out.boolean("stream", call.stream);
  out.text("host", call.host);
  out.text("peer_ip", connection.has_addresses ? address_text(connection.remote) : "");
  if (connection.has_addresses)
    out.number("peer_port", connection.remote.port);
  else
    out.null("peer_port");
  out.text("process", call.process ? call.process->comm : "");
  out.text("container_id", call.process ? call.process->container_id : "");
  out.text("http_version", name_of(call.http_version));
  out.text("start_time", rfc3339_ms(call.start_wall_ns));
  out.text("error_code", call.error_code);
  out.number("content_chunks", call.content_chunks);
  out.text("incomplete", name_of(call.incomplete));
  out.boolean("cost_booked", call.cost_booked);
  out.text("method", call.method);
  out.text("route", call.route);
  out.text("path", call.path);
  out.number("status", static_cast<uint64_t>(call.status < 0 ? 0 : call.status));
  out.text("outcome", name_of(call.outcome));
  out.text("error_type", error_type(call));
}

void write_model_and_tokens(ObjectWriter& out, const LlmCall& call) {
  out.text("provider", call.provider);
  out.text("operation", call.operation);
  out.text("requested_model", call.requested_model);
  out.text("model", call.model());
  out.text("response_model", call.response_model);
  out.number("input_tokens", call.tokens.input);
  out.number("output_tokens", call.tokens.output);
  out.number("cached_tokens", call.tokens.cached);
  out.number("cache_write_tokens", call.tokens.cache_write);
  out.number("reasoning_tokens", call.tokens.reasoning);
  out.text("token_source", name_of(call.tokens.source));
  out.number("cost_usd", call.cost_usd);
  out.text("cost_source", name_of(call.cost_source));
}

void write_times(ObjectWriter& out, const LlmCall& call) {
  out.number("duration_ms", between(call.request_start_ns, call.end_ns));
  out.number("ttfb_ms", between(call.request_start_ns, call.response_start_ns));
  out.number("ttft_ms", between(call.request_start_ns, call.first_token_ns));
  // Of a call that speaks: when it was first heard, and when its words came.
  if (call.first_audio_ns != 0) {
    out.number("first_audio_ms", between(call.request_start_ns, call.first_audio_ns));
    out.number("first_text_ms", between(call.request_start_ns, call.first_content_ns));
  }
  out.number("tpot_ms", per_token(call));
  out.null("queue_ms");
  out.number("overhead_ms", call.gateway.overhead_ms);
  out.number("stream_chunks", call.stream_chunks);
  if (call.gaps.total > 0)
    out.number("max_gap_ms", Milliseconds{call.gaps.max_seconds * 1e3});
  else
    out.null("max_gap_ms");
}

void write_rest(ObjectWriter& out, const LlmCall& call) {
  const bool inbound = call.direction == CallDirection::kInbound;
  out.text("cache", cache_result(call));
  out.null("pii_entities");
  out.text("key_sha256", call.key_sha256);
  for (const char* key : {"key_alias", "team_id", "team_alias", "user_id"}) out.null(key);
  out.text("end_user", call.end_user_sha256);
  out.text("client_ip", inbound && call.connection.has_addresses ? address_text(call.connection.remote) : "");
  out.text("user_agent", call.user_agent);
  out.number("request_bytes", call.request_bytes);
  out.number("response_bytes", call.response_bytes);
  out.number("ratelimit_remaining_requests", remaining(call, RateLimit::Kind::kRequests));
  out.number("ratelimit_remaining_tokens", remaining(call, RateLimit::Kind::kTokens));
  out.number("retry_after_s", call.retry_after_seconds);
  out.text("finish_reason", call.finish_reasons.empty() ? "" : call.finish_reasons.front());
  out.number("tool_calls", call.tool_calls);
  out.text("conversation_id", call.conversation_id);
  out.null("tcp_rtt_ms");
  out.null("retransmits");
  out.boolean("connection_reused", call.connection_reused);
  out.boolean("tls", call.connection.tls());
  out.boolean("capture_complete", call.incomplete == Incomplete::kNo);
  out.null("correlation");
}

// Of few calls: such a key is absent where it has nothing to say.
void write_special(ObjectWriter& out, const LlmCall& call) {
  const auto text = [&](std::string_view key, std::string_view value) {
    if (!value.empty()) out.text(key, value);
  };
  text("retry_of", call.retry_of);
  text("idempotency_sha256", call.idempotency_sha256);
  text("gateway", call.gateway.name);
  text("gateway_provider", call.gateway.provider);
  text("mcp_method", call.mcp_method);
  text("mcp_tool", call.mcp_tool);
  if (call.batch_results > 0) out.number("batch_results", call.batch_results);
}

}  // namespace

std::string rfc3339_ms(uint64_t wall_ns) {
  if (wall_ns == 0) return {};
  const auto seconds = static_cast<std::time_t>(wall_ns / 1'000'000'000);
  std::tm utc{};
  if (!gmtime_r(&seconds, &utc)) return {};
  char date[40];
  const size_t size = std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
  std::string millis = std::to_string(1000 + wall_ns / 1'000'000 % 1000);
  millis.front() = '.';
  return std::string(date, size) + millis + "Z";
}

std::string call_json(const LlmCall& call) {
  ObjectWriter out;
  write_identity(out, call);
  write_wire(out, call);
  write_model_and_tokens(out, call);
  write_times(out, call);
  write_rest(out, call);
  write_special(out, call);
  return out.finish();
}

}  // namespace llmtap
