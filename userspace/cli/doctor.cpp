// SPDX-License-Identifier: Apache-2.0
#include <ostream>

#include "cli/commands.h"
#include "cli/doctor_text.h"
#include "cli/http_get.h"

namespace llmtap {
namespace {

constexpr const char* kFooter = R"(
Examples:
  sudo llmtap doctor
  sudo llmtap doctor --json

Looks at this kernel, at what this process may do, and at every process of the node: which carries which
TLS library, and whether it can be observed. Asks the running daemon (llmtap run), if there is one, what it
reads in a part of the time only. Changes nothing.

Exit codes: 0 this node can be observed; 1 it cannot, the report says why; 2 the command line is wrong.)";

}  // namespace

void add_doctor(CLI::App& app, const CommandContext& context, Chosen& chosen) {
  CLI::App* command = app.add_subcommand("doctor", "Say what can be observed here, what cannot, and why");
  command->footer(kFooter);
  auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "The report as JSON");
  auto address = std::make_shared<std::string>("127.0.0.1:9464");
  command->add_option("--address", *address, "Where the daemon listens")
      ->capture_default_str()
      ->type_name("ADDRESS");
  command->callback([json, address, &context, &chosen] {
    chosen = [json, address, &context] {
      Config config;
      if (const auto parsed = apply_setting(config, {"metrics.listen", *address, "--address"}); !parsed)
        return fail(context, parsed.error(), kExitUsage);
      DoctorReport report = context.operations.doctor();
      const auto reply = http_get(config.metrics_listen, "/api/coverage", std::chrono::seconds(10));
      if (reply && reply->status == 200)
        if (auto libraries = parse_coverage_json(reply->body)) report.daemon = std::move(*libraries);
      context.out << (*json ? doctor_json(report) : doctor_text(report));
      return can_observe(report) ? kExitOk : kExitFailure;
    };
  });
}

}  // namespace llmtap
