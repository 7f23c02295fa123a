// SPDX-License-Identifier: Apache-2.0
#include "capture/probe_programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "capture/doctor_facts.h"
#include "capture/kernel_link.h"
#include "capture/process_facts.h"
#include "probe.skel.h"
#include "probe_compatible.skel.h"

namespace llmtap {
namespace {

// Memory that maps take at load where they cannot grow; small enough for the smallest node.
constexpr uint32_t kFixedConnections = 32768;
constexpr uint32_t kFixedThreads = 16384;

// What libbpf says while it loads for this thread; its last lines explain a refusal.
thread_local std::string* load_log = nullptr;

int keep_log(libbpf_print_level level, const char* format, va_list arguments) {
  if (!load_log || level == LIBBPF_DEBUG) return 0;
  va_list again;
  va_copy(again, arguments);
  const int n = std::vsnprintf(nullptr, 0, format, again);
  va_end(again);
  if (n <= 0) return 0;
  std::string text(static_cast<size_t>(n) + 1, '\0');
  std::vsnprintf(text.data(), text.size(), format, arguments);
  text.pop_back();
  load_log->append(text);
  if (load_log->size() > 4096) load_log->erase(0, load_log->size() - 4096);
  return 0;
}

// The line with the reason: the verifier's last word before its statistics and libbpf's summary.
std::string reason_of(std::string_view log) {
  std::string_view reason;
  while (!log.empty()) {
    const size_t end = std::min(log.find('\n'), log.size());
    const std::string_view line = log.substr(0, end);
    log.remove_prefix(std::min(end + 1, log.size()));
    const auto says = [&](std::string_view word) { return line.find(word) != std::string_view::npos; };
    if (!line.empty() && !says("failed to load") && !says("PROG LOAD LOG") && !line.starts_with("processed "))
      reason = line;
  }
  return std::string(reason);
}

std::string permission_hint(const std::string& other_reasons) {
  const std::string missing = missing_capabilities();
  if (missing.empty()) return "this process has the capabilities, so " + other_reasons;
  return "this process lacks " + missing +
         ": run with sudo, or grant it (systemd: AmbientCapabilities=, Kubernetes: "
         "securityContext.capabilities.add)";
}

Error load_error(int error, const std::string& log) {
  Error result{std::string("load BPF programs: ") + std::strerror(error)};
  if (error == EPERM || error == EACCES)
    result.hint = permission_hint(
        "the memlock limit is too low (before Linux 5.11), or a container's seccomp profile or the "
        "kernel's lockdown forbids bpf()");
  else if (error == ENOMEM)
    result.hint = "the kernel has no memory for the ring: choose a smaller one";
  else if (error == EINVAL || error == ENOTSUP || error == ESRCH || error == E2BIG)
    result.hint =
        "the kernel lacks something the programs need (5.10 with BTF is the oldest supported); see llmtap "
        "doctor";
  if (const std::string reason = reason_of(log); !reason.empty()) result.message += " (" + reason + ")";
  return result;
}

// Under lockdown=confidentiality libbpf takes the refusal of bpf_probe_read_kernel for a kernel before 5.5
// and turns bpf_probe_read_user into the old bpf_probe_read, which lockdown refuses too; here it is turned
// back.
int keep_user_reads(bpf_program* program, bpf_prog_load_opts*, long) {
  const bpf_insn* code = bpf_program__insns(program);
  std::vector<bpf_insn> copy(code, code + bpf_program__insn_cnt(program));
  bool changed = false;
  for (bpf_insn& insn : copy) {
    if (insn.code != (BPF_JMP | BPF_CALL) || insn.src_reg != 0 || insn.imm != BPF_FUNC_probe_read) continue;
    insn.imm = BPF_FUNC_probe_read_user;
    changed = true;
  }
  return changed ? bpf_program__set_insns(program, copy.data(), copy.size()) : 0;
}

// libbpf's own handlers of these sections, with the step above; attaching is ours.
void register_handlers() {
  static std::once_flag once;
  std::call_once(once, [] {
    LIBBPF_OPTS(libbpf_prog_handler_opts, options);
    options.prog_prepare_load_fn = keep_user_reads;
    libbpf_register_prog_handler("tracepoint+", BPF_PROG_TYPE_TRACEPOINT, static_cast<bpf_attach_type>(0),
                                 &options);
    libbpf_register_prog_handler("tp_btf+", BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, &options);
    for (const char* section : {"uprobe.multi+", "uretprobe.multi+"})
      libbpf_register_prog_handler(section, BPF_PROG_TYPE_KPROBE, static_cast<bpf_attach_type>(0), &options);
  });
}

uint64_t unix_seconds() {
  timespec time{};
  clock_gettime(CLOCK_REALTIME, &time);
  return static_cast<uint64_t>(time.tv_sec);
}

}  // namespace

std::string_view section_of(const bpf_program* program) {
  std::string_view section = bpf_program__section_name(program);
  if (section.starts_with('?')) section.remove_prefix(1);
  return section;
}

bool is_copy(const bpf_program* program) { return !original_of(program).empty(); }

std::string_view original_of(const bpf_program* copy) {
  const std::string_view name = bpf_program__name(copy);
  for (const std::string_view suffix : {"_copy2", "_copy3"})
    if (name.ends_with(suffix)) return name.substr(0, name.size() - suffix.size());
  return {};
}

namespace {

// Which programs are loaded, and how each will be attached.
Result<> choose_programs(bpf_object* object, const Features& features) {
  bpf_program* program = nullptr;
  while ((program = bpf_object__next_program(object, program))) {
    const std::string_view section = section_of(program);
    constexpr std::string_view kTyped = "tp_btf/";
    const bool wanted = !is_copy(program) || features.preempted_calls;
    const bool all_calls = section.starts_with("tp_btf/sys_");
    if (section.starts_with("tracepoint/")) {
      bpf_program__set_autoload(program, features.tracefs && wanted);
    } else if (!wanted || (all_calls && features.tracefs)) {
      bpf_program__set_autoload(program, false);
    } else if (section.starts_with(kTyped)) {
      bpf_program__set_autoload(program, true);
      const std::string name(section.substr(kTyped.size()));
      if (const int error = bpf_program__set_attach_target(program, 0, name.c_str()); error != 0)
        return Error{"tracepoint " + name + ": " + std::strerror(-error)};
    } else if (std::string_view(bpf_program__name(program)) == "tls_session") {
      bpf_program__set_autoload(program, features.sessions);
      if (features.sessions)
        bpf_program__set_expected_attach_type(program, static_cast<bpf_attach_type>(kTraceUprobeSession));
    } else if (features.sessions) {
      bpf_program__set_autoload(program, false);
    } else if (features.uprobe_multi) {
      bpf_program__set_expected_attach_type(program, static_cast<bpf_attach_type>(kTraceUprobeMulti));
    }
  }
  return Ok{};
}

}  // namespace

template <typename Skeleton, typename Open, typename Load, typename Destroy>
Result<> ProbePrograms::load_build(const ProbeOptions& options, const Features& features, Open open_it,
                                   Load load_it, Destroy destroy_it) {
  std::string log;
  const struct LogHere {
    explicit LogHere(std::string& text) { load_log = &text; }
    ~LogHere() { load_log = nullptr; }
  } log_here(log);
  const std::shared_ptr<Skeleton> skeleton(open_it(), [destroy_it](Skeleton* s) { destroy_it(s); });
  if (!skeleton) return load_error(errno, log);
  object = skeleton->obj;
  LLMTAP_TRY(choose_programs(object, features));
  auto* const constants = skeleton->rodata;
  constants->own_tgid =
      options.exclude_own_process ? own_tgid().value_or(static_cast<uint32_t>(getpid())) : 0;
  // Later runs on this boot begin above earlier ones, and ids stay below 2^53 for JSON.
  constants->first_conn_id = unix_seconds() << 20;
  if (getrandom(&constants->hash_seed, sizeof(constants->hash_seed), 0) < 0)
    constants->hash_seed = unix_seconds();
  constants->wakeup_bytes = options.ring_bytes / 32;
  constants->turn_cap_bytes = options.turn_cap_bytes;
  constants->exact_records = features.exact_records;
  constants->kernel_reads = static_cast<uint32_t>(features.kernel_reads);
  constants->task_is_typed = features.typed_task;
  if constexpr (requires { constants->copies_loaded; }) {
    constants->copies_loaded = features.preempted_calls;
    constants->every_copy_runs = options.every_copy_runs;
  }
  bpf_map__set_max_entries(skeleton->maps.events, static_cast<uint32_t>(options.ring_bytes));
  if (!features.growing_maps) {
    const std::pair<bpf_map*, uint32_t> fixed[]{
        {skeleton->maps.conn_by_key, kFixedConnections},
        {skeleton->maps.thread_by_id, kFixedThreads},
        {skeleton->maps.process_flags, bpf_map__max_entries(skeleton->maps.process_flags)}};
    for (const auto& [map, entries] : fixed) {
      if (bpf_map__type(map) != BPF_MAP_TYPE_HASH) continue;
      bpf_map__set_map_flags(map, bpf_map__map_flags(map) & ~static_cast<uint32_t>(BPF_F_NO_PREALLOC));
      bpf_map__set_max_entries(map, entries);
    }
  }
  if (const int error = load_it(skeleton.get()); error != 0) return load_error(-error, log);
  events = skeleton->maps.events;
  verdicts = skeleton->maps.verdicts;
  process_flags = skeleton->maps.process_flags;
  lost = skeleton->maps.lost;
  byte_books = skeleton->maps.byte_books;
  conn_by_key = skeleton->maps.conn_by_key;
  thread_by_id = skeleton->maps.thread_by_id;
  file_hits = skeleton->maps.file_hits;
  processes_flagged = skeleton->bss->processes_flagged;
  switchers_seen = &skeleton->bss->switchers_seen;
  reader_state = &skeleton->bss->reader_state;
  refuse_new_connections = &skeleton->bss->refuse_new_connections;
  urgent_wakeups = &skeleton->bss->urgent_wakeups;
  conns_made = &skeleton->bss->conns_made;
  conns_ended = &skeleton->bss->conns_ended;
  if (features.sessions) tls_session = bpf_object__find_program_by_name(object, "tls_session");
  tls_return = bpf_object__find_program_by_name(object, "tls_return");
  for (size_t kind = 0; kind < tls_enter.size(); ++kind) {
    const std::string name = features.callbacks ? "tls_enter" : "tls_enter_" + std::to_string(kind);
    tls_enter[kind] = bpf_object__find_program_by_name(object, name.c_str());
  }
  skeleton_ = skeleton;
  return Ok{};
}

Result<ProbePrograms> ProbePrograms::load(const ProbeOptions& options, const Features& features) {
  libbpf_set_print(keep_log);
  register_handlers();
  ProbePrograms programs;
  if (features.callbacks)
    LLMTAP_TRY(programs.load_build<probe>(options, features, probe__open, probe__load, probe__destroy));
  else
    LLMTAP_TRY(programs.load_build<probe_compatible>(options, features, probe_compatible__open,
                                                     probe_compatible__load, probe_compatible__destroy));
  return programs;
}

}  // namespace llmtap
