// SPDX-License-Identifier: Apache-2.0
// Errors of all providers in one vocabulary.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "llmtap/llm_call.h"
#include "llmtap/message.h"

namespace llmtap {

// What is known of a failed reply. The message is only searched for a few fixed phrases.
struct ErrorFacts {
  int status = 0;            // 0: no reply
  std::string_view type;     // error.type, or gRPC-like status ("RESOURCE_EXHAUSTED"), or x-amzn-errortype
  std::string_view code;     // error.code, also a number as text, or details.error_code
  std::string_view message;  // prefix of error.message
  bool in_stream = false;    // an error event after a 2xx head
};

// rate_limit, quota, context_length, content_policy, auth, not_found, invalid_request, timeout,
// overloaded, server. Empty: no error (2xx or 3xx without one in the stream or body). By in-stream
// error, then JSON code and type, then phrases of the message, then status.
std::string_view classify_error(const ErrorFacts&);

// Same, with the arguments spelled out.
std::string_view classify(int status, std::string_view type, std::string_view code,
                          std::string_view message_hint);

// Value of the label error_type: the provider's code, then its type, if in the closed list, else the
// class, else the status as text ("418"), else empty.
std::string error_type_label(const ErrorFacts&, std::string_view error_class);

// How the call ended.
struct OutcomeFacts {
  int status = 0;  // 0: no reply
  std::string_view error_class;
  bool budget_exceeded = false;  // is_budget_error(…)
  bool stream_error = false;     // error event after a 2xx head
  bool content_blocked = false;  // finish class filter of a whole reply, or blocked prompt at 200
  bool timed_out = false;        // no byte until the idle limit or until the asking side gave up waiting
  bool terminal_seen = true;     // stream: its terminal event; else: the body's end
  ExchangeEnd::How how = ExchangeEnd::How::kComplete;
};
Outcome outcome_for(const OutcomeFacts&);

// Label value of an outcome: "ok", "client_error", ….
std::string_view outcome_name(Outcome);

// LiteLLM's and others' budget refusals: type budget_exceeded, or the text of it.
bool is_budget_error(const ErrorFacts&);

// limit_type of a 429 (D12): rpm, tpm, tpd, rpd, parallel, quota, general, with prefix "team_" or "user_"
// where the text names the scope. Empty when the reply is no rate limit.
std::string limit_type_for(const ErrorFacts&, std::span<const RateLimit> limits);

}  // namespace llmtap
