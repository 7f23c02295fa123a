// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.h"

namespace llmtap {
namespace {

constexpr const char* kFooter = R"(
Examples:
  sudo llmtap record --duration 60 calls.events
  sudo llmtap record --redact bug-report.events     credentials and content overwritten with filler

The file holds what programs sent and received, prompts and credentials included, unless --redact is
given. It is readable by its owner only, and an existing file is never overwritten.

Signals: SIGTERM and SIGINT end the recording; the file is then complete.
Exit codes: 0 recorded; 1 failed, stderr says why; 2 the command line or the configuration is wrong.)";

}  // namespace

void add_record(CLI::App& app, const CommandContext& context, Chosen& chosen) {
  CLI::App* command = app.add_subcommand("record", "Write the raw events to a file");
  command->footer(kFooter);
  auto options = ConfigOptions::add_to(*command);
  auto record = std::make_shared<RecordOptions>();
  command->add_option("FILE", record->path, "File to write; must not exist")->required();
  command->add_flag("--redact", record->redact,
                    "Overwrite credentials and content with filler of the same length");
  command
      ->add_option_function<int64_t>(
          "--duration", [record](int64_t seconds) { record->duration = std::chrono::seconds(seconds); },
          "End after so many seconds; without it, at a signal")
      ->type_name("SECONDS")
      ->check(CLI::Range(int64_t{1}, int64_t{30 * 86400}));
  command->callback([options, record, &context, &chosen] {
    chosen = [options, record, &context] {
      const auto config = options->load(context.environment);
      if (!config) return fail(context, config.error(), kExitUsage);
      const auto result = context.operations.record(*config, *record);
      return result ? kExitOk : fail(context, result.error());
    };
  });
}

}  // namespace llmtap
