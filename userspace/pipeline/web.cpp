// SPDX-License-Identifier: Apache-2.0
#include "pipeline/web.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "pipeline/coverage_json.h"

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

// How many are kept bounds the answer, whatever is asked for.
HttpResponse calls_reply(const RecentCalls& recent, const HttpRequest& request) {
  size_t most = std::numeric_limits<size_t>::max();
  std::string_view query = request.query;
  while (!query.empty()) {
    const std::string_view field = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(field.size() + 1, query.size()));
    if (!field.starts_with("n=")) continue;
    const auto parsed = std::from_chars(field.data() + 2, field.data() + field.size(), most);
    if (parsed.ec != std::errc{} || parsed.ptr != field.data() + field.size())
      return {.status = 400, .body = "400 Bad Request: n is no number\n"};
  }
  return {.content_type = "application/json", .body = recent.to_json(most)};
}

}  // namespace

Result<std::unique_ptr<HttpServer>> open_web(const Config& config, SinkSet& sinks,
                                             std::function<Readiness()> readiness,
                                             std::function<std::shared_ptr<const Coverage>()> coverage) {
  if (!config.metrics_enabled) return std::unique_ptr<HttpServer>();
  HttpServerOptions options;
  options.listen = listen_text(config.metrics_listen);
  options.web_config_file = config.web_config_file;
  auto server = LLMTAP_TRY(HttpServer::open(std::move(options)));
  server->add_route(
      config.metrics_path,
      [&sinks](const HttpRequest& request) { return metrics_reply(sinks.metrics(), request); }, "Metrics");
  server->add_route(
      "/api/calls", [&sinks](const HttpRequest& request) { return calls_reply(sinks.recent(), request); },
      "Recent calls (JSON)");
  server->add_route(
      "/api/coverage",
      [coverage = std::move(coverage)](const HttpRequest&) {
        return HttpResponse{.content_type = "application/json", .body = coverage_json(*coverage())};
      },
      "Hooked libraries (JSON)");
  server->add_route("/healthz", [](const HttpRequest&) { return HttpResponse{.body = "ok\n"}; }, "Liveness");
  server->add_route(
      "/readyz",
      [readiness = std::move(readiness)](const HttpRequest&) {
        const Readiness state = readiness();
        return state.ready ? HttpResponse{.body = state.reason.empty() ? "ready\n"
                                                                       : "ready, but " + state.reason + "\n"}
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
