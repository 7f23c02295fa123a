// SPDX-License-Identifier: Apache-2.0
#include "llm/finish_class.h"

namespace llmtap {

namespace {

struct Row {
  std::string_view raw, name;
};
constexpr Row kRows[] = {
    {"stop", "stop"},
    {"end_turn", "stop"},
    {"stop_sequence", "stop"},
    {"STOP", "stop"},
    {"COMPLETE", "stop"},
    {"complete", "stop"},
    {"eosFound", "stop"},
    {"stopStringFound", "stop"},
    {"STOP_SEQUENCE", "stop"},
    {"eos", "stop"},
    {"eos_token", "stop"},
    {"word", "stop"},
    {"FINISH", "stop"},
    {"completed", "stop"},
    {"FINISHED", "stop"},
    {"length", "length"},
    {"max_tokens", "length"},
    {"MAX_TOKENS", "length"},
    {"model_length", "length"},
    {"max_output_tokens", "length"},
    {"model_context_window_exceeded", "length"},
    {"limit", "length"},
    {"LENGTH", "length"},
    {"maxPredictedTokensReached", "length"},
    {"contextLengthReached", "length"},
    {"tool_calls", "tool"},
    {"function_call", "tool"},
    {"tool_use", "tool"},
    {"TOOL_CALL", "tool"},
    {"tool_call", "tool"},
    {"toolCalls", "tool"},
    {"requires_action", "tool"},
    {"content_filter", "filter"},
    {"refusal", "filter"},
    {"SAFETY", "filter"},
    {"RECITATION", "filter"},
    {"BLOCKLIST", "filter"},
    {"PROHIBITED_CONTENT", "filter"},
    {"SPII", "filter"},
    {"ERROR_TOXIC", "filter"},
    {"LANGUAGE", "filter"},
    {"IMAGE_PROHIBITED_CONTENT", "filter"},
    {"IMAGE_RECITATION", "filter"},
    {"MODEL_ARMOR", "filter"},
    {"IMAGE_SAFETY", "filter"},
    {"guardrail_intervened", "filter"},
    {"content_filtered", "filter"},
    {"CONTENT_FILTERED", "filter"},
    {"error", "error"},
    {"ERROR", "error"},
    {"TIMEOUT", "error"},
    {"MALFORMED_FUNCTION_CALL", "error"},
    {"malformed_model_output", "error"},
    {"malformed_tool_use", "error"},
    {"failed", "error"},
    {"cancelled", "error"},
    {"abort", "error"},
    {"ERROR_LIMIT", "length"},
    {"UNEXPECTED_TOOL_CALL", "error"},
    {"insufficient_system_resource", "error"},
};

}  // namespace

std::string_view finish_class(std::string_view raw) {
  if (raw.empty() || raw == "null") return {};
  for (const Row& row : kRows)
    if (row.raw == raw) return row.name;
  return "other";
}

}  // namespace llmtap
