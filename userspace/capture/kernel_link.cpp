// SPDX-License-Identifier: Apache-2.0
#include "capture/kernel_link.h"

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace llmtap {

UniqueFd create_uprobe_link(const UprobeLinkRequest& wanted) {
  struct {
    uint32_t program, target, attach_type, flags;
    uint64_t path, offsets, ref_ctr_offsets, cookies;
    uint32_t count, multi_flags, pid, pad;
  } request{};
  request.program = static_cast<uint32_t>(wanted.program);
  request.attach_type = static_cast<uint32_t>(wanted.attach_type);
  request.path = reinterpret_cast<uintptr_t>(wanted.path);
  request.offsets = reinterpret_cast<uintptr_t>(wanted.offsets.data());
  request.cookies = wanted.cookies.empty() ? 0 : reinterpret_cast<uintptr_t>(wanted.cookies.data());
  request.count = static_cast<uint32_t>(wanted.offsets.size());
  request.pid = wanted.tgid;
  return UniqueFd(static_cast<int>(::syscall(SYS_bpf, BPF_LINK_CREATE, &request, sizeof(request))));
}

}  // namespace llmtap
