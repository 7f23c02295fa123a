// SPDX-License-Identifier: Apache-2.0
// A WebSocket that was there before the probe, known by one frame of an LLM API.
#pragma once

#include <string_view>

#include "protocols/codecs.h"

namespace llmtap::websocket {

// Whether a piece as it was written or read begins with one, and by which side (RFC 6455 5.1: the client's
// are masked).
FirstBytes llm_frame_in(std::string_view piece);

}  // namespace llmtap::websocket
