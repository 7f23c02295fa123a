// SPDX-License-Identifier: Apache-2.0
#include "capture/hook_links.h"

#include <bpf/libbpf.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "capture/tracepoint_link.h"

namespace llmtap {

void HookLinks::LinkDelete::operator()(bpf_link* link) const { bpf_link__destroy(link); }

HookLinks::~HookLinks() {
  std::ranges::move(calls_, std::back_inserter(lives_));
  detach_all(lives_);
}

Result<> HookLinks::attach(const ProbePrograms& programs, const Features& features) {
  return attach_some(programs, features, false);
}

Result<> HookLinks::attach_calls(const ProbePrograms& programs, const Features& features) {
  return attach_some(programs, features, true);
}

void HookLinks::detach_calls() {
  detach_all(calls_);
  calls_.clear();
}

Result<> HookLinks::attach_some(const ProbePrograms& programs, const Features& features, bool only_calls) {
  std::optional<TraceFs> tracefs;
  if (features.tracefs) tracefs.emplace(LLMTAP_TRY(TraceFs::open()));
  bpf_program* program = nullptr;
  while ((program = bpf_object__next_program(programs.object, program))) {
    const std::string_view section = section_of(program);
    constexpr std::string_view kTracepoint = "tracepoint/";
    bpf_link* link = nullptr;
    const bool call = section.starts_with(kTracepoint) || section.starts_with("tp_btf/sys_");
    if (!bpf_program__autoload(program) || (only_calls && !call)) {
      continue;
    } else if (section.starts_with(kTracepoint)) {
      link = LLMTAP_TRY(tracefs->attach(program, std::string(section.substr(kTracepoint.size()))));
    } else if (section.starts_with("tp_btf/")) {
      link = bpf_program__attach_trace(program);
      if (!link) return Error{"attach " + std::string(section) + ": " + std::strerror(errno)};
    } else {
      continue;
    }
    (call ? calls_ : lives_).emplace_back(link);
  }
  return Ok{};
}

// Each detach waits for the kernel's grace periods; waiting side by side costs little more than one.
void HookLinks::detach_all(Links& links) {
  std::atomic<size_t> next = 0;
  std::vector<std::jthread> threads;
  for (size_t i = 0; i < std::min<size_t>(links.size(), 16); ++i)
    threads.emplace_back([&] {
      for (size_t at = 0; (at = next.fetch_add(1)) < links.size();) links[at].reset();
    });
}

}  // namespace llmtap
