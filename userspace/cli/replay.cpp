// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.h"

namespace llmtap {
namespace {

constexpr const char* kFooter = R"(
Examples:
  llmtap replay calls.events
  llmtap replay calls.events --metrics --log-requests calls.json

Makes the same calls of the same events, on any machine: needs no privileges and no kernel support.

Exit codes: 0 replayed to the end; 1 the file is damaged (what came before the damage was replayed) or
the output could not be written; 2 the command line or the configuration is wrong.)";

}  // namespace

void add_replay(CLI::App& app, const CommandContext& context, Chosen& chosen) {
  CLI::App* command = app.add_subcommand("replay", "Make calls of a recorded file again");
  command->footer(kFooter);
  auto options = ConfigOptions::add_to(*command);
  options->add_key(*command, "--log-requests FILE", "log.requests.file",
                   "Where the line of each call goes; - is stdout");
  options->add_key(*command, "--prices FILE", "prices.file", "Price table in place of the shipped one");
  auto replay = std::make_shared<ReplayOptions>();
  command->add_option("FILE", replay->path, "File written by llmtap record")->required();
  command->add_flag("--metrics", replay->metrics, "Print the exposition after the last event");
  command->callback([options, replay, &context, &chosen] {
    chosen = [options, replay, &context] {
      const auto config = options->load(context.environment);
      if (!config) return fail(context, config.error(), kExitUsage);
      const auto result = context.operations.replay(*config, *replay);
      return result ? kExitOk : fail(context, result.error());
    };
  });
}

}  // namespace llmtap
