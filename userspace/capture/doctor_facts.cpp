// SPDX-License-Identifier: Apache-2.0
#include "capture/doctor_facts.h"

#include <bpf/libbpf.h>
#include <sys/capability.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <utility>

#include "capture/features.h"
#include "capture/mmap_watch.h"

namespace llmtap {
namespace {

using enum DoctorStatus;

constexpr long kBpfFsMagic = 0xcafe4a11;

std::string read_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

DoctorFact kernel_fact() {
  utsname name{};
  ::uname(&name);
  const auto [major, minor] = parse_kernel_release(name.release);
  const bool enough = major > 5 || (major == 5 && minor >= 10);
  DoctorFact fact{"kernel", enough ? kOk : kMissing, std::string(name.release) + " " + name.machine, {}};
  if (!enough) fact.advice = "Linux 5.10 or newer is needed";
  if (std::string_view(name.machine) != "x86_64") {
    fact.status = kDegraded;
    fact.advice = "only x86-64 is supported: TLS is not read on this machine";
  }
  return fact;
}

DoctorFact btf_fact() {
  if (::access("/sys/kernel/btf/vmlinux", R_OK) == 0) return {"BTF", kOk, "/sys/kernel/btf/vmlinux", {}};
  return {"BTF", kMissing, std::string("/sys/kernel/btf/vmlinux: ") + ::strerror(errno),
          "use a kernel built with CONFIG_DEBUG_INFO_BTF=y and mount /sys"};
}

struct Capability {
  cap_value_t value;
  cap_value_t instead;  // grants the same
  const char* why;
};

std::string capability_name(cap_value_t value) {
  const std::unique_ptr<char, int (*)(void*)> name(::cap_to_name(value), ::cap_free);
  return name ? name.get() : "?";
}

}  // namespace

std::vector<DoctorFact> capability_facts() {
  std::vector<DoctorFact> facts;
  constexpr std::array<Capability, 6> kNeeded{{
      {CAP_BPF, CAP_SYS_ADMIN, "loads the BPF programs"},
      {CAP_PERFMON, CAP_SYS_ADMIN, "attaches them and sees processes start"},
      {CAP_SYS_PTRACE, CAP_SYS_PTRACE, "reads /proc of other users' processes"},
      {CAP_CHECKPOINT_RESTORE, CAP_SYS_ADMIN, "opens mapped files that were deleted or are in a container"},
      {CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE, "reads programs and libraries that only their users may"},
      {CAP_SYS_RESOURCE, CAP_SYS_RESOURCE, "locks memory for maps before Linux 5.11"},
  }};
  const std::unique_ptr<std::remove_pointer_t<cap_t>, int (*)(void*)> held(::cap_get_proc(), ::cap_free);
  utsname kernel{};
  ::uname(&kernel);
  for (const Capability& needed : kNeeded) {
    if (needed.value == CAP_SYS_RESOURCE && parse_kernel_release(kernel.release) >= std::pair(5, 11))
      continue;
    const auto has = [&](cap_value_t value) {
      cap_flag_value_t flag = CAP_CLEAR;
      return held && ::cap_get_flag(held.get(), value, CAP_EFFECTIVE, &flag) == 0 && flag == CAP_SET;
    };
    DoctorFact fact{"capability " + capability_name(needed.value), kOk, needed.why, {}};
    if (!has(needed.value) && !has(needed.instead)) {
      const bool essential = needed.value == CAP_BPF || needed.value == CAP_PERFMON;
      fact.status = essential ? kMissing : kDegraded;
      fact.advice = "run as root or grant it to the service or container";
    }
    facts.push_back(std::move(fact));
  }
  return facts;
}

std::string missing_capabilities() {
  constexpr std::string_view kPrefix = "capability ";
  std::string missing;
  for (const DoctorFact& fact : capability_facts()) {
    if (fact.status != kMissing) continue;
    if (!missing.empty()) missing += ", ";
    for (const char c : std::string_view(fact.name).substr(kPrefix.size()))
      missing += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return missing;
}

namespace {

DoctorFact mount_fact(std::string name, std::initializer_list<const char*> places, long magic,
                      std::string advice) {
  for (const char* const place : places) {
    struct statfs status{};
    if (::statfs(place, &status) == 0 && static_cast<long>(status.f_type) == magic)
      return {std::move(name), kOk, place, {}};
  }
  return {std::move(name), kDegraded, "not mounted", std::move(advice)};
}

DoctorFact lockdown_fact() {
  const std::string line = read_line("/sys/kernel/security/lockdown");
  const size_t open = line.find('['), close = line.find(']');
  if (open == std::string::npos || close == std::string::npos || close < open)
    return {"lockdown", kUnknown, "securityfs not readable", {}};
  const std::string level = line.substr(open + 1, close - open - 1);
  if (level == "confidentiality")
    return {"lockdown", kDegraded, level,
            "tracefs and kernel reads are refused; the rows below say what is used instead"};
  return {"lockdown", kOk, level, {}};
}

DoctorFact perf_fact() {
  const auto watch = MmapWatch::open(1);
  const std::string level = read_line("/proc/sys/kernel/perf_event_paranoid");
  const std::string paranoid = "perf_event_paranoid " + level;
  if (watch) return {"process watch", kOk, paranoid, {}};
  if (level.size() == 1 && level > "2")
    return {"process watch", kDegraded, paranoid + ", " + watch.error().message,
            "Debian's kernels then want CAP_SYS_ADMIN instead of CAP_PERFMON: sysctl "
            "kernel.perf_event_paranoid=2"};
  return {"process watch", kDegraded, paranoid + ", " + watch.error().message,
          "without CAP_PERFMON new processes are found a second late and their first calls are missed"};
}

// Which way each thing is done here; the README's table of kernels is made of these rows.
void add_features(std::vector<DoctorFact>& facts, const Features& features) {
  const auto row = [&](std::string name, bool best, std::string detail, std::string otherwise,
                       std::string advice) {
    facts.push_back({std::move(name), best ? kOk : kDegraded, best ? std::move(detail) : std::move(otherwise),
                     best ? std::string() : std::move(advice)});
  };
  row("BPF programs", features.callbacks, "all", "the build for kernels before 5.17",
      "of one call at most 6 MiB are copied, the rest is a counted gap");
  row("uprobe_multi", features.uprobe_multi, "one link for many places",
      features.callbacks ? "one perf event per place" : "one perf event per place, one program per function",
      "Linux 6.6 attaches and detaches all places at once; each takes 0.1 s here");
  if (!features.uprobe_multi && perf_uprobes_refused())
    facts.push_back({"uprobes", kMissing,
                     "refused: this kernel gives a perf event of this kind to CAP_SYS_ADMIN alone",
                     "grant CAP_SYS_ADMIN, or only plain HTTP is seen; Linux 6.6 needs CAP_PERFMON only"});
  row("uprobe session", features.sessions, "one link for entry and return", "entry and return apart",
      "Linux 6.13 lets connections that are not read skip the return probe");
  row("records", features.exact_records, "exact size", "size classes",
      "Linux 6.16 reserves what a call needs; here it is rounded up, so the ring fills sooner");
  row("system calls", features.tracefs, "one tracepoint each", "one program at every system call",
      "tracefs cannot be read (not mountable, or lockdown=confidentiality); other system calls pay a little");
  row("maps", features.growing_maps, "memory as needed", "all memory at start",
      "Linux 6.1 lets maps grow safely; here at most 32768 connections and 16384 threads are followed");
  const bool none = features.kernel_reads == KernelReads::kNone;
  row("kernel reads", features.kernel_reads == KernelReads::kChecked, "loads that the verifier checks",
      none ? "none" : "bpf_probe_read_kernel",
      none ? "lockdown refuses them before Linux 6.2: plain HTTP is not seen, TLS connections have no "
             "addresses"
           : "Linux 6.2 needs no helper, so that lockdown=confidentiality takes nothing away");
}

}  // namespace

std::pair<int, int> parse_kernel_release(std::string_view release) {
  int major = 0, minor = 0;
  const char* const end = release.data() + release.size();
  const auto first = std::from_chars(release.data(), end, major);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != '.') return {0, 0};
  if (std::from_chars(first.ptr + 1, end, minor).ec != std::errc()) return {0, 0};
  return {major, minor};
}

std::vector<DoctorFact> collect_doctor_facts() {
  // libbpf prints what a probing load is refused for; that is the answer here, not news.
  const libbpf_print_fn_t print = ::libbpf_set_print(nullptr);
  std::vector<DoctorFact> facts;
  facts.push_back(kernel_fact());
  facts.push_back(btf_fact());
  for (DoctorFact& fact : capability_facts()) facts.push_back(std::move(fact));
  facts.push_back(
      mount_fact("bpffs", {"/sys/fs/bpf"}, kBpfFsMagic, "only needed to keep maps across restarts"));
  facts.push_back(lockdown_fact());
  facts.push_back(perf_fact());
  add_features(facts, probe_features());
  ::libbpf_set_print(print);
  return facts;
}

}  // namespace llmtap
