// SPDX-License-Identifier: Apache-2.0
// Links that libbpf before 1.5 and older headers do not know, asked of the kernel itself.
#pragma once

#include <cstdint>
#include <span>

#include "capture/unique_fd.h"

namespace llmtap {

constexpr int kTraceUprobeMulti = 48;    // enum bpf_attach_type, Linux 6.6
constexpr int kTraceUprobeSession = 57;  // Linux 6.13

struct UprobeLinkRequest {
  int program = -1;
  int attach_type = kTraceUprobeMulti;
  const char* path = nullptr;
  std::span<const uint64_t> offsets;  // in the file
  std::span<const uint64_t> cookies;  // as many, or none
  uint32_t tgid = 0;                  // of the only process, as this process's namespace numbers it; 0: all
};

// BPF_LINK_CREATE with union bpf_attr's link_create.uprobe_multi. Invalid if refused, and errno says why.
UniqueFd create_uprobe_link(const UprobeLinkRequest&);

}  // namespace llmtap
