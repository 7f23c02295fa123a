// SPDX-License-Identifier: Apache-2.0
#include "capture/uprobe_link.h"

#include <bpf/libbpf.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#include "capture/kernel_link.h"
#include "capture/unique_fd.h"

namespace llmtap {
namespace {

struct LinkDelete {
  void operator()(bpf_link* link) const { bpf_link__destroy(link); }
};
using Link = std::unique_ptr<bpf_link, LinkDelete>;

// Destruction waits for the kernel's grace periods, side by side.
class PerfLinks : public UprobeLink {
 public:
  ~PerfLinks() override {
    drop(true);  // no entry stays unpaired
    drop(false);
  }
  void add(Link link, bool returns) { (returns ? returning_ : entries_).push_back(std::move(link)); }

 private:
  void drop(bool returns) {
    std::vector<std::jthread> threads;
    for (Link& link : returns ? returning_ : entries_) threads.emplace_back([&link] { link.reset(); });
  }
  std::vector<Link> entries_, returning_;
};

class MultiLink : public UprobeLink {
 public:
  MultiLink(Link first, Link second) : first_(std::move(first)), second_(std::move(second)) {}

 private:
  Link first_, second_;  // as they were attached; destroyed in reverse
};

class SessionLink : public UprobeLink {
 public:
  explicit SessionLink(UniqueFd link) : link_(std::move(link)) {}

 private:
  UniqueFd link_;
};

// LLMTAP_COOKIE_… of bpf/lib/hook_kinds.h.
uint64_t cookie_of(const UprobePlace& place, const LinkReach& reach) {
  return static_cast<uint64_t>(place.kind) | uint64_t{reach.file} << 8 |
         (reach.tgid != 0 ? uint64_t{1} << 16 : 0) | uint64_t{reach.epoch} << 32;
}

Result<std::unique_ptr<UprobeLink>> attach_session(int program, const std::string& path,
                                                   std::span<const UprobePlace> places,
                                                   const LinkReach& reach) {
  std::vector<uint64_t> offsets, cookies;
  for (const UprobePlace& place : places) {
    if (place.is_return) continue;
    offsets.push_back(place.offset);
    cookies.push_back(cookie_of(place, reach));
  }
  UniqueFd link = create_uprobe_link({.program = program,
                                      .attach_type = kTraceUprobeSession,
                                      .path = path.c_str(),
                                      .offsets = offsets,
                                      .cookies = cookies,
                                      .tgid = reach.tgid});
  if (!link)
    return Error{"attach " + std::to_string(offsets.size()) + " probes to " + path + ": " +
                 std::strerror(errno)};
  return std::unique_ptr<UprobeLink>(std::make_unique<SessionLink>(std::move(link)));
}

Result<Link> attach_side(bpf_program* program, const std::string& path, std::span<const UprobePlace> places,
                         const LinkReach& reach, bool returns) {
  std::vector<unsigned long> offsets;
  std::vector<__u64> cookies;
  for (const UprobePlace& place : places) {
    if (place.is_return != returns) continue;
    offsets.push_back(place.offset);
    cookies.push_back(cookie_of(place, reach));
  }
  if (offsets.empty()) return Link{};
  LIBBPF_OPTS(bpf_uprobe_multi_opts, options);
  options.offsets = offsets.data();
  options.cookies = cookies.data();
  options.cnt = offsets.size();
  options.retprobe = returns;
  const pid_t pid = reach.tgid ? static_cast<pid_t>(reach.tgid) : -1;
  bpf_link* link = bpf_program__attach_uprobe_multi(program, pid, path.c_str(), nullptr, &options);
  if (!link) {
    const int error = errno;
    Error result{"attach " + std::to_string(offsets.size()) + (returns ? " return" : " entry") +
                 " probes to " + path + ": " + std::strerror(error)};
    if (error == EINVAL)
      result.hint = "the kernel is older than 6.6, or an offset is not inside the file's code";
    return result;
  }
  return Link(link);
}

Result<std::unique_ptr<UprobeLink>> attach_multi(const UprobePrograms& programs, const std::string& path,
                                                 std::span<const UprobePlace> places,
                                                 const LinkReach& reach) {
  // A return of a process's own link without its entry is the shared link's; an entry without its return
  // would take the call from that.
  if (reach.tgid != 0) {
    Link returns = LLMTAP_TRY(attach_side(programs.returning, path, places, reach, true));
    Link entries = LLMTAP_TRY(attach_side(programs.enter.front(), path, places, reach, false));
    return std::unique_ptr<UprobeLink>(std::make_unique<MultiLink>(std::move(returns), std::move(entries)));
  }
  // Entries first: a return without its entry would be counted as a loss.
  Link entries = LLMTAP_TRY(attach_side(programs.enter.front(), path, places, reach, false));
  Link returns = LLMTAP_TRY(attach_side(programs.returning, path, places, reach, true));
  return std::unique_ptr<UprobeLink>(std::make_unique<MultiLink>(std::move(entries), std::move(returns)));
}

Result<Link> attach_perf(const UprobePrograms& programs, const std::string& path, const UprobePlace& place) {
  const size_t kind = static_cast<size_t>(place.kind);
  bpf_program* const program = place.is_return                ? programs.returning
                               : kind < programs.enter.size() ? programs.enter[kind]
                                                              : nullptr;
  if (!program) return Error{"attach to " + path + ": no program of kind " + std::to_string(kind)};
  // Where one program serves all kinds the kernel has cookies; a kernel without refuses one.
  const bool one_for_all = programs.enter.front() != nullptr;
  LIBBPF_OPTS(bpf_uprobe_opts, options);
  options.bpf_cookie = one_for_all ? kind : 0;
  options.retprobe = place.is_return;
  bpf_link* const link = bpf_program__attach_uprobe_opts(program, -1, path.c_str(), place.offset, &options);
  if (!link)
    return Error{"attach to offset " + std::to_string(place.offset) + " of " + path + ": " +
                 std::strerror(errno)};
  return Link(link);
}

}  // namespace

Result<std::unique_ptr<UprobeLink>> attach_places(const UprobePrograms& programs, const std::string& path,
                                                  std::span<const UprobePlace> places,
                                                  const LinkReach& reach) {
  if (programs.session) return attach_session(bpf_program__fd(programs.session), path, places, reach);
  if (programs.multi) return attach_multi(programs, path, places, reach);
  if (reach.tgid != 0) return Error{"attach to one process: this kernel's links do not know how"};
  auto links = std::make_unique<PerfLinks>();
  for (const bool returns : {false, true}) {  // entries first, as above
    for (const UprobePlace& place : places)
      if (place.is_return == returns) links->add(LLMTAP_TRY(attach_perf(programs, path, place)), returns);
  }
  return std::unique_ptr<UprobeLink>(std::move(links));
}

}  // namespace llmtap
