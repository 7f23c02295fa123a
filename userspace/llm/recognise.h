// SPDX-License-Identifier: Apache-2.0
// How much the heads of an exchange say about its being an LLM call.
#pragma once

#include <string>
#include <string_view>

#include "llm/providers.h"
#include "llm/route_template.h"
#include "llmtap/llm_call.h"
#include "llmtap/message.h"

namespace llmtap {

struct HostFacts {
  std::string name;   // lower case, default port removed; other ports kept
  std::string bare;   // without any port
  uint16_t port = 0;  // that the server listens on, as far as known
};
// Authority of the request (or absolute target), else the SNI. Never an address: on a proxy the peer
// is the proxy.
HostFacts host_of(const ConnectionFacts&, const RequestHead&, CallDirection);

struct RequestEvidence {
  enum class Weight : uint8_t {
    kNone,     // no LLM call
    kMaybe,    // the bodies decide
    kCertain,  // host or path say so
  };
  Weight weight = Weight::kNone;
  std::string host, provider;        // provider: empty if only the shape can say
  Dialect dialect = Dialect::kNone;  // that the user's row of the host says
  bool json = false;                 // the request's body is JSON by its content type
  bool multipart = false;            // a form that carries a model's name
  bool mcp = false;                  // a JSON-RPC message may be one of MCP
  bool read_body = false;
  bool upgrade = false;  // asks for a WebSocket
  bool certain = false;  // a refused upgrade is a call
};
// An Upgrade of HTTP/1.1, or RFC 8441's CONNECT.
bool asks_for_websocket(const RequestHead&);
// `workload_known`: calls of this workload were seen, so its model lists and file uploads are calls too.
RequestEvidence weigh_request(const ConnectionFacts&, const RequestHead&, const Route&, CallDirection,
                              const ProviderTable&, bool workload_known);

struct ReplyKind {
  bool json = false, stream = false;  // stream: events or lines
  bool readable = false;              // JSON inside, or unknown
};
ReplyKind reply_kind(const ResponseHead&);

}  // namespace llmtap
