// SPDX-License-Identifier: Apache-2.0
#include <ostream>

#include "cli/commands.h"
#include "cli/doctor_text.h"

namespace llmtap {
namespace {

constexpr const char* kFooter = R"(
Examples:
  sudo llmtap doctor
  sudo llmtap doctor --json

Looks at this kernel, at what this process may do, and at every process of the node: which carries which
TLS library, and whether it can be observed. Changes nothing.

Exit codes: 0 this node can be observed; 1 it cannot, the report says why; 2 the command line is wrong.)";

}  // namespace

void add_doctor(CLI::App& app, const CommandContext& context, Chosen& chosen) {
  CLI::App* command = app.add_subcommand("doctor", "Say what can be observed here, what cannot, and why");
  command->footer(kFooter);
  auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "The report as JSON");
  command->callback([json, &context, &chosen] {
    chosen = [json, &context] {
      const DoctorReport report = context.operations.doctor();
      context.out << (*json ? doctor_json(report) : doctor_text(report));
      return can_observe(report) ? kExitOk : kExitFailure;
    };
  });
}

}  // namespace llmtap
