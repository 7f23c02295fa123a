// SPDX-License-Identifier: Apache-2.0
#include "llm/call_begin.h"

#include "llm/gateway_headers.h"
#include "llm/identity.h"
#include "llm/mcp.h"
#include "llm/redact.h"
#include "llm/trace_ids.h"

namespace llmtap {

void read_request_headers(LlmCall& call, const RequestHead& head, const CallTrackerOptions& options) {
  call.path = safe_path(head.target);
  call.http_version = head.version;
  call.user_agent = mask_secrets(bounded_label(head.header("user-agent")));
  call.key_sha256 = credential_sha256(head.headers);
  call.end_user_sha256 = end_user_sha256(head.headers, options.end_user_headers);
  call.sdk_retry_count = sdk_retry_count(head.headers);
  call.idempotency_sha256 = idempotency_sha256(head.headers);
  call.request_id = request_id_header(head.headers);
  if (const auto trace = parse_traceparent(head.header("traceparent"))) {
    call.trace_id = trace->trace_id;
    call.parent_span_id = trace->parent_span_id;
  }
  add_gateway_request_headers(call.gateway, head.headers);
  if (call.host == "gateway.ai.cloudflare.com") add_cloudflare_path(call.gateway, path_of(head.target));
}

bool is_batch_results(std::string_view route) {
  return route.ends_with("/files/{id}/content") || route.ends_with("/batches/{id}/results");
}

Dialect request_shape(const CallState& state) {
  const RequestFacts& f = state.request->facts();
  const bool mcp_path = state.route.family == "mcp";
  if (!f.json_rpc) return mcp_path ? Dialect::kNone : state.request->shape(state.anthropic_header);
  if (!state.may_be_mcp || f.rpc_method.empty()) return Dialect::kNone;
  return mcp_path || mcp_method_label(f.rpc_method) != "other" ? Dialect::kMcp : Dialect::kNone;
}

}  // namespace llmtap
