// SPDX-License-Identifier: Apache-2.0
// Attaches programs that do nothing: bench_empty_probe WHERE [FILE]. Prints "ready" and runs until its
// input ends. WHERE:
//
//   places FILE    every hook of llmtap: its system calls and tracepoints, and in the TLS library FILE the
//                  places that llmtap chooses
//   hooks          the system calls and tracepoints only
//   raw_hooks      the same as llmtap has them without tracefs: every system call, at one place for all
//   exported FILE  entry and return of the exported functions, without a look at their first instruction
//   push FILE      entry and return of bench_push_target in FILE
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "capture/elf_file.h"
#include "capture/tls/runtimes.h"
#include "capture/tracepoint_link.h"
#include "empty.skel.h"
#include "probe.skel.h"

namespace llmtap {
namespace {

struct SkeletonDeleter {
  void operator()(empty* skeleton) const { empty__destroy(skeleton); }
  void operator()(probe* skeleton) const { probe__destroy(skeleton); }
};
struct LinkDeleter {
  void operator()(bpf_link* link) const { bpf_link__destroy(link); }
};
using Empty = std::unique_ptr<empty, SkeletonDeleter>;
using Link = std::unique_ptr<bpf_link, LinkDeleter>;

std::string starts_after(std::string_view text, std::string_view prefix) {
  return std::string(text.starts_with(prefix) ? text.substr(prefix.size()) : "");
}

// What llmtap's own object hooks beside functions, "syscalls/sys_enter_read", and by BTF. Without tracefs
// (`raw`) two programs by BTF at all system calls stand for those at single ones.
struct Hooks {
  std::vector<std::string> tracepoints, btf;

  static Result<Hooks> of_llmtap(bool raw) {
    const std::unique_ptr<probe, SkeletonDeleter> skeleton(probe__open());
    if (!skeleton) return Error{"cannot open llmtap's programs"};
    Hooks hooks;
    bpf_program* program = nullptr;
    while ((program = bpf_object__next_program(skeleton->obj, program))) {
      if (!bpf_program__autoload(program)) continue;
      const std::string_view section = bpf_program__section_name(program);
      if (auto name = starts_after(section, "tracepoint/"); !name.empty() && !raw)
        hooks.tracepoints.push_back(name);
      if (auto name = starts_after(section, "tp_btf/"); !name.empty() && (raw || !name.starts_with("sys_")))
        hooks.btf.push_back(name);
    }
    return hooks;
  }
};

Result<Empty> load(std::span<const std::string> btf_targets, std::vector<bpf_program*>& btf_programs) {
  Empty skeleton(empty__open());
  if (!skeleton) return Error{"cannot open the programs"};
  bpf_program* program = nullptr;
  while ((program = bpf_object__next_program(skeleton->obj, program))) {
    if (std::string_view(bpf_program__section_name(program)) != "?tp_btf" &&
        std::string_view(bpf_program__section_name(program)) != "tp_btf")
      continue;
    if (btf_programs.size() == btf_targets.size()) break;
    if (bpf_program__set_attach_target(program, 0, btf_targets[btf_programs.size()].c_str()) != 0)
      return Error{"no tracepoint " + btf_targets[btf_programs.size()]};
    bpf_program__set_autoload(program, true);
    btf_programs.push_back(program);
  }
  if (btf_programs.size() != btf_targets.size()) return Error{"empty.bpf.c has too few tp_btf programs"};
  if (empty__load(skeleton.get()) != 0)
    return Error{std::string("cannot load the programs: ") + std::strerror(errno)};
  return skeleton;
}

Result<Link> attach_at(bpf_program* program, const std::string& path, std::span<const unsigned long> offsets,
                       bool returning) {
  LIBBPF_OPTS(bpf_uprobe_multi_opts, options);
  options.offsets = offsets.data();
  options.cnt = offsets.size();
  options.retprobe = returning;
  Link link(bpf_program__attach_uprobe_multi(program, -1, path.c_str(), nullptr, &options));
  if (!link) return Error{"cannot attach to " + path + ": " + std::strerror(errno)};
  return link;
}

struct Places {
  std::vector<unsigned long> entries, returns;
};

Result<Places> places_in(const std::string& path, std::string_view where) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Error{"cannot open " + path};
  const FdSource source(fd);
  const ElfFile elf = LLMTAP_TRY(ElfFile::open(source));
  Places places;
  if (where == "places") {
    const HookPlan plan = LLMTAP_TRY(plan_openssl(elf));
    for (const HookPlace& place : plan.places)
      (place.is_return ? places.returns : places.entries).push_back(place.offset);
  } else {
    constexpr std::array<std::string_view, 4> kExported{"SSL_read", "SSL_write", "SSL_read_ex",
                                                        "SSL_write_ex"};
    constexpr std::array<std::string_view, 1> kPush{"bench_push_target"};
    const auto functions = where == "push" ? elf.symtab_functions(kPush) : elf.dynamic_functions(kExported);
    for (const auto& [name, symbol] : functions)
      if (const auto offset = elf.code_offset(symbol.address)) places.entries.push_back(*offset);
    places.returns = places.entries;
  }
  ::close(fd);
  if (places.entries.empty()) return Error{"nothing to hook in " + path};
  return places;
}

Result<> run(std::string_view where, const std::string& path) {
  const bool raw = where == "raw_hooks", hooks_only = raw || where == "hooks";
  const Hooks hooks = hooks_only || where == "places" ? LLMTAP_TRY(Hooks::of_llmtap(raw)) : Hooks{};
  std::vector<bpf_program*> btf_programs;
  const Empty skeleton = LLMTAP_TRY(load(hooks.btf, btf_programs));
  std::vector<Link> links;
  if (!hooks_only) {
    const Places places = LLMTAP_TRY(places_in(path, where));
    links.push_back(LLMTAP_TRY(attach_at(skeleton->progs.empty_entry, path, places.entries, false)));
    links.push_back(LLMTAP_TRY(attach_at(skeleton->progs.empty_return, path, places.returns, true)));
  }
  if (!hooks.tracepoints.empty()) {
    const TraceFs tracefs = LLMTAP_TRY(TraceFs::open());
    for (const std::string& name : hooks.tracepoints)
      links.emplace_back(LLMTAP_TRY(tracefs.attach(skeleton->progs.empty_tracepoint, name)));
  }
  for (bpf_program* program : btf_programs) {
    links.emplace_back(bpf_program__attach(program));
    if (!links.back()) return Error{std::string("cannot attach ") + bpf_program__name(program)};
  }
  std::puts("ready");
  std::fflush(stdout);
  char byte = 0;
  while (::read(STDIN_FILENO, &byte, 1) > 0) {
  }
  return Ok{};
}

}  // namespace
}  // namespace llmtap

int main(int argc, char** argv) {
  const auto result = argc < 2 ? llmtap::Result<>(llmtap::Error{
                                     "usage: bench_empty_probe places|hooks|raw_hooks|exported|push [FILE]"})
                               : llmtap::run(argv[1], argc > 2 ? argv[2] : "");
  if (result) return 0;
  std::fprintf(stderr, "bench_empty_probe: %s\n", result.error().message.c_str());
  return 1;
}
