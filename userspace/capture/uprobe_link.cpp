// SPDX-License-Identifier: Apache-2.0
#include "capture/uprobe_link.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "capture/unique_fd.h"

namespace llmtap {
namespace {

struct LinkDelete {
  void operator()(bpf_link* link) const { bpf_link__destroy(link); }
};
using Link = std::unique_ptr<bpf_link, LinkDelete>;

class MultiLink : public UprobeLink {
 public:
  MultiLink(Link entry, Link returning) : entry_(std::move(entry)), returning_(std::move(returning)) {}

 private:
  Link entry_, returning_;  // destroyed in reverse: returns first
};

// The kernel's own layout (union bpf_attr, link_create.uprobe_multi): older libraries and headers do
// not know the session type.
struct LinkRequest {
  uint32_t program, target, attach_type, flags;
  uint64_t path, offsets, ref_ctr_offsets, cookies;
  uint32_t count, multi_flags, pid, pad;
};

UniqueFd create_link(const LinkRequest& request) {
  return UniqueFd(static_cast<int>(::syscall(SYS_bpf, BPF_LINK_CREATE, &request, sizeof(request))));
}

class SessionLink : public UprobeLink {
 public:
  explicit SessionLink(UniqueFd link) : link_(std::move(link)) {}

 private:
  UniqueFd link_;
};

Result<Link> attach_side(bpf_program* program, const std::string& path, std::span<const UprobePlace> places,
                         bool returns) {
  std::vector<unsigned long> offsets;
  std::vector<__u64> cookies;
  for (const UprobePlace& place : places) {
    if (place.is_return != returns) continue;
    offsets.push_back(place.offset);
    cookies.push_back(static_cast<__u64>(place.kind));
  }
  if (offsets.empty()) return Link{};
  LIBBPF_OPTS(bpf_uprobe_multi_opts, options);
  options.offsets = offsets.data();
  options.cookies = cookies.data();
  options.cnt = offsets.size();
  options.retprobe = returns;
  bpf_link* link = bpf_program__attach_uprobe_multi(program, -1, path.c_str(), nullptr, &options);
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

}  // namespace

UprobeTrial try_uprobe_link(int attach_type) {
  // `r0 = 0; exit`
  const std::array<bpf_insn, 2> code{
      {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
       {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}}};
  LIBBPF_OPTS(bpf_prog_load_opts, options);
  options.expected_attach_type = static_cast<bpf_attach_type>(attach_type);
  const UniqueFd program(
      ::bpf_prog_load(BPF_PROG_TYPE_KPROBE, "llmtap_trial", "GPL", code.data(), code.size(), &options));
  if (!program) return {.loaded = false, .error = errno};
  // A kernel that knows the link type looks up the path before anything else; one that does not, or
  // that took the attach type for an unchecked number, says EINVAL.
  const uint64_t offset = 0;
  LinkRequest request{};
  request.program = static_cast<uint32_t>(program.get());
  request.attach_type = static_cast<uint32_t>(attach_type);
  request.path = reinterpret_cast<uintptr_t>("/");
  request.offsets = reinterpret_cast<uintptr_t>(&offset);
  request.count = 1;
  const UniqueFd link = create_link(request);
  return {.loaded = true, .error = link ? 0 : errno};
}

Result<std::unique_ptr<UprobeLink>> attach_session(int program_fd, const std::string& path,
                                                   std::span<const UprobePlace> places) {
  std::vector<uint64_t> offsets, cookies;
  for (const UprobePlace& place : places) {
    if (place.is_return) continue;
    offsets.push_back(place.offset);
    cookies.push_back(static_cast<uint64_t>(place.kind));
  }
  LinkRequest request{};
  request.program = static_cast<uint32_t>(program_fd);
  request.attach_type = kTraceUprobeSession;
  request.path = reinterpret_cast<uintptr_t>(path.c_str());
  request.offsets = reinterpret_cast<uintptr_t>(offsets.data());
  request.cookies = reinterpret_cast<uintptr_t>(cookies.data());
  request.count = static_cast<uint32_t>(offsets.size());
  UniqueFd link = create_link(request);
  if (!link)
    return Error{"attach " + std::to_string(offsets.size()) + " probes to " + path + ": " +
                 std::strerror(errno)};
  return std::unique_ptr<UprobeLink>(std::make_unique<SessionLink>(std::move(link)));
}

Result<std::unique_ptr<UprobeLink>> attach_multi(bpf_program* entry, bpf_program* returning,
                                                 const std::string& path,
                                                 std::span<const UprobePlace> places) {
  // Entries first: a return without its entry would be counted as a loss.
  Link entries = LLMTAP_TRY(attach_side(entry, path, places, false));
  Link returns = LLMTAP_TRY(attach_side(returning, path, places, true));
  return std::unique_ptr<UprobeLink>(std::make_unique<MultiLink>(std::move(entries), std::move(returns)));
}

}  // namespace llmtap
