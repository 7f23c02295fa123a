// SPDX-License-Identifier: Apache-2.0
// A GET of our own daemon's HTTP server: plain, bounded, one connection.
#pragma once

#include <chrono>
#include <string>

#include "llmtap/result.h"
#include "pipeline/config.h"

namespace llmtap {

struct HttpReply {
  int status = 0;
  std::string body;
};

// `timeout` is for the whole exchange. A reply beyond 64 MiB, cut off or not HTTP is an error.
Result<HttpReply> http_get(const ListenAddress& address, const std::string& target,
                           std::chrono::milliseconds timeout);

// What came over the connection until its end. For http_get and its tests.
Result<HttpReply> parse_http_reply(const std::string& bytes);

}  // namespace llmtap
