// SPDX-License-Identifier: Apache-2.0
#include "llm/recognise.h"

#include <algorithm>

#include "base/ascii.h"
#include "llm/mcp.h"

namespace llmtap {
namespace {

std::string_view media_type(std::string_view content_type) {
  content_type = content_type.substr(0, content_type.find(';'));
  while (content_type.ends_with(' ')) content_type.remove_suffix(1);
  return content_type;
}

bool is_json(std::string_view type) { return type == "application/json" || type.ends_with("+json"); }

// Paths that nothing but an LLM API has.
bool path_is_proof(const Route& route) {
  static constexpr std::string_view kProof[] = {"openai_chat", "openai_image",     "openai_audio",
                                                "gemini",      "bedrock_converse", "bedrock_invoke",
                                                "dashscope"};
  return std::ranges::find(kProof, route.family) != std::end(kProof);
}

}  // namespace

HostFacts host_of(const ConnectionFacts& connection, const RequestHead& head, CallDirection direction) {
  std::string_view authority = head.authority;
  const size_t scheme = head.target.find("://");
  bool tls = connection.tls();
  if (scheme != std::string_view::npos && scheme < 8) {
    std::string_view rest = head.target.substr(scheme + 3);
    authority = rest.substr(0, rest.find_first_of("/?#"));
    tls = head.target.starts_with("https") || (tls && !head.target.starts_with("http:"));
  }
  if (authority.empty()) authority = connection.sni;
  HostFacts host;
  uint16_t port = 0;
  host.bare = lowered(split_port(authority, port));
  host.name = host.bare;
  if (port != 0 && port != (tls ? 443 : 80)) host.name += ":" + std::to_string(port);
  host.port = port;
  if (port == 0 && connection.has_addresses)
    host.port = direction == CallDirection::kInbound ? connection.local.port : connection.remote.port;
  return host;
}

bool asks_for_websocket(const RequestHead& head) {
  const bool extended = head.method == "CONNECT" && head.target.starts_with('/') &&
                        !head.header("sec-websocket-version").empty();
  return extended || iequals(head.header("upgrade"), "websocket");
}

RequestEvidence weigh_request(const ConnectionFacts& connection, const RequestHead& head, const Route& route,
                              CallDirection direction, const ProviderTable& providers, bool workload_known) {
  using Weight = RequestEvidence::Weight;
  RequestEvidence e;
  const HostFacts host = host_of(connection, head, direction);
  e.host = host.name;
  e.upgrade = !head.websocket && asks_for_websocket(head);
  if ((head.method == "CONNECT" && !e.upgrade) || head.method == "OPTIONS" || head.method == "HEAD") return e;
  if (route.family == "mcp" && head.method != "POST") return e;
  const ProviderMatch match = providers.match(host.bare, host.port, path_of(head.target));
  const bool post = head.method == "POST";
  const std::string type = lowered(media_type(head.header("content-type")));
  e.json = is_json(type);
  e.provider = match.provider;
  if (post) e.dialect = match.dialect;
  if (e.provider.empty() && !head.header("anthropic-version").empty()) e.provider = "anthropic";
  if (e.provider.empty() && !head.header("x-goog-api-key").empty()) e.provider = "gcp.gemini";
  // The Azure inference host speaks every provider's dialect below its own paths.
  if (e.provider == "azure.ai.inference" && path_of(head.target).starts_with("/openai/"))
    e.provider = "azure.ai.openai";

  // The calls on a WebSocket come as exchanges of their own, and its codec knows that they are. The
  // upgrade itself is a call only if it is refused.
  if (head.websocket) {
    e.weight = Weight::kCertain;
    e.json = e.read_body = true;
    return e;
  }
  const bool host_says = !match.provider.empty() && (match.api_only || route.known);
  const bool path_says = route.known && route.inference && post && path_is_proof(route);
  const bool header_says =
      route.known && route.family == "anthropic" && !head.header("anthropic-version").empty();
  const bool beside_calls = route.known && !route.inference && workload_known && route.family != "mcp";
  e.mcp = post && e.json && (route.family == "mcp" || may_be_mcp(head));
  const bool maybe = post && ((route.known && route.family != "mcp" && (e.json || type.empty())) || e.json ||
                              (head.fields_unknown && type.empty()));
  e.weight = host_says || path_says || header_says || beside_calls ? Weight::kCertain
             : maybe                                               ? Weight::kMaybe
                                                                   : Weight::kNone;
  e.certain = e.weight == Weight::kCertain || (e.upgrade && route.known && route.inference);
  if (e.upgrade) e.weight = Weight::kMaybe;
  e.multipart =
      type == "multipart/form-data" && (route.family == "openai_audio" || route.family == "openai_image");
  e.read_body =
      e.weight != Weight::kNone && post && (e.json || e.multipart || type.empty() || type == "text/plain");
  return e;
}

ReplyKind reply_kind(const ResponseHead& head) {
  const std::string type = lowered(media_type(head.header("content-type")));
  ReplyKind kind;
  kind.json = is_json(type);
  kind.stream = type == "text/event-stream" || type == "application/x-ndjson" ||
                type == "application/jsonl" || type == "application/ndjson" ||
                type == "application/jsonlines" || type == "application/vnd.amazon.eventstream";
  kind.readable = kind.json || kind.stream || type.empty() || type == "text/plain";
  return kind;
}

}  // namespace llmtap
