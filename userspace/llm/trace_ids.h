// SPDX-License-Identifier: Apache-2.0
// Trace context of requests, and ids for calls that carry none. Generated ids depend on the exchange
// and its time only: a replay gives the same ones.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "llmtap/message.h"

namespace llmtap {

struct TraceContext {
  std::string trace_id;        // 32 hex digits
  std::string parent_span_id;  // 16 hex digits
  bool sampled = false;
};

// W3C traceparent; nothing if malformed or all zero.
std::optional<TraceContext> parse_traceparent(std::string_view value);

// In the form of a UUIDv7 (RFC 9562 5.7), its time being `wall_ns`.
std::string generated_request_id(ExchangeId, uint64_t wall_ns);
std::string generated_trace_id(ExchangeId, uint64_t wall_ns);
std::string generated_span_id(ExchangeId, uint64_t wall_ns);

// The trace id that every node derives from the same provider reply, so that what two nodes saw of one
// call meets in one trace without coordination.
std::string trace_id_from_response_id(std::string_view response_id);

}  // namespace llmtap
