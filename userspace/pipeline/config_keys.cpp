// SPDX-License-Identifier: Apache-2.0
// The table of every key. A key without a member is known, but its feature is not built yet: it is
// refused in those words, so that nobody believes it works.
#include <algorithm>
#include <array>
#include <string>

#include "pipeline/config.h"

namespace llmtap {
namespace {

constexpr ConfigKey unbuilt(std::string_view name, std::string_view off = {}) {
  return {name, "", "", off, std::monostate{}, ""};
}

constexpr std::array kKeys{
    ConfigKey{"metrics.enabled", "boolean", "true", "true, false", &Config::metrics_enabled,
              "Serve metrics, health and recent calls over HTTP."},
    ConfigKey{"metrics.listen", "address", "127.0.0.1:9464", "", &Config::metrics_listen,
              "Address and port of the HTTP server. Beyond loopback, set web.config.file."},
    ConfigKey{"metrics.path", "path", "/metrics", "", &Config::metrics_path, "Path of the exposition."},
    ConfigKey{"metrics.genai_names", "boolean", "false", "true, false", &Config::metrics_genai_names,
              "Also expose the OpenTelemetry GenAI metric names."},
    ConfigKey{"metrics.max_series", "number", "50000", "100..10000000", &Config::metrics_max_series,
              "Series kept; further label values fall into `other`."},
    ConfigKey{"metrics.series_ttl", "duration", "24h", "60..31536000", &Config::metrics_series_ttl,
              "A series that has not changed for so long is dropped."},
    ConfigKey{"metrics.exemplars", "boolean", "true", "true, false", &Config::metrics_exemplars,
              "Trace ids beside the samples of an OpenMetrics exposition."},
    ConfigKey{"metrics.exclude_metrics", "list", "", "", &Config::metrics_exclude_metrics,
              "Metric families that are not exposed."},
    ConfigKey{"web.config.file", "file", "", "", &Config::web_config_file,
              "TLS, client certificates, basic auth and bearer token hashes of the HTTP server."},
    ConfigKey{"prices.file", "file", "", "", &Config::prices_file,
              "Price table in place of the shipped one."},
    ConfigKey{"prices.count_estimated", "boolean", "false", "true, false", &Config::prices_count_estimated,
              "Calls whose token counts are estimates cost something, too."},
    ConfigKey{"prices.discounts", "map", "", "0..1", &Config::prices_discounts,
              "Part of the table's price that is not paid, as `provider: 0.05` (`provider=0.05,…` outside "
              "the file). Costs that replies report stay as they are."},
    ConfigKey{"prices.batch_factor", "factor", "0.5", "0..100", &Config::prices_batch_factor,
              "Factor on the price of batches of models for which the table lists none."},
    ConfigKey{"prices.tier_factors", "map", "", "0..100", &Config::prices_tier_factors,
              "The same for the service classes `flex` and `priority`, of all providers or one, as "
              "`openai/priority: 2`. Empty: what the provider publishes for all of its models; where that "
              "is nothing, such calls have no cost and count as missing."},
    ConfigKey{"log.level", "word", "info", "trace, debug, info, warn, error, off", &Config::log_level,
              "The program's own messages, on stderr."},
    ConfigKey{"log.requests.enabled", "boolean", "true", "true, false", &Config::log_requests_enabled,
              "One line per LLM call."},
    ConfigKey{"log.requests.file", "file", "-", "", &Config::log_requests_file,
              "Where the lines go: `-` is stdout; a file is reopened on SIGHUP."},
    ConfigKey{"log.requests.style", "word", "llmtap", "llmtap", &Config::log_requests_style,
              "Field names of the lines.", "relay, gogateway, privaterouter"},
    ConfigKey{"log.requests.format", "word", "json", "json", &Config::log_requests_format,
              "Form of the lines. The variable LOG_FORMAT sets it too."},
    ConfigKey{"otlp.endpoint", "url", "", "", &Config::otlp_endpoint,
              "OpenTelemetry collector to send traces to. Empty: none."},
    ConfigKey{"otlp.protocol", "word", "grpc", "grpc, http/protobuf", &Config::otlp_protocol,
              "Protocol of otlp.endpoint."},
    ConfigKey{"otlp.insecure", "boolean", "false", "true, false", &Config::otlp_insecure,
              "Speak to otlp.endpoint without TLS."},
    ConfigKey{"otlp.headers",
              "map",
              "",
              "",
              &Config::otlp_headers,
              "Headers of every export, as `name: value` (`name=value,…` outside the file).",
              {},
              true},
    ConfigKey{"otlp.traces.enabled", "boolean", "true", "true, false", &Config::otlp_traces_enabled,
              "Send traces, once otlp.endpoint is set."},
    ConfigKey{"traces.genai_generation", "word", "new", "new, old", &Config::traces_genai_generation,
              "Attribute names of the GenAI conventions: current, or those up to 1.41."},
    ConfigKey{
        "traces.sampler.type", "word", "always", "always, never, probability", &Config::traces_sampler_type,
        "Which traces are sent. `probability`: those whose `traceparent` says sampled; of calls without "
        "one, the part of traces.sampler.rate, chosen by trace id."},
    ConfigKey{"traces.sampler.rate", "number", "0.1", "0..1", &Config::traces_sampler_rate,
              "Part of the traces that `probability` sends."},
    ConfigKey{"traces.sampler.keep_errors", "boolean", "true", "true, false",
              &Config::traces_sampler_keep_errors,
              "`probability` sends every call that failed, also where its `traceparent` says not sampled."},
    ConfigKey{"traces.sampler.keep_slower_than", "duration", "0s", "0..86400",
              &Config::traces_sampler_keep_slower_than, "The same for calls that took longer. `0s`: off."},
    ConfigKey{"targets.include", "list", "", "", &Config::targets_include,
              "Workloads whose plain HTTP is shown too; gateways and servers are without this."},
    ConfigKey{
        "targets.exclude", "list", "kube-system", "", &Config::targets_exclude,
        "Processes never looked at: a pid; the name of a workload, program or unit; an absolute path of "
        "a program or cgroup; one part of a cgroup's path."},
    ConfigKey{"targets.ports", "ports", "", "1..65535", &Config::targets_ports,
              "Ports watched for plain HTTP. Empty: all."},
    ConfigKey{"routes.max_templates", "number", "200", "1..10000", &Config::routes_max_templates,
              "Route templates per workload; further ones fall into `other`."},
    ConfigKey{"capture.ring_bytes", "bytes", "16MiB", "262144..1073741824", &Config::capture_ring_bytes,
              "Ring buffer between kernel and daemon; a power of two."},
    ConfigKey{"capture.cpu_share", "number", "0", "0..100000", &Config::capture_cpu_share,
              "Percent of one core that the probe may cost. Above it load is shed in steps: TLS libraries "
              "are hooked in processes with LLM calls only, then connections without LLM calls are muted "
              "sooner, then new ones are not read, then everything is detached; it comes back when the load "
              "is gone. 0: no bound."},
    ConfigKey{"capture.narrow_share", "number", "5", "0..100000", &Config::capture_narrow_share,
              "Percent of one core that the hooks in a TLS library may cost processes without LLM calls. "
              "Above it those are hooked in one second of 20 only, and whenever a process begins to use the "
              "library. 0: always hooked."},
    ConfigKey{"content.capture", "word", "off", "off", &Config::content_capture,
              "Prompts and completions are never exported.", "on, metadata, full"},
    ConfigKey{"identity.hash_end_user", "boolean", "true", "true", &Config::identity_hash_end_user,
              "End users appear as a hash only.", "false"},
    ConfigKey{"identity.header_map", "list", "", "", &Config::identity_header_map,
              "More request headers that name the end user, the first one present counts."},
    ConfigKey{"providers", "rows", "", "", &Config::providers,
              "Own providers: a list of `{host, provider, dialect}`, dialect optional. In the file only."},

    unbuilt("enabled", "true"),
    unbuilt("memory.max_bytes", "0"),
    unbuilt("metrics.native_histograms", "false"),
    unbuilt("metrics.config"),
    unbuilt("metrics.exclude_labels"),
    unbuilt("compat.<profile>.mode", "off"),
    unbuilt("compat.<profile>.workloads"),
    unbuilt("compat.merge", "false"),
    unbuilt("compat.relay.label_style"),
    unbuilt("compat.litellm.schema"),
    unbuilt("compat.litellm.buckets"),
    unbuilt("compat.litellm.include_labels"),
    unbuilt("compat.litellm.org_labels", "false"),
    unbuilt("compat.litellm.end_user", "false"),
    unbuilt("compat.litellm.stream_label", "false"),
    unbuilt("compat.litellm.caller_identity"),
    unbuilt("compat.litellm.custom_metadata_labels"),
    unbuilt("compat.litellm.custom_tags"),
    unbuilt("compat.litellm.count_401", "false"),
    unbuilt("identity.mapping_file"),
    unbuilt("identity.labels"),
    unbuilt("identity.max_series"),
    unbuilt("identity.end_user_ttl"),
    unbuilt("routes.file"),
    unbuilt("events.rules"),
    unbuilt("stores.postgres", "off"),
    unbuilt("stores.redis", "off"),
    unbuilt("pii.mode", "off"),
    unbuilt("pii.detectors"),
    unbuilt("pii.placeholders"),
    unbuilt("content.max_bytes"),
    unbuilt("content.redact", "true"),
    unbuilt("stderr.exceptions", "off"),
    unbuilt("hang.threshold_seconds"),
    unbuilt("backend.window_seconds"),
    unbuilt("backend.partial_ratio"),
    unbuilt("backend.down_ratio"),
    unbuilt("backend.min_requests"),
    unbuilt("backend.cooldown_seconds"),
    unbuilt("budget.stale_after"),
    unbuilt("conversations.ttl"),
    unbuilt("conversations.max"),
    unbuilt("gpu.source", "off"),
    unbuilt("gpu.interval"),
    unbuilt("otlp.metrics.enabled", "false"),
    unbuilt("otlp.logs.enabled", "false"),
    unbuilt("traces.exporter.type", "otlp"),
    unbuilt("traces.style", "otel"),
    unbuilt("traces.phases"),
    unbuilt("traces.service_names"),
    unbuilt("traces.compat_attributes"),
    unbuilt("log.requests.logger_name"),
    unbuilt("notify", "off"),
};

std::string code(std::string_view text) { return text.empty() ? "" : "`" + std::string(text) + "`"; }

}  // namespace

std::span<const ConfigKey> config_keys() { return kKeys; }

std::string environment_name(std::string_view key) {
  std::string name = "LLMTAP_";
  for (const char c : key) {
    const bool lower = c >= 'a' && c <= 'z';
    name += c == '.' ? '_' : lower ? static_cast<char>(c - 'a' + 'A') : c;
  }
  return name;
}

std::string config_reference() {
  std::string text = "| key | environment | default | valid | meaning |\n| --- | --- | --- | --- | --- |\n";
  std::string later;
  for (const ConfigKey& key : kKeys) {
    if (!key.built()) {
      later += (later.empty() ? "" : ", ") + code(key.name);
      continue;
    }
    const std::string valid(key.valid.empty() ? key.type : key.valid);
    const std::string variable = key.type == "rows" ? "" : code(environment_name(key.name));
    for (const std::string& cell :
         {code(key.name), variable, code(key.default_value), valid, std::string(key.help)})
      text.append("| ").append(cell).append(" ");
    text += "|\n";
  }
  return text + "\nKnown, not built yet, and refused unless set to the value that means off: " + later +
         ".\n";
}

}  // namespace llmtap
