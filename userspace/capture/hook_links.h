// SPDX-License-Identifier: Apache-2.0
// The programs at tracepoints: at system calls, and at the lives of sockets and processes.
#pragma once

#include <memory>
#include <vector>

#include "capture/features.h"
#include "capture/probe_programs.h"
#include "llmtap/result.h"

struct bpf_link;

namespace llmtap {

class HookLinks {
 public:
  ~HookLinks();

  // All of the object's that are loaded but for those of `uprobe` sections.
  Result<> attach(const ProbePrograms&, const Features&);
  // At system calls alone: away, and again.
  void detach_calls();
  Result<> attach_calls(const ProbePrograms&, const Features&);

 private:
  struct LinkDelete {
    void operator()(bpf_link* link) const;
  };
  using Links = std::vector<std::unique_ptr<bpf_link, LinkDelete>>;
  Result<> attach_some(const ProbePrograms&, const Features&, bool only_calls);
  static void detach_all(Links& links);

  Links lives_, calls_;
};

}  // namespace llmtap
