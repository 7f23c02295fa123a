// SPDX-License-Identifier: Apache-2.0
// What the calls on a WebSocket are told of the request that made it.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "protocols/codec.h"

namespace llmtap::websocket {

std::shared_ptr<WebSocketUpgrade> asked_for(std::string_view target, std::string_view authority,
                                            std::span<const HeaderField> fields, HttpVersion version);
// The extensions that the server agreed to.
void agree(WebSocketUpgrade&, std::span<const HeaderField> reply);

}  // namespace llmtap::websocket
