// SPDX-License-Identifier: Apache-2.0
// Which processes are left alone: targets.exclude.
#pragma once

#include <string>
#include <vector>

#include "llmtap/facts.h"

namespace llmtap {

// A name is one of: a pid; "/…": an absolute path of a program, or of a cgroup and all below it; else a
// workload, the name of a program or of its main thread, a systemd unit with or without ".service", or
// one part of the cgroup's path.
class Exclusion {
 public:
  Exclusion() = default;
  explicit Exclusion(std::vector<std::string> names) : names_(std::move(names)) {}
  bool empty() const { return names_.empty(); }
  bool matches(const ProcessFacts&) const;

 private:
  std::vector<std::string> names_;
};

}  // namespace llmtap
