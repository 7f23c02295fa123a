// SPDX-License-Identifier: Apache-2.0
#include <ostream>

#include "cli/calls_table.h"
#include "cli/commands.h"
#include "cli/http_get.h"

namespace llmtap {
namespace {

constexpr const char* kFooter = R"(
Examples:
  llmtap calls
  llmtap calls -n 100
  llmtap calls --json | jq '.calls[] | select(.status >= 400)'

Asks the running daemon (llmtap run) over HTTP; it keeps the latest calls in memory.

Exit codes: 0 printed; 1 nothing answers there, or not as expected; 2 the command line is wrong.)";

struct Arguments {
  std::string address = "127.0.0.1:9464";
  bool json = false;
  size_t newest = 20;
};

int show_calls(const Arguments& arguments, const CommandContext& context) {
  Config config;
  if (const auto parsed = apply_setting(config, {"metrics.listen", arguments.address, "--address"}); !parsed)
    return fail(context, parsed.error(), kExitUsage);
  auto reply = http_get(config.metrics_listen, "/api/calls?n=" + std::to_string(arguments.newest),
                        std::chrono::seconds(10))
                   .context("cannot ask the daemon")
                   .hint("is llmtap run active on this machine? --address says where it listens");
  if (!reply) return fail(context, reply.error());
  if (reply->status != 200) {
    const bool guarded = reply->status == 401 || reply->status == 403;
    return fail(context,
                {"cannot ask the daemon: it answered status " + std::to_string(reply->status),
                 guarded ? "its web.config.file asks for credentials: use curl with them on /api/calls"
                         : "is another program listening at " + arguments.address + "?"});
  }
  const auto text =
      arguments.json ? calls_json(reply->body, arguments.newest) : calls_table(reply->body, arguments.newest);
  if (!text) return fail(context, text.error());
  context.out << *text;
  return kExitOk;
}

}  // namespace

void add_calls(CLI::App& app, const CommandContext& context, Chosen& chosen) {
  CLI::App* command = app.add_subcommand("calls", "Show the latest calls of the running daemon");
  command->footer(kFooter);
  auto arguments = std::make_shared<Arguments>();
  command->add_option("--address", arguments->address, "Where the daemon listens")
      ->capture_default_str()
      ->type_name("ADDRESS");
  command->add_flag("--json", arguments->json, "As the daemon answers, with every field");
  command->add_option("-n,--number", arguments->newest, "How many of the latest calls")
      ->capture_default_str()
      ->type_name("N")
      ->check(CLI::Range(1, 100000));
  command->callback([arguments, &context, &chosen] {
    chosen = [arguments, &context] { return show_calls(*arguments, context); };
  });
}

}  // namespace llmtap
