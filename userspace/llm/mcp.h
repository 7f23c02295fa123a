// SPDX-License-Identifier: Apache-2.0
// The Model Context Protocol: JSON-RPC 2.0, one POST per message.
#pragma once

#include <span>
#include <string_view>

#include "llmtap/message.h"

namespace llmtap {

// Whether the head of a POST could carry MCP: its header fields, or what it accepts. JSON-RPC itself
// is spoken by many.
bool may_be_mcp(const RequestHead&);
// The method as a label: one of the protocol's, or "other".
std::string_view mcp_method_label(std::string_view method);
// The class of a JSON-RPC error's code; empty: no such code.
std::string_view mcp_error_class(std::string_view code);

}  // namespace llmtap
