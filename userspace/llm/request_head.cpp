// SPDX-License-Identifier: Apache-2.0
#include "llm/request_head.h"

#include <string_view>

#include "base/sha256.h"
#include "llm/call_tracker.h"
#include "llm/gateway_headers.h"
#include "llm/identity.h"
#include "llm/path_ids.h"
#include "llm/redact.h"
#include "llm/trace_ids.h"

namespace llmtap {
namespace {

std::string_view query_value(std::string_view target, std::string_view name) {
  size_t at = target.find('?');
  while (at != std::string_view::npos) {
    const std::string_view pair = target.substr(at + 1, target.find('&', at + 1) - at - 1);
    if (pair.starts_with(name) && pair.substr(name.size()).starts_with('='))
      return pair.substr(name.size() + 1);
    at = target.find('&', at + 1);
  }
  return {};
}

}  // namespace

void complete_websocket_route(Route& route, const RequestHead& head) {
  // The path names the model that answers.
  if (head.transcription) {
    route.operation = "audio_transcription";
    route.family = "openai_audio";
    route.known = route.inference = true;
    route.model_in_path = head.model;
    return;
  }
  if (!route.known && head.target.find("BidiGenerateContent") != std::string_view::npos) {
    route.route = "/ws/BidiGenerateContent";
    route.operation = "realtime";
    route.family = "gemini";
    route.known = route.inference = true;
  }
  // Azure names a deployment.
  for (const std::string_view name : {"model", "deployment"})
    if (route.model_in_path.empty()) route.model_in_path = percent_decoded(query_value(head.target, name));
  if (route.model_in_path.empty()) route.model_in_path = head.model;
}

void read_request_headers(LlmCall& call, const RequestHead& head, const Route& route,
                          const CallTrackerOptions& options) {
  call.path = safe_path(head.target);
  call.http_version = head.version;
  call.user_agent = mask_secrets(bounded_label(head.header("user-agent")));
  call.key_sha256 = credential_sha256(head.headers);
  // Google's APIs take it there too.
  if (const std::string_view key = query_value(head.target, "key");
      call.key_sha256.empty() && !key.empty() && route.family.starts_with("gemini"))
    call.key_sha256 = sha256_hex(percent_decoded(key));
  call.end_user_sha256 = end_user_sha256(head.headers, options.end_user_headers);
  call.sdk_retry_count = sdk_retry_count(head.headers);
  call.idempotency_sha256 = idempotency_sha256(head.headers);
  call.request_id = request_id_header(head.headers);
  if (const auto trace = parse_traceparent(head.header("traceparent"))) {
    call.trace_id = trace->trace_id;
    call.parent_span_id = trace->parent_span_id;
    call.trace_flag = trace->sampled ? TraceFlag::kSampled : TraceFlag::kNotSampled;
  }
  add_gateway_request_headers(call.gateway, head.headers);
  if (call.host == "gateway.ai.cloudflare.com") add_cloudflare_path(call.gateway, path_of(head.target));
}

}  // namespace llmtap
