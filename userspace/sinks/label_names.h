// SPDX-License-Identifier: Apache-2.0
// Enumerators as the words that labels, log fields and span attributes show.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "llmtap/llm_call.h"

namespace llmtap {

std::string_view name_of(CallDirection);
std::string_view name_of(Hop);
std::string_view name_of(WorkloadRole);
std::string_view name_of(Outcome);
std::string_view name_of(Incomplete);   // "" for kNo
std::string_view name_of(AbortReason);  // "" for kNone
std::string_view name_of(TokenSource);  // "" for kNone
std::string_view name_of(CostSource);   // "" for kNone
std::string_view name_of(RateLimit::Kind);
std::string_view name_of(RateLimit::Scope);
std::string_view name_of(HttpVersion);  // "" for kUnknown, else 1.0, 1.1, 2

// gen_ai.operation.name of an operation.
std::string_view genai_operation(const LlmCall&);
// error.type of the conventions; empty when the call is fine.
std::string error_type(const LlmCall&);

// hit or miss, by what the reply's headers say of the gateway's cache; empty: nothing.
std::string_view cache_result(const LlmCall&);
// Which attempt of the same request this is, from 1, where the client says that it tries again.
std::optional<uint64_t> attempt_of(const LlmCall&);

// Ids of the call's span. The trace and parent are the wire's; without a trace on the wire they are
// made from the exchange, so that log lines and spans of one call agree.
struct SpanIds {
  std::string trace_id, span_id, parent_span_id;  // 32, 16, and 16 or 0 hex digits
};
SpanIds span_ids(const LlmCall&);

std::string address_text(const Endpoint&);  // without port; IPv4-mapped as IPv4

// A call's server as an authority without the port, and the port; 0: not known.
struct ServerAddress {
  std::string host;
  uint16_t port = 0;
};
ServerAddress server_address(const LlmCall&);

}  // namespace llmtap
