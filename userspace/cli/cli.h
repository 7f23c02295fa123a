// SPDX-License-Identifier: Apache-2.0
// The command line. What the subcommands start is passed in, so that the command line is tested
// without a kernel.
#pragma once

#include <functional>
#include <iosfwd>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "llmtap/result.h"
#include "pipeline/config.h"
#include "pipeline/daemon.h"
#include "pipeline/doctor.h"

namespace llmtap {

// 0: done. 1: it failed, stderr says why. 2: the command line or the configuration is wrong.
inline constexpr int kExitOk = 0, kExitFailure = 1, kExitUsage = 2;

struct Operations {
  std::function<Result<int>(const Config&)> run;
  std::function<Result<>(const Config&, const RecordOptions&)> record;
  std::function<Result<>(const Config&, const ReplayOptions&)> replay;
  std::function<DoctorReport()> doctor;
};

using Environment = std::vector<std::pair<std::string, std::string>>;

struct CommandContext {
  const Operations& operations;
  const Environment& environment;
  std::ostream& out;
  std::ostream& err;
};

// `arguments` without the program's name. Returns the exit code; throws nothing.
int run_command_line(std::span<const std::string> arguments, const CommandContext& context);

}  // namespace llmtap
