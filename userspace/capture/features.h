// SPDX-License-Identifier: Apache-2.0
// What this kernel gives the BPF programs. Found by trying, never by version: distributions backport,
// configurations leave out, lockdown refuses.
#pragma once

namespace llmtap {

enum class KernelReads : unsigned {  // enum kernel_reads of bpf/lib/kernel_types.bpf.h
  kNone = 0,                         // neither of the two: no socket is found
  kChecked = 1,                      // bpf_rdonly_cast, Linux 6.2
  kHelper = 2,                       // bpf_probe_read_kernel, which lockdown=confidentiality refuses
};

struct Features {
  bool callbacks = true;      // bpf_loop, Linux 5.17; without it the second build of the programs is loaded
  bool uprobe_multi = true;   // Linux 6.6; else one perf event per place
  bool sessions = true;       // entry and return in one program, Linux 6.13; else a program each
  bool exact_records = true;  // bpf_probe_read_user_dynptr, Linux 6.16; else size classes
  bool typed_task = true;     // bpf_get_current_task_btf, Linux 5.11
  bool tracefs = true;        // ids of system call tracepoints; else one program at every system call
  bool preempted_calls =
      false;                 // programs at system calls are skipped while another run is preempted, Linux 7.2
  bool growing_maps = true;  // Linux 6.1; else the maps take all their memory at load
  KernelReads kernel_reads = KernelReads::kChecked;

  bool operator==(const Features&) const = default;
};

// Takes some milliseconds: loads and drops small BPF programs.
Features probe_features();

// Whether links of this attach type (enum bpf_attach_type) can be made; a refusal leaves errno.
bool uprobe_links_of(int attach_type);

// Without uprobe_multi every place is a perf event, which kernels since 2025 (also older stable ones) give
// to CAP_SYS_ADMIN alone, not to CAP_PERFMON ("perf: Require CAP_SYS_ADMIN for uprobes").
bool perf_uprobes_refused();

}  // namespace llmtap
