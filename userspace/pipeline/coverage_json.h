// SPDX-License-Identifier: Apache-2.0
// What the running daemon has hooked, for its /api/coverage and for `llmtap doctor`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "capture/coverage.h"
#include "llmtap/result.h"

namespace llmtap {

struct HookedLibrary {
  std::string runtime, path;
  size_t processes = 0;
  bool sampled = false;  // of the others, calls are seen in a part of the time
  size_t own_links = 0;  // processes that are never left out
};

struct HookedLibraries {
  std::vector<HookedLibrary> libraries;
  double unfollowed_seconds = 0;
};

std::string coverage_json(const Coverage&);
// Of another program perhaps: anything may stand there.
Result<HookedLibraries> parse_coverage_json(std::string_view text);

}  // namespace llmtap
