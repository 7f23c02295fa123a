// SPDX-License-Identifier: Apache-2.0
// Request heads and reply heads of our own HTTP server: RFC 9112, the part that GET and HEAD need.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace llmtap {

struct HttpRequest {
  std::string method, path, query;  // path and query as sent, not decoded
  bool http11 = true;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string_view header(std::string_view lower_name) const;
  bool keep_alive() const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
};

using HttpHandler = std::function<HttpResponse(const HttpRequest&)>;

inline constexpr size_t kMaxRequestHeaders = 64;

// `head` ends with the empty line. A request, or the status of its refusal.
std::variant<HttpRequest, int> parse_request_head(std::string_view head);
std::string_view status_text(int status);
// Status line and fields; `body_bytes` is what follows, or would for HEAD.
std::string response_head(const HttpResponse& response, size_t body_bytes, bool keep_alive);
// Whether Accept-Encoding allows gzip.
bool accepts_gzip(std::string_view accept_encoding);
std::string gzip(std::string_view text);

}  // namespace llmtap
