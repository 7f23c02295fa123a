// SPDX-License-Identifier: Apache-2.0
// What one direction of a connection must know of the other to be redacted.
#pragma once

#include <map>
#include <memory>
#include <string_view>
#include <utility>

#include "base/ascii.h"
#include "llmtap/limits.h"
#include "protocols/decoder_budget.h"

namespace llmtap {

// RFC 7692 7.1.1: whose window lasts from message to message. Not known: nobody's, which every receiver
// can read.
struct DeflateTerms {
  explicit DeflateTerms(
      std::shared_ptr<DecoderBudget> decoders = std::make_shared<DecoderBudget>(Limits{}.decoder_bytes))
      : budget(std::move(decoders)) {}

  // Of what inflates on any connection: a rewriter beyond it keeps nothing.
  std::shared_ptr<DecoderBudget> budget;
  bool client_keeps = false, server_keeps = false;

  // By the reply's Sec-WebSocket-Extensions.
  void agree(std::string_view extensions) {
    if (!icontains(extensions, "permessage-deflate")) return;
    client_keeps = !icontains(extensions, "client_no_context_takeover");
    server_keeps = !icontains(extensions, "server_no_context_takeover");
  }
  void agree(const DeflateTerms& read) {
    client_keeps = read.client_keeps;
    server_keeps = read.server_keeps;
  }
};

struct ConnectionTerms {
  explicit ConnectionTerms(std::shared_ptr<DeflateTerms> terms = std::make_shared<DeflateTerms>())
      : websocket(std::move(terms)) {}

  std::shared_ptr<DeflateTerms> websocket;
  // Streams of HTTP/2 that ask to be a WebSocket (RFC 8441).
  std::map<uint32_t, std::shared_ptr<DeflateTerms>> tunnels;
};

}  // namespace llmtap
