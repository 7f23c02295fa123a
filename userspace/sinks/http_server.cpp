// SPDX-License-Identifier: Apache-2.0
#include "sinks/http_server.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>

namespace llmtap {
namespace {

using Clock = std::chrono::steady_clock;
constexpr size_t kWorthCompressing = 1024;

HttpResponse plain(int status, const std::string& why = "") {
  HttpResponse response;
  response.status = status;
  response.body = std::to_string(status) + " " + std::string(status_text(status)) +
                  (why.empty() ? "" : ": " + why) + "\n";
  return response;
}

// Signals belong to the main thread; and OpenSSL writes without MSG_NOSIGNAL.
void block_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

std::string escape_html(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '&': out += "&amp;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

// A line feed that no carriage return precedes: the head would never end.
bool has_bare_newline(std::string_view text) {
  for (size_t at = text.find('\n'); at != std::string_view::npos; at = text.find('\n', at + 1))
    if (at == 0 || text[at - 1] != '\r') return true;
  return false;
}

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::open(HttpServerOptions options) {
  std::unique_ptr<HttpServer> server(new HttpServer(std::move(options)));
  server->stop_fd_ = FileDescriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (server->stop_fd_.get() < 0) return Error{"cannot create an eventfd"};
  LLMTAP_TRY(server->reload_web_config());
  server->socket_ = LLMTAP_TRY(listen_on(server->options_.listen));
  return server;
}

HttpServer::~HttpServer() { stop(); }

Result<> HttpServer::reload_web_config() {
  WebConfig config;
  if (!options_.web_config_file.empty()) config = LLMTAP_TRY(WebConfig::load(options_.web_config_file));
  const std::string signature = files_signature(config);
  auto fresh = std::make_shared<Protection>(config);
  if (config.has_tls) fresh->tls = LLMTAP_TRY(make_tls_context(config.tls).context(options_.web_config_file));
  const std::lock_guard lock(mutex_);
  protection_ = std::move(fresh);
  signature_ = signature;
  return Ok{};
}

std::shared_ptr<HttpServer::Protection> HttpServer::protection() const {
  const std::lock_guard lock(mutex_);
  return protection_;
}

std::string HttpServer::files_signature(const WebConfig& config) const {
  std::string all;
  for (const std::string& path :
       {options_.web_config_file, config.tls.cert_file, config.tls.key_file, config.tls.client_ca_file}) {
    struct stat facts{};
    if (!path.empty() && ::stat(path.c_str(), &facts) == 0)
      all += std::to_string(facts.st_ino) + "." + std::to_string(facts.st_mtim.tv_sec) + "." +
             std::to_string(facts.st_mtim.tv_nsec) + " ";
  }
  return all;
}

void HttpServer::reload_if_changed() {
  if (options_.web_config_file.empty()) return;
  const std::string now = files_signature(protection()->config);
  {
    const std::lock_guard lock(mutex_);
    if (now == signature_) return;
    signature_ = now;
  }
  // Files change one after another when certificates rotate: until they fit together, the old ones serve.
  static_cast<void>(reload_web_config());
}

bool HttpServer::exposed() const { return !socket_.loopback && protection()->config.open_to_all(); }

void HttpServer::add_route(const std::string& path, HttpHandler handler, const std::string& title) {
  routes_[path] = Route{std::move(handler), title};
}

void HttpServer::start() {
  acceptor_ = std::thread([this] { accept_loop(); });
}

void HttpServer::stop() {
  if (!acceptor_.joinable()) return;
  eventfd_write(stop_fd_.get(), 1);
  acceptor_.join();
}

void HttpServer::reap(bool all) {
  for (auto it = connections_.begin(); it != connections_.end();) {
    if (all || it->done) {
      it->thread.join();
      it = connections_.erase(it);
    } else {
      ++it;
    }
  }
}

void HttpServer::accept_loop() {
  block_signals();
  for (;;) {
    pollfd fds[2] = {{socket_.fd.get(), POLLIN, 0}, {stop_fd_.get(), POLLIN, 0}};
    if (poll(fds, 2, 5000) < 0 && errno != EINTR) break;
    if (fds[1].revents) break;
    reap(false);
    if (!fds[0].revents) continue;
    FileDescriptor fd(accept4(socket_.fd.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (fd.get() < 0) {
      // Out of descriptors the listener stays readable: wait a moment for the stop signal instead of
      // spinning.
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) poll(fds + 1, 1, 100);
      continue;
    }
    if (connections_.size() >= options_.connections) continue;
    reload_if_changed();
    Connection& connection = connections_.emplace_back();
    try {
      connection.thread = std::thread([this, &connection, owned = std::move(fd)]() mutable {
        block_signals();
        serve(std::move(owned));
        connection.done = true;
      });
    } catch (const std::exception&) {  // no thread to be had
      connections_.pop_back();
    }
  }
  reap(true);
}

void HttpServer::serve(FileDescriptor fd) {
  const std::shared_ptr<Protection> guard = protection();
  HttpTransport transport(std::move(fd), guard->tls, stop_fd_.get());
  if (!transport.handshake(Clock::now() + options_.request_timeout)) return;
  std::string buffer;
  while (serve_one(transport, *guard, buffer)) {
  }
  transport.close_gracefully();
}

// False when the connection is over.
bool HttpServer::serve_one(HttpTransport& transport, Protection& guard, std::string& buffer) {
  HttpTransport::Deadline deadline =
      Clock::now() + (buffer.empty() ? options_.idle_timeout : options_.request_timeout);
  bool begun = !buffer.empty();
  size_t end;
  while ((end = buffer.find("\r\n\r\n")) == std::string::npos || end > options_.request_bytes) {
    if (buffer.size() > options_.request_bytes) return reply(transport, plain(431), nullptr);
    if (has_bare_newline(buffer)) return reply(transport, plain(400), nullptr);
    char piece[4096];
    const long got = transport.read(piece, sizeof piece, deadline);
    if (got == HttpTransport::kTimedOut && begun) return reply(transport, plain(408), nullptr);
    if (got <= 0) return false;
    if (!begun) deadline = Clock::now() + options_.request_timeout;
    begun = true;
    buffer.append(piece, static_cast<size_t>(got));
    // Empty lines before a request are to be ignored (RFC 9112, 2.2).
    while (buffer.starts_with("\r\n")) buffer.erase(0, 2);
  }
  const auto parsed = has_bare_newline(std::string_view(buffer).substr(0, end))
                          ? std::variant<HttpRequest, int>(400)
                          : parse_request_head(std::string_view(buffer).substr(0, end + 4));
  buffer.erase(0, end + 4);
  if (const int* refused = std::get_if<int>(&parsed)) {
    HttpResponse response = plain(*refused);
    if (*refused == 405) response.headers.emplace_back("Allow", "GET, HEAD");
    return reply(transport, std::move(response), nullptr);
  }
  const HttpRequest& request = std::get<HttpRequest>(parsed);
  return reply(transport, answer(request, guard, transport.has_client_certificate()), &request);
}

HttpResponse HttpServer::answer(const HttpRequest& request, Protection& guard, bool has_certificate) const {
  const bool open = request.path == "/healthz" || request.path == "/readyz";
  if (!open) {
    const ClientAuth wanted = guard.config.tls.client_auth;
    if ((wanted == ClientAuth::kRequireAny || wanted == ClientAuth::kRequireAndVerify) && !has_certificate)
      return plain(403, "a client certificate is required");
    if (!guard.authenticator.admits(request.header("authorization"))) {
      HttpResponse refused = plain(401);
      refused.headers.emplace_back("WWW-Authenticate", guard.config.basic_auth_users.empty()
                                                           ? "Bearer realm=\"llmtap\""
                                                           : "Basic realm=\"llmtap\", charset=\"UTF-8\"");
      return refused;
    }
  }
  const auto route = routes_.find(request.path);
  if (route == routes_.end()) {
    if (request.path != "/") return plain(404);
    HttpResponse page;
    page.content_type = "text/html; charset=utf-8";
    page.body = landing_page();
    return page;
  }
  try {
    return route->second.handler(request);
  } catch (const std::exception&) {
    return plain(500);
  }
}

bool HttpServer::reply(HttpTransport& transport, HttpResponse response, const HttpRequest* request) {
  const bool keep_alive = request && request->keep_alive() && response.status < 500;
  if (request && response.body.size() >= kWorthCompressing) {
    response.headers.emplace_back("Vary", "Accept-Encoding");
    if (accepts_gzip(request->header("accept-encoding"))) {
      if (std::string packed = gzip(response.body); !packed.empty()) {
        response.body = std::move(packed);
        response.headers.emplace_back("Content-Encoding", "gzip");
      }
    }
  }
  std::string bytes = response_head(response, response.body.size(), keep_alive);
  if (!request || request->method != "HEAD") bytes += response.body;
  return transport.write(bytes, Clock::now() + options_.write_timeout) && keep_alive;
}

std::string HttpServer::landing_page() const {
  std::string page =
      "<!doctype html><html lang=\"en\"><head><meta "
      "charset=\"utf-8\"><title>llmtap</title></head><body><h1>llmtap"
      "</h1><p>Observes LLM API calls on this node.</p><ul>";
  for (const auto& [path, route] : routes_)
    if (!route.title.empty())
      page += "<li><a href=\"" + escape_html(path) + "\">" + escape_html(route.title) + "</a></li>";
  return page + "</ul></body></html>\n";
}

}  // namespace llmtap
