// SPDX-License-Identifier: Apache-2.0
#include "pipeline/web.h"

#include <spdlog/spdlog.h>

namespace llmtap {

namespace {

std::string listen_text(const ListenAddress& address) {
  const bool v6 = address.host.find(':') != std::string::npos;
  return (v6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

HttpResponse metrics_reply(const Metrics& metrics, const HttpRequest& request) {
  const ExpositionFormat format = negotiate_format(request.header("accept"));
  return {.content_type = std::string(content_type(format)), .body = metrics.expose(format)};
}

}  // namespace

Result<std::unique_ptr<HttpServer>> open_web(const Config& config, SinkSet& sinks,
                                             std::function<Readiness()> readiness) {
  if (!config.metrics_enabled) return std::unique_ptr<HttpServer>();
  HttpServerOptions options;
  options.listen = listen_text(config.metrics_listen);
  options.web_config_file = config.web_config_file;
  auto server = LLMTAP_TRY(HttpServer::open(std::move(options)));
  server->add_route(
      config.metrics_path,
      [&sinks](const HttpRequest& request) { return metrics_reply(sinks.metrics(), request); }, "Metrics");
  server->add_route(
      "/api/calls",
      [&sinks](const HttpRequest&) {
        return HttpResponse{.content_type = "application/json", .body = sinks.recent().to_json()};
      },
      "Recent calls (JSON)");
  server->add_route("/healthz", [](const HttpRequest&) { return HttpResponse{.body = "ok\n"}; }, "Liveness");
  server->add_route(
      "/readyz",
      [readiness = std::move(readiness)](const HttpRequest&) {
        const Readiness state = readiness();
        return state.ready ? HttpResponse{.body = "ready\n"}
                           : HttpResponse{.status = 503, .body = "not ready: " + state.reason + "\n"};
      },
      "Readiness");
  if (server->exposed())
    spdlog::warn(
        "{} is reachable from other machines without credentials; set web.config.file, or listen on "
        "127.0.0.1",
        server->address());
  return server;
}

}  // namespace llmtap
