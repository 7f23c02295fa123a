// SPDX-License-Identifier: Apache-2.0
// What a request's head says of its call.
#pragma once

#include "llm/route_template.h"
#include "llmtap/llm_call.h"
#include "llmtap/message.h"

namespace llmtap {

struct CallTrackerOptions;

// Of a call on a WebSocket: a path may name the model, and Gemini Live's is an RPC's name behind any prefix.
void complete_websocket_route(Route&, const RequestHead&);
void read_request_headers(LlmCall&, const RequestHead&, const Route&, const CallTrackerOptions&);

}  // namespace llmtap
