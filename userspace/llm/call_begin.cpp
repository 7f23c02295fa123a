// SPDX-License-Identifier: Apache-2.0
#include "llm/call_begin.h"

#include "llm/mcp.h"

namespace llmtap {

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
