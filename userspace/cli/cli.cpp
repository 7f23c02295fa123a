// SPDX-License-Identifier: Apache-2.0
#include "cli/cli.h"

#include <algorithm>
#include <ostream>

#include "base/logging.h"
#include "base/nearest.h"
#include "cli/commands.h"

namespace llmtap {
namespace {

constexpr const char* kAbout =
    "Reads every LLM API call of every process on this node, without changing the programs.";
constexpr const char* kFooter = R"(
Examples:
  sudo llmtap run                     watch this node: one JSON line per call on stdout,
                                      metrics on http://127.0.0.1:9464/metrics
  sudo llmtap doctor                  can this node be observed, and what is not seen, and why
  llmtap calls                        the latest calls of the running daemon, as a table
  sudo llmtap record calls.events     keep the raw events, to look at them elsewhere
  llmtap replay calls.events          and make the same calls of them again

Exit codes: 0 done; 1 failed, stderr says why; 2 the command line or the configuration is wrong.
`llmtap COMMAND --help` says more of each.)";

using AddCommand = void (*)(CLI::App&, const CommandContext&, Chosen&);
constexpr AddCommand kCommands[] = {add_run, add_doctor, add_record, add_replay, add_calls, add_version};

int parse_and_run(std::span<const std::string> arguments, const CommandContext& context) {
  CLI::App app{kAbout, "llmtap"};
  app.footer(kFooter);
  app.set_help_flag("-h,--help", "What this is and how to use it");
  app.require_subcommand(0, 1);
  Chosen chosen;
  for (const AddCommand add : kCommands) add(app, context, chosen);

  if (arguments.empty()) {
    context.err << app.help();
    return kExitUsage;
  }
  const std::string& command = arguments.front();
  const auto commands = app.get_subcommands([](CLI::App*) { return true; });
  const bool known = std::ranges::any_of(commands, [&](CLI::App* c) { return c->get_name() == command; });
  if (!known && !command.starts_with('-')) {
    std::vector<std::string_view> names;
    names.reserve(commands.size());
    for (const CLI::App* c : commands) names.push_back(c->get_name());
    const std::string_view near = nearest(command, names);
    return fail(context,
                {"unknown command \"" + printable(command) + "\"",
                 near.empty() ? "llmtap --help lists the commands"
                              : "did you mean llmtap " + std::string(near) + "?"},
                kExitUsage);
  }
  if (command == "--version") return parse_and_run(std::vector<std::string>{"version"}, context);
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // as CLI11 wants them
    app.parse(std::move(reversed));
  } catch (const CLI::CallForHelp&) {
    const auto active = app.get_subcommands();
    context.out << (active.empty() ? app.help() : active.front()->help("llmtap"));
    return kExitOk;
  } catch (const CLI::ParseError& error) {
    return fail(context,
                {error.what(), (known ? "llmtap " + command : "llmtap") + " --help shows what it takes"},
                kExitUsage);
  }
  return chosen ? chosen() : kExitUsage;
}

}  // namespace

int fail(const CommandContext& context, const Error& error, int code) {
  context.err << failure_text(error) << std::flush;
  return code;
}

int run_command_line(std::span<const std::string> arguments, const CommandContext& context) {
  try {
    const int code = parse_and_run(arguments, context);
    context.out.flush();
    // A full disk or a closed pipe behind stdout is a failure to do what was asked.
    if (code == kExitOk && !context.out) return fail(context, {"cannot write to the standard output", ""});
    return code;
  } catch (const std::exception& exception) {
    return fail(context, {std::string("internal error: ") + exception.what(), ""});
  }
}

std::shared_ptr<ConfigOptions> ConfigOptions::add_to(CLI::App& command) {
  auto options = std::make_shared<ConfigOptions>();
  command
      .add_option("-c,--config", options->file_, "Configuration file, YAML (or the variable LLMTAP_CONFIG)")
      ->type_name("FILE");
  command
      .add_option("--set", options->assignments_, "Set one key, as in --set log.level=debug; may be repeated")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  return options;
}

void ConfigOptions::add_key(CLI::App& command, const std::string& option, const std::string& key,
                            const std::string& help) {
  const std::string name = option.substr(0, option.find(' '));
  command
      .add_option_function<std::string>(
          name, [this, key, name](const std::string& value) { settings_.push_back({key, value, name}); },
          help + " (" + key + ")")
      ->type_name(option.size() > name.size() ? option.substr(name.size() + 1) : "TEXT");
}

Result<Config> ConfigOptions::load(const Environment& environment) const {
  ConfigSources sources{file_, environment, {}};
  if (file_.empty())
    for (const auto& [name, value] : environment)
      if (name == "LLMTAP_CONFIG") sources.file = value;
  for (const std::string& assignment : assignments_) {
    const size_t equals = assignment.find('=');
    if (equals == std::string::npos)
      return Error{"--set " + printable(assignment) + ": expected KEY=VALUE", "as in --set log.level=debug"};
    sources.settings.push_back({assignment.substr(0, equals), assignment.substr(equals + 1), "--set"});
  }
  sources.settings.insert(sources.settings.end(), settings_.begin(), settings_.end());
  Config config = LLMTAP_TRY(load_config(sources).context("cannot use the configuration"));
  LLMTAP_TRY(set_up_logging(config.log_level));
  return config;
}

}  // namespace llmtap
