// SPDX-License-Identifier: Apache-2.0
// What the subcommands start.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "llmtap/result.h"
#include "pipeline/config.h"

namespace llmtap {

// Observes the node until SIGTERM or SIGINT. The value is the exit code.
Result<int> run_daemon(const Config& config);

struct RecordOptions {
  std::string path;
  bool redact = false;
  std::optional<std::chrono::seconds> duration;  // none: until SIGTERM or SIGINT
};
Result<> record(const Config& config, const RecordOptions& options);

struct ReplayOptions {
  std::string path;
  bool metrics = false;  // the exposition at the end, to stdout
};
Result<> replay(const Config& config, const ReplayOptions& options);

}  // namespace llmtap
