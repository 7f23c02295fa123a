// SPDX-License-Identifier: Apache-2.0
#include <ostream>

#include "cli/commands.h"
#include "llmtap/events.h"
#include "pipeline/version.h"

namespace llmtap {

void add_version(CLI::App& app, const CommandContext& context, Chosen& chosen) {
  CLI::App* command = app.add_subcommand("version", "Print the version");
  command->callback([&context, &chosen] {
    chosen = [&context] {
      context.out << "llmtap " << kVersion << " (";
      if (*kRevision) context.out << "revision " << kRevision << ", ";
      context.out << "event format " << LLMTAP_EVENTS_VERSION << ")\n";
      return kExitOk;
    };
  });
}

}  // namespace llmtap
