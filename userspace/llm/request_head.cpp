// SPDX-License-Identifier: Apache-2.0
#include "llm/request_head.h"

#include <string_view>

#include "llm/call_tracker.h"
#include "llm/gateway_headers.h"
#include "llm/identity.h"
#include "llm/redact.h"
#include "llm/trace_ids.h"

namespace llmtap {

void complete_websocket_route(Route& route, const RequestHead& head) {
  if (!route.known && head.target.find("BidiGenerateContent") != std::string_view::npos) {
    route.route = "/ws/BidiGenerateContent";
    route.operation = "realtime";
    route.family = "gemini";
    route.known = route.inference = true;
  }
  for (const std::string_view name : {"?model=", "&model="})
    if (const size_t at = head.target.find(name); at != std::string_view::npos && route.model_in_path.empty())
      route.model_in_path =
          head.target.substr(at + name.size(), head.target.find('&', at + 1) - at - name.size());
  if (route.model_in_path.empty()) route.model_in_path = head.model;
}

void read_request_headers(LlmCall& call, const RequestHead& head, const CallTrackerOptions& options) {
  call.path = safe_path(head.target);
  call.http_version = head.version;
  call.user_agent = mask_secrets(bounded_label(head.header("user-agent")));
  call.key_sha256 = credential_sha256(head.headers);
  call.end_user_sha256 = end_user_sha256(head.headers, options.end_user_headers);
  call.sdk_retry_count = sdk_retry_count(head.headers);
  call.request_id = request_id_header(head.headers);
  if (const auto trace = parse_traceparent(head.header("traceparent"))) {
    call.trace_id = trace->trace_id;
    call.parent_span_id = trace->parent_span_id;
  }
  add_gateway_request_headers(call.gateway, head.headers);
}

}  // namespace llmtap
