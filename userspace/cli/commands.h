// SPDX-License-Identifier: Apache-2.0
// One function per subcommand: adds it to the command line; when it is the chosen one, `chosen`
// becomes what to do.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cli/cli.h"

namespace llmtap {

using Chosen = std::function<int()>;

void add_run(CLI::App& app, const CommandContext& context, Chosen& chosen);
void add_doctor(CLI::App& app, const CommandContext& context, Chosen& chosen);
void add_record(CLI::App& app, const CommandContext& context, Chosen& chosen);
void add_replay(CLI::App& app, const CommandContext& context, Chosen& chosen);
void add_calls(CLI::App& app, const CommandContext& context, Chosen& chosen);
void add_version(CLI::App& app, const CommandContext& context, Chosen& chosen);

// --config and --set, and options that stand for one key.
class ConfigOptions {
 public:
  static std::shared_ptr<ConfigOptions> add_to(CLI::App& command);
  // `option` is another way to write --set key=…
  void add_key(CLI::App& command, const std::string& option, const std::string& key, const std::string& help);
  // The configuration, with the log level set up.
  Result<Config> load(const Environment& environment) const;

 private:
  std::string file_;
  std::vector<std::string> assignments_;
  std::vector<Setting> settings_;
};

// Says it on `err` and returns the exit code.
int fail(const CommandContext& context, const Error& error, int code = kExitFailure);

}  // namespace llmtap
