// SPDX-License-Identifier: Apache-2.0
#include "sinks/label_names.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace llmtap {

std::string_view name_of(CallDirection direction) {
  return direction == CallDirection::kInbound ? "inbound" : "outbound";
}

// Without a linker every exchange is a chain of its own, and so at its edge.
std::string_view name_of(Hop hop) { return hop == Hop::kInner ? "inner" : "edge"; }

std::string_view name_of(WorkloadRole role) {
  switch (role) {
    case WorkloadRole::kServer: return "server";
    case WorkloadRole::kGateway: return "gateway";
    case WorkloadRole::kClient: break;
  }
  return "client";
}

std::string_view name_of(Outcome outcome) {
  constexpr std::array<std::string_view, 13> kNames{
      "ok",        "client_error", "auth_error", "rate_limited",     "content_blocked", "budget_exceeded",
      "not_found", "server_error", "timeout",    "connection_error", "client_aborted",  "stream_error",
      "truncated"};
  return kNames.at(static_cast<size_t>(outcome));
}

std::string_view name_of(Incomplete incomplete) {
  constexpr std::array<std::string_view, 6> kNames{
      "", "truncated", "lost_segment", "mid_stream_attach", "parse_error", "decompress_error"};
  return kNames.at(static_cast<size_t>(incomplete));
}

std::string_view name_of(AbortReason reason) {
  constexpr std::array<std::string_view, 6> kNames{
      "", "client_closed", "upstream_reset", "upstream_error_event", "idle_timeout", "truncated"};
  return kNames.at(static_cast<size_t>(reason));
}

std::string_view name_of(TokenSource source) {
  switch (source) {
    // A gateway's numbers are the provider's, passed on.
    case TokenSource::kReported:
    case TokenSource::kGateway: return "reported";
    case TokenSource::kEstimated: return "estimated";
    case TokenSource::kNone: break;
  }
  return "";
}

std::string_view name_of(CostSource source) {
  switch (source) {
    case CostSource::kHeader: return "header";
    case CostSource::kPriceTable: return "price_table";
    case CostSource::kNone: break;
  }
  return "";
}

std::string_view name_of(RateLimit::Kind kind) {
  constexpr std::array<std::string_view, 4> kNames{"requests", "tokens", "input_tokens", "output_tokens"};
  return kNames.at(static_cast<size_t>(kind));
}

std::string_view name_of(RateLimit::Scope scope) {
  constexpr std::array<std::string_view, 4> kNames{"provider", "key", "team", "user"};
  return kNames.at(static_cast<size_t>(scope));
}

std::string_view name_of(HttpVersion version) {
  constexpr std::array<std::string_view, 4> kNames{"", "1.0", "1.1", "2"};
  return kNames.at(static_cast<size_t>(version));
}

std::string_view genai_operation(const LlmCall& call) {
  // The conventions know one name for every conversation format but Gemini's.
  constexpr std::array<std::string_view, 4> kChat{"chat", "responses", "messages", "converse"};
  if (std::ranges::find(kChat, call.operation) != kChat.end()) return "chat";
  return call.operation;
}

std::string error_type(const LlmCall& call) {
  if (call.outcome == Outcome::kOk) return {};
  if (!call.error_class.empty()) return call.error_class;
  if (call.status >= 400) return std::to_string(call.status);
  return std::string(name_of(call.outcome));
}

std::string_view cache_result(const LlmCall& call) {
  if (!call.gateway.cache_hit) return "";
  return *call.gateway.cache_hit ? "hit" : "miss";
}

std::optional<uint64_t> attempt_of(const LlmCall& call) {
  // 0 is also the value without the header: the first attempt, or a client that does not say.
  return call.sdk_retry_count > 0 ? std::optional<uint64_t>(call.sdk_retry_count + uint64_t{1})
                                  : std::nullopt;
}

namespace {

// Finaliser of splitmix64: every input bit reaches every output bit.
uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

std::string hex16(uint64_t value) {
  if (value == 0) value = 1;  // all zeros is no id
  std::string text(16, '0');
  for (size_t i = 16; i-- > 0; value >>= 4) text[i] = "0123456789abcdef"[value & 0xf];
  return text;
}

bool is_hex_id(std::string_view id, size_t digits) {
  return id.size() == digits && id.find_first_not_of("0123456789abcdef") == std::string_view::npos &&
         id.find_first_not_of('0') != std::string_view::npos;
}

}  // namespace

SpanIds span_ids(const LlmCall& call) {
  const uint64_t process = call.process ? mix(call.process->key.start_ns + call.process->key.tgid) : 0;
  const uint64_t seed =
      mix(call.start_wall_ns ^ mix(call.exchange.connection ^ mix(call.exchange.number + process)));
  SpanIds ids;
  ids.span_id = hex16(mix(seed + 1));
  if (is_hex_id(call.trace_id, 32)) {
    ids.trace_id = call.trace_id;
    if (is_hex_id(call.parent_span_id, 16)) ids.parent_span_id = call.parent_span_id;
  } else {
    ids.trace_id = hex16(mix(seed + 2)) + hex16(mix(seed + 3));
  }
  return ids;
}

std::string address_text(const Endpoint& endpoint) {
  char text[INET6_ADDRSTRLEN] = "";
  constexpr std::array<uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (std::equal(kMapped.begin(), kMapped.end(), endpoint.address.begin()))
    inet_ntop(AF_INET, endpoint.address.data() + kMapped.size(), text, sizeof text);
  else
    inet_ntop(AF_INET6, endpoint.address.data(), text, sizeof text);
  return text;
}

ServerAddress server_address(const LlmCall& call) {
  const ConnectionFacts& connection = call.connection;
  const bool inbound = call.direction == CallDirection::kInbound;
  const Endpoint& server = inbound ? connection.local : connection.remote;
  ServerAddress address{call.host, connection.has_addresses ? server.port : uint16_t{0}};
  const size_t colon = address.host.rfind(':');
  const bool bracketed = address.host.starts_with('[');
  if (colon != std::string::npos && (!bracketed || colon > address.host.find(']')) &&
      (bracketed || address.host.find(':') == colon)) {
    uint16_t port = 0;
    const char* end = address.host.data() + address.host.size();
    if (const auto parsed = std::from_chars(address.host.data() + colon + 1, end, port);
        parsed.ec == std::errc{} && parsed.ptr == end) {
      address.port = port;
      address.host.resize(colon);
    }
  }
  if (address.host.empty() && connection.has_addresses) address.host = address_text(server);
  return address;
}

}  // namespace llmtap
