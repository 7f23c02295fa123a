// SPDX-License-Identifier: Apache-2.0
#include "sinks/http_request.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>

#include "base/ascii.h"

namespace llmtap {
namespace {

bool is_token(std::string_view text) { return !text.empty() && std::ranges::all_of(text, is_token_char); }

bool has_list_member(std::string_view list, std::string_view wanted) {
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    if (lowered(trimmed(list.substr(0, comma))) == wanted) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

// 0, or the status of the refusal.
int parse_request_line(std::string_view line, HttpRequest& request) {
  const size_t first = line.find(' '), last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return 400;
  request.method = line.substr(0, first);
  std::string_view target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (!is_token(request.method)) return 400;
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return version.starts_with("HTTP/") ? 505 : 400;
  request.http11 = version == "HTTP/1.1";
  // Absolute form must be taken from proxies (RFC 9112, 3.2.2).
  for (std::string_view scheme : {"http://", "https://"})
    if (target.starts_with(scheme)) {
      target.remove_prefix(scheme.size());
      target.remove_prefix(std::min(target.find('/'), target.size()));
      if (target.empty()) target = "/";
    }
  if (!target.starts_with('/')) return 400;
  if (std::ranges::any_of(target, [](char c) { return c <= 0x20 || c > 0x7e; })) return 400;
  target = target.substr(0, target.find('#'));
  const size_t mark = std::min(target.find('?'), target.size());
  request.path = target.substr(0, mark);
  request.query = target.substr(std::min(mark + 1, target.size()));
  return 0;
}

}  // namespace

std::string_view HttpRequest::header(std::string_view lower_name) const {
  for (const auto& [name, value] : headers)
    if (name == lower_name) return value;
  return {};
}

bool HttpRequest::keep_alive() const {
  const std::string_view connection = header("connection");
  if (has_list_member(connection, "close")) return false;
  return http11 || has_list_member(connection, "keep-alive");
}

std::variant<HttpRequest, int> parse_request_head(std::string_view head) {
  HttpRequest request;
  const auto take_line = [&] {
    const size_t end = std::min(head.find("\r\n"), head.size());
    const std::string_view line = head.substr(0, end);
    head.remove_prefix(std::min(end + 2, head.size()));
    return line;
  };
  if (const int refused = parse_request_line(take_line(), request)) return refused;
  size_t hosts = 0;
  for (std::string_view line = take_line(); !line.empty(); line = take_line()) {
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) return 400;
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (std::ranges::any_of(value, [](char c) { return (c >= 0 && c < 0x20 && c != '\t') || c == 0x7f; }))
      return 400;
    if (request.headers.size() >= kMaxRequestHeaders) return 431;
    request.headers.emplace_back(lowered(line.substr(0, colon)), value);
    if (request.headers.back().first == "host") ++hosts;
  }
  if (hosts > 1 || (request.http11 && hosts == 0)) return 400;
  if (request.method != "GET" && request.method != "HEAD") return 405;
  // Nothing here takes a body; one that came would be read as the next request.
  if (!request.header("transfer-encoding").empty()) return 413;
  if (const std::string_view length = request.header("content-length"); !length.empty() && length != "0")
    return length.find_first_not_of("0123456789") == std::string_view::npos ? 413 : 400;
  return request;
}

std::string_view status_text(int status) {
  switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 413: return "Content Too Large";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 503: return "Service Unavailable";
    case 505: return "HTTP Version Not Supported";
    default: return "Status";
  }
}

std::string response_head(const HttpResponse& response, size_t body_bytes, bool keep_alive) {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char date[64];
  std::strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &utc);
  std::string head = "HTTP/1.1 " + std::to_string(response.status) + " " +
                     std::string(status_text(response.status)) + "\r\nDate: " + date +
                     "\r\nContent-Type: " + response.content_type +
                     "\r\nContent-Length: " + std::to_string(body_bytes) +
                     "\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n";
  for (const auto& [name, value] : response.headers) head += name + ": " + value + "\r\n";
  head += keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
  return head;
}

bool accepts_gzip(std::string_view accept_encoding) {
  while (!accept_encoding.empty()) {
    const size_t comma = std::min(accept_encoding.find(','), accept_encoding.size());
    std::string_view item = accept_encoding.substr(0, comma);
    accept_encoding.remove_prefix(std::min(comma + 1, accept_encoding.size()));
    const size_t semicolon = std::min(item.find(';'), item.size());
    const std::string coding = lowered(trimmed(item.substr(0, semicolon)));
    if (coding != "gzip" && coding != "x-gzip" && coding != "*") continue;
    const std::string parameter = lowered(trimmed(item.substr(std::min(semicolon + 1, item.size()))));
    if (!parameter.starts_with("q=")) return true;
    double quality = 0;
    std::from_chars(parameter.data() + 2, parameter.data() + parameter.size(), quality);
    return quality > 0;
  }
  return false;
}

std::string gzip(std::string_view text) {
  z_stream stream{};
  constexpr int kGzipWindow = 15 + 16;  // zlib: 16 added asks for the gzip wrapper
  if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, kGzipWindow, 8, Z_DEFAULT_STRATEGY) != Z_OK) return {};
  std::string out(deflateBound(&stream, text.size()), '\0');
  std::string in(text);  // zlib's input pointer is not const
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int result = deflate(&stream, Z_FINISH);
  out.resize(result == Z_STREAM_END ? stream.total_out : 0);
  deflateEnd(&stream);
  return out;
}

}  // namespace llmtap
