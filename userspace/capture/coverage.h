// SPDX-License-Identifier: Apache-2.0
// What discovery has found and reached so far: for /readyz, metrics and doctor. A value.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "llmtap/facts.h"

namespace llmtap {

enum class CoverageState : uint8_t { kClear, kOpaque, kNone };

constexpr std::string_view to_string(CoverageState state) {
  return state == CoverageState::kClear ? "clear" : state == CoverageState::kOpaque ? "opaque" : "none";
}

struct RuntimeUse {
  std::string runtime;  // "openssl", "go_tls"…; "none"
  CoverageState state = CoverageState::kNone;
  std::string reason;  // closed list, empty when clear
  bool operator==(const RuntimeUse&) const = default;
};

struct CoveredProcess {
  ProcessKey process;
  std::string exe;
  std::string workload;
  std::vector<RuntimeUse> runtimes;
};

struct AttachTarget {
  std::string runtime;
  std::string path;
  uint32_t major = 0, minor = 0;
  uint64_t inode = 0;
  uint64_t generation = 0;
  std::string placement;        // "internal", "exported"…
  bool single_stepped = false;  // the dear kind of breakpoint on the data path
  size_t places = 0;
  size_t processes = 0;
  bool attached = false;
  bool sampled =
      false;  // of the others calls are seen in one second of 20, because hooking all costs too much
  size_t own_links = 0;  // processes that are never left out, and have a link of their own
};

struct Coverage {
  bool initial_scan_done = false;
  bool watching = false;  // new processes are seen at once; else at the next scan
  std::string watch_error;
  uint64_t processes_scanned = 0;  // looks at a process, cumulative
  uint64_t scans = 0;              // of all processes
  uint64_t lost_records = 0;       // side-band records, each loss followed by a scan
  uint64_t dropped_requests = 0;   // ensure_facts() beyond the queue
  std::vector<CoveredProcess> processes;
  std::vector<AttachTarget> targets;
  std::map<std::pair<std::string, std::string>, uint64_t> attach_failures;  // {runtime, reason}, cumulative
  std::chrono::nanoseconds unfollowed{0};  // in which calls of a process may have passed unseen, cumulative
};

}  // namespace llmtap
