// SPDX-License-Identifier: Apache-2.0
#include "capture/features.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <fstream>
#include <memory>

#include "capture/kernel_link.h"
#include "capture/tracepoint_link.h"
#include "capture/unique_fd.h"

namespace llmtap {
namespace {

// Also yes where the answer is not known: then the load of the programs says what is missing.
bool has_helper(bpf_func_id helper) {
  return ::libbpf_probe_bpf_helper(BPF_PROG_TYPE_KPROBE, helper, nullptr) != 0;
}

// `r0 = 0; exit`, as a program of this attach type; -1 and errno if the kernel refuses.
UniqueFd load_empty(int attach_type) {
  const std::array<bpf_insn, 2> code{
      {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
       {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}}};
  LIBBPF_OPTS(bpf_prog_load_opts, options);
  options.expected_attach_type = static_cast<bpf_attach_type>(attach_type);
  return UniqueFd(
      ::bpf_prog_load(BPF_PROG_TYPE_KPROBE, "llmtap_probe", "GPL", code.data(), code.size(), &options));
}

// Whether the programs know how to ask for it: without an argument (6.13) or with the context (7.0).
bool session_tells_returns(const btf* kernel) {
  const int function = kernel ? ::btf__find_by_name_kind(kernel, "bpf_session_is_return", BTF_KIND_FUNC) : 0;
  if (function <= 0) return false;
  const btf_type* const type = ::btf__type_by_id(kernel, ::btf__type_by_id(kernel, function)->type);
  return type && btf_vlen(type) <= 1;
}

}  // namespace

// A kernel that knows the link type looks up the path before anything else; one that does not, or that
// took the attach type for an unchecked number, says EINVAL.
bool uprobe_links_of(int attach_type) {
  const UniqueFd program = load_empty(attach_type);
  if (!program) return false;
  const uint64_t offset = 0;
  const UniqueFd link = create_uprobe_link(
      {.program = program.get(), .attach_type = attach_type, .path = "/", .offsets = {&offset, 1}});
  return link || errno == EBADF;
}

bool perf_uprobes_refused() {
  perf_event_attr event{};
  event.size = sizeof(event);
  std::ifstream("/sys/bus/event_source/devices/uprobe/type") >> event.type;
  event.uprobe_path = reinterpret_cast<uintptr_t>("/");  // no file: who is let in is told so
  const UniqueFd opened(
      static_cast<int>(::syscall(SYS_perf_event_open, &event, -1, 0, -1, PERF_FLAG_FD_CLOEXEC)));
  return !opened && (errno == EACCES || errno == EPERM);
}

Features probe_features() {
  // libbpf prints what a probing load is refused for; that is the answer here, not news.
  const libbpf_print_fn_t print = ::libbpf_set_print(nullptr);
  const std::unique_ptr<btf, void (*)(btf*)> kernel(::btf__load_vmlinux_btf(), ::btf__free);
  const auto has_function = [&](const char* name) {
    return kernel && ::btf__find_by_name_kind(kernel.get(), name, BTF_KIND_FUNC) > 0;
  };
  Features found;
  found.callbacks = has_helper(BPF_FUNC_loop) && has_helper(BPF_FUNC_get_attach_cookie);
  found.uprobe_multi = found.callbacks && uprobe_links_of(kTraceUprobeMulti);
  found.sessions =
      found.uprobe_multi && session_tells_returns(kernel.get()) && uprobe_links_of(kTraceUprobeSession);
  found.exact_records = has_function("bpf_probe_read_user_dynptr");
  found.typed_task = has_helper(BPF_FUNC_get_current_task_btf);
  found.preempted_calls = has_function("trace_call_bpf_faultable");
  found.growing_maps = has_function("bpf_mem_alloc_init");
  if (has_function("bpf_rdonly_cast"))
    found.kernel_reads = KernelReads::kChecked;
  else
    found.kernel_reads = has_helper(BPF_FUNC_probe_read_kernel) ? KernelReads::kHelper : KernelReads::kNone;
  const Result<TraceFs> tracefs = TraceFs::open();
  found.tracefs = tracefs && tracefs->has("syscalls/sys_enter_read");
  ::libbpf_set_print(print);
  return found;
}

}  // namespace llmtap
