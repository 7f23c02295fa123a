// SPDX-License-Identifier: Apache-2.0
// Attaches programs that do nothing at the places where llmtap attaches its own:
// bench_empty_probe LIBSSL [--exported | --syscalls-only]. Prints "ready" and runs until its input ends.
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "capture/elf_file.h"
#include "capture/tls/runtimes.h"
#include "empty.skel.h"

namespace {

using llmtap::HookPlace;
using llmtap::UprobeKind;

struct SkeletonDeleter {
  void operator()(empty* skeleton) const { empty__destroy(skeleton); }
};
struct LinkDeleter {
  void operator()(bpf_link* link) const { bpf_link__destroy(link); }
};
using Link = std::unique_ptr<bpf_link, LinkDeleter>;

Link attach_places(bpf_program* program, const std::string& path, const std::vector<unsigned long>& offsets,
                   bool returning) {
  LIBBPF_OPTS(bpf_uprobe_multi_opts, options);
  options.offsets = offsets.data();
  options.cnt = offsets.size();
  options.retprobe = returning;
  return Link(bpf_program__attach_uprobe_multi(program, -1, path.c_str(), nullptr, &options));
}

// A tool that hooks the functions by name, without a look at their first instructions.
Link attach_exported(bpf_program* program, const std::string& path, bool returning) {
  const char* names[] = {"SSL_read", "SSL_write", "SSL_read_ex", "SSL_write_ex"};
  LIBBPF_OPTS(bpf_uprobe_multi_opts, options);
  options.syms = names;
  options.cnt = std::size(names);
  options.retprobe = returning;
  return Link(bpf_program__attach_uprobe_multi(program, -1, path.c_str(), nullptr, &options));
}

int fail(const std::string& what) {
  std::fprintf(stderr, "bench_empty_probe: %s\n", what.c_str());
  return 1;
}

int run(const std::string& path, std::string_view mode) {
  std::unique_ptr<empty, SkeletonDeleter> skeleton(empty__open_and_load());
  if (!skeleton) return fail("cannot load the programs");
  std::vector<Link> links;
  if (mode == "--exported") {
    links.push_back(attach_exported(skeleton->progs.empty_entry, path, false));
    links.push_back(attach_exported(skeleton->progs.empty_return, path, true));
  } else if (mode != "--syscalls-only") {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail("cannot open " + path);
    const llmtap::FdSource source(fd);
    const auto elf = llmtap::ElfFile::open(source);
    if (!elf) return fail(elf.error().message);
    const auto plan = llmtap::plan_openssl(*elf);
    if (!plan) return fail(plan.error().message);
    std::vector<unsigned long> entries, returns;
    for (const HookPlace& place : plan->places) (place.is_return ? returns : entries).push_back(place.offset);
    links.push_back(attach_places(skeleton->progs.empty_entry, path, entries, false));
    links.push_back(attach_places(skeleton->progs.empty_return, path, returns, true));
  }
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, skeleton->obj) {
    if (std::string_view(bpf_program__section_name(program)).starts_with("tracepoint/"))
      links.emplace_back(bpf_program__attach(program));
  }
  for (const Link& link : links)
    if (!link) return fail("cannot attach");
  std::puts("ready");
  std::fflush(stdout);
  char byte = 0;
  while (::read(STDIN_FILENO, &byte, 1) > 0) {
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return fail("usage: bench_empty_probe LIBSSL [--exported | --syscalls-only]");
  return run(argv[1], argc > 2 ? argv[2] : "");
}
