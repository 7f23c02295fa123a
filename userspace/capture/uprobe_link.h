// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <string>

#include "capture/probe.h"

struct bpf_program;

namespace llmtap {

struct UprobePrograms {
  std::span<bpf_program* const> enter;  // by HookKind; the same for all where there are attach cookies
  bpf_program* returning = nullptr;
  bool multi = true;
  bpf_program* session = nullptr;  // set: used instead of the others
};

// With uprobe_multi one link for the entries and one for the returns: detaching hundreds of single links
// takes the kernel minutes of grace periods, two take milliseconds. Else one perf event per place.
Result<std::unique_ptr<UprobeLink>> attach_places(const UprobePrograms& programs, const std::string& path,
                                                  std::span<const UprobePlace> places,
                                                  const LinkReach& reach);

}  // namespace llmtap
