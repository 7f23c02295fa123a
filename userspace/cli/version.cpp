// SPDX-License-Identifier: Apache-2.0
#include <ostream>

#include "cli/commands.h"
#include "llmtap/events.h"

namespace llmtap {

void add_version(CLI::App& app, const CommandContext& context, Chosen& chosen) {
  CLI::App* command = app.add_subcommand("version", "Print the version");
  command->callback([&context, &chosen] {
    chosen = [&context] {
      context.out << "llmtap " LLMTAP_VERSION " (event format " << LLMTAP_EVENTS_VERSION << ")\n";
      return kExitOk;
    };
  });
}

}  // namespace llmtap
