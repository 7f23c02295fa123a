// SPDX-License-Identifier: Apache-2.0
// What one direction of a connection must know of the other to be redacted.
#pragma once

#include <map>
#include <memory>
#include <string_view>
#include <utility>

#include "base/ascii.h"
#include "redaction/memory_budget.h"

namespace llmtap {

// RFC 7692 7.1.1: whose window lasts from message to message. Not known: nobody's, which every receiver
// can read.
struct DeflateTerms {
  bool client_keeps = false, server_keeps = false;

  // By the reply's Sec-WebSocket-Extensions.
  void agree(std::string_view extensions) {
    if (!icontains(extensions, "permessage-deflate")) return;
    client_keeps = !icontains(extensions, "client_no_context_takeover");
    server_keeps = !icontains(extensions, "server_no_context_takeover");
  }
};

struct ConnectionTerms {
  struct Tunnel {
    MemoryShare memory;
    std::shared_ptr<DeflateTerms> terms;
  };

  explicit ConnectionTerms(std::shared_ptr<RecordingBudgets> recording = std::make_shared<RecordingBudgets>())
      : budgets(std::move(recording)) {}

  std::shared_ptr<RecordingBudgets> budgets;
  std::shared_ptr<DeflateTerms> websocket = std::make_shared<DeflateTerms>();
  // Streams of HTTP/2 that ask to be a WebSocket (RFC 8441).
  std::map<uint32_t, Tunnel> tunnels;
};

}  // namespace llmtap
