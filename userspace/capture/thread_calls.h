// SPDX-License-Identifier: Apache-2.0
// Which threads are inside a TLS call, as the kernel side keeps it with each thread.
#pragma once

#include <cstddef>
#include <cstdint>

struct bpf_map;
struct bpf_object;

namespace llmtap {

class ThreadCalls {
 public:
  ThreadCalls() = default;
  ThreadCalls(const bpf_object* object, const bpf_map* map);

  // Whether some thread of the process is in a call that a link of it alone (`own`), or of all processes, saw
  // begin since a time (CLOCK_MONOTONIC). True also if that cannot be known: the map has no threads as keys
  // (before Linux 5.17), or a thread cannot be named (before 6.9).
  bool in_call(uint32_t tgid, bool own, uint64_t since_ns) const;

 private:
  int map_ = -1;
  size_t value_bytes_ = 0, call_bytes_ = 0, calls_ = 0;
  struct {
    size_t calls = 0, sp = 0, own = 0, entry_time_ns = 0;
  } at_;  // offsets: in the thread, in a call
};

}  // namespace llmtap
