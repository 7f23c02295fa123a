// SPDX-License-Identifier: Apache-2.0
#include <ostream>

#include "cli/commands.h"

namespace llmtap {
namespace {

constexpr const char* kFooter = R"(
Examples:
  sudo llmtap run
  sudo llmtap run --log-requests /var/log/llmtap/calls.json --listen 127.0.0.1:9999
  sudo llmtap run --config /etc/llmtap/llmtap.yaml --set log.level=debug
  sudo LLMTAP_OTLP_ENDPOINT=https://collector:4317 llmtap run

Configuration, weakest first: --config, the environment, the command line. Every key can be set in the
environment: LLMTAP_ and the key in capitals with underscores for dots (metrics.listen:
LLMTAP_METRICS_LISTEN). --print-config-reference lists them all.

Signals: SIGTERM and SIGINT end it; SIGHUP reopens the log file and reads the price table again.

Output: calls on stdout (or in the file of --log-requests), the program's own messages on stderr.
Needs root, or the capabilities that the README lists. It changes nothing in what it observes.

Exit codes: 0 ended by a signal; 1 failed, stderr says why; 2 the command line or the configuration is wrong.)";

}  // namespace

void add_run(CLI::App& app, const CommandContext& context, Chosen& chosen) {
  CLI::App* command = app.add_subcommand("run", "Watch this node until SIGTERM");
  command->footer(kFooter);
  auto options = ConfigOptions::add_to(*command);
  options->add_key(*command, "--listen ADDRESS", "metrics.listen",
                   "Address and port of metrics and recent calls");
  options->add_key(*command, "--log-requests FILE", "log.requests.file",
                   "Where the line of each call goes; - is stdout");
  options->add_key(*command, "--prices FILE", "prices.file", "Price table in place of the shipped one");
  options->add_key(*command, "--otlp-endpoint URL", "otlp.endpoint",
                   "OpenTelemetry collector that receives traces");
  auto print_reference = std::make_shared<bool>(false);
  command->add_flag("--print-config-reference", *print_reference, "Print every configuration key and exit");
  command->callback([options, print_reference, &context, &chosen] {
    chosen = [options, print_reference, &context] {
      if (*print_reference) {
        context.out << config_reference();
        return kExitOk;
      }
      const auto config = options->load(context.environment);
      if (!config) return fail(context, config.error(), kExitUsage);
      const auto result = context.operations.run(*config);
      return result ? *result : fail(context, result.error());
    };
  });
}

}  // namespace llmtap
