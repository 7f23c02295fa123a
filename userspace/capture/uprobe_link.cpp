// SPDX-License-Identifier: Apache-2.0
#include "capture/uprobe_link.h"

#include <bpf/libbpf.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

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

Result<std::unique_ptr<UprobeLink>> attach_multi(bpf_program* entry, bpf_program* returning,
                                                 const std::string& path,
                                                 std::span<const UprobePlace> places) {
  // Entries first: a return without its entry would be counted as a loss.
  Link entries = LLMTAP_TRY(attach_side(entry, path, places, false));
  Link returns = LLMTAP_TRY(attach_side(returning, path, places, true));
  return std::unique_ptr<UprobeLink>(std::make_unique<MultiLink>(std::move(entries), std::move(returns)));
}

}  // namespace llmtap
