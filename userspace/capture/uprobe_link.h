// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <string>

#include "capture/probe.h"

struct bpf_program;

namespace llmtap {

// One uprobe_multi link for the entries and one for the returns: detaching hundreds of single links
// takes the kernel minutes of grace periods, two take milliseconds.
Result<std::unique_ptr<UprobeLink>> attach_multi(bpf_program* entry, bpf_program* returning,
                                                 const std::string& path,
                                                 std::span<const UprobePlace> places);

}  // namespace llmtap
