// SPDX-License-Identifier: Apache-2.0
#include "llm/call_begin.h"

#include "llm/mcp.h"
#include "llm/providers.h"

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

void settle_dialect(CallState& state) {
  const Dialect shape = request_shape(state);
  if (!state.dialect_by_body || shape == Dialect::kNone || shape == Dialect::kMcp ||
      state.dialect == Dialect::kMcp)
    return;
  state.dialect = shape;
  state.call.dialect = dialect_name(shape);
  if (!state.route.known) state.call.operation = dialect_operation(shape);
  if (state.provider_by_dialect) state.call.provider = fallback_provider(shape);
}

}  // namespace llmtap
