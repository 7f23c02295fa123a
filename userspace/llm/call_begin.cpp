// SPDX-License-Identifier: Apache-2.0
#include "llm/call_begin.h"

#include "llm/mcp.h"
#include "llm/providers.h"

namespace llmtap {

BatchForm batch_form(std::string_view method, std::string_view path, const Route& route,
                     std::string_view provider) {
  const std::string_view name = route.route;
  if (name.ends_with(":batchGenerateContent") || name.ends_with(":asyncBatchEmbedContent"))
    return BatchForm::kOperation;
  if (method != "GET") return BatchForm::kNone;
  if (name.ends_with("/files/{id}/content") || name.ends_with("/batches/{id}/results"))
    return BatchForm::kLines;
  // A gateway's host says nothing; the body decides.
  if (provider != "gcp.gemini" && !provider.empty()) return BatchForm::kNone;
  if (name.ends_with("/batches/{id}")) return BatchForm::kOperation;
  return name.ends_with("/files/{id}") && path.ends_with(":download") ? BatchForm::kKeyedLines
                                                                      : BatchForm::kNone;
}

void begin_batch(CallState& state, const std::shared_ptr<const PriceTable>& prices, const PriceRules& rules,
                 size_t max_string_bytes) {
  using Where = InlinedResponses::Where;
  state.batch = std::make_unique<BatchResults>(state.call.provider, prices, rules);
  if (state.batch_form == BatchForm::kLines) return;
  state.inlined = std::make_unique<InlinedResponses>(
      state.batch_form == BatchForm::kOperation ? Where::kOperation : Where::kLines, *state.batch,
      max_string_bytes);
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
