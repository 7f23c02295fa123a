// SPDX-License-Identifier: Apache-2.0
#include "llm/mcp.h"

#include <algorithm>

#include "base/ascii.h"

namespace llmtap {
namespace {

// Of all revisions up to 2026-07-28.
constexpr std::string_view kMethods[] = {"initialize",
                                         "ping",
                                         "tools/call",
                                         "tools/list",
                                         "resources/list",
                                         "resources/read",
                                         "resources/subscribe",
                                         "resources/templates/list",
                                         "resources/unsubscribe",
                                         "prompts/get",
                                         "prompts/list",
                                         "completion/complete",
                                         "logging/setLevel",
                                         "sampling/createMessage",
                                         "elicitation/create",
                                         "roots/list",
                                         "server/discover",
                                         "subscriptions/listen",
                                         "tasks/get",
                                         "tasks/list",
                                         "tasks/result",
                                         "tasks/cancel",
                                         "notifications/initialized",
                                         "notifications/cancelled",
                                         "notifications/progress",
                                         "notifications/message",
                                         "notifications/roots/list_changed"};

struct CodeRow {
  std::string_view code, name;
};
constexpr CodeRow kCodes[] = {
    {"-32700", "invalid_request"}, {"-32600", "invalid_request"}, {"-32601", "not_found"},
    {"-32602", "invalid_request"}, {"-32603", "server"},          {"-32002", "not_found"},
    {"-32020", "invalid_request"}, {"-32021", "invalid_request"}, {"-32022", "invalid_request"},
};

}  // namespace

bool may_be_mcp(const RequestHead& head) {
  // Revisions since 2025-03-26: a client takes both forms of a reply.
  const std::string accept = lowered(head.header("accept"));
  if (icontains(accept, "application/json") && icontains(accept, "text/event-stream")) return true;
  return !head.header("mcp-protocol-version").empty() || !head.header("mcp-session-id").empty() ||
         !head.header("mcp-method").empty();
}

std::string_view mcp_method_label(std::string_view method) {
  const auto* at = std::ranges::find(kMethods, method);
  return at == std::end(kMethods) ? std::string_view("other") : *at;
}

std::string_view mcp_error_class(std::string_view code) {
  const auto* at = std::ranges::find(kCodes, code, &CodeRow::code);
  return at == std::end(kCodes) ? std::string_view() : at->name;
}

}  // namespace llmtap
