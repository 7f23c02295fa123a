// SPDX-License-Identifier: Apache-2.0
// Our own HTTP server for /metrics and the API: GET and HEAD, TLS, authentication, every size and
// time bounded. One thread accepts, each connection has a thread, their number is bounded.
#pragma once

#include <atomic>
#include <chrono>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "llmtap/result.h"
#include "sinks/http_auth.h"
#include "sinks/http_request.h"
#include "sinks/http_transport.h"
#include "sinks/web_config.h"

namespace llmtap {

struct HttpServerOptions {
  std::string listen = "127.0.0.1:9464";
  std::string web_config_file;                        // empty: no TLS, no credentials
  size_t request_bytes = 16 * 1024;                   // of a request head; longer: 431
  size_t connections = 64;                            // further ones are closed at once
  std::chrono::milliseconds request_timeout{10'000};  // TLS handshake; first to last byte of a head
  std::chrono::milliseconds idle_timeout{75'000};     // between requests
  std::chrono::milliseconds write_timeout{30'000};    // one reply
};

class HttpServer {
 public:
  // Reads the web configuration and binds; connections wait until start().
  static Result<std::unique_ptr<HttpServer>> open(HttpServerOptions options);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Before start(). Handlers run on connection threads, several at a time. A title puts a link on
  // the landing page "/". Paths /healthz and /readyz need no credentials.
  void add_route(const std::string& path, HttpHandler handler, const std::string& title = "");
  void start();
  void stop();

  std::string address() const { return socket_.address(); }
  uint16_t port() const { return socket_.port; }
  // Beyond loopback, and anyone may read: worth a warning at start.
  bool exposed() const;
  // Reads the file and the certificates again; on failure the old ones stay. Also done by itself when
  // one of the files changed.
  Result<> reload_web_config();

 private:
  struct Protection {
    explicit Protection(WebConfig from) : config(std::move(from)), authenticator(config) {}
    WebConfig config;
    TlsContext tls;
    HttpAuthenticator authenticator;
  };
  struct Route {
    HttpHandler handler;
    std::string title;
  };
  struct Connection {
    std::thread thread;
    std::atomic<bool> done = false;
  };

  explicit HttpServer(HttpServerOptions options) : options_(std::move(options)) {}
  std::shared_ptr<Protection> protection() const;
  void reload_if_changed();
  void accept_loop();
  void reap(bool all);
  void serve(FileDescriptor fd);
  bool serve_one(HttpTransport& transport, Protection& guard, std::string& buffer);
  HttpResponse answer(const HttpRequest& request, Protection& guard, bool has_certificate) const;
  bool reply(HttpTransport& transport, HttpResponse response, const HttpRequest* request);
  std::string landing_page() const;
  std::string files_signature(const WebConfig& config) const;

  HttpServerOptions options_;
  ListeningSocket socket_;
  FileDescriptor stop_fd_;
  std::map<std::string, Route, std::less<>> routes_;
  mutable std::mutex mutex_;  // of the two below
  std::shared_ptr<Protection> protection_;
  std::string signature_;
  std::thread acceptor_;
  std::list<Connection> connections_;  // of the acceptor
};

}  // namespace llmtap
