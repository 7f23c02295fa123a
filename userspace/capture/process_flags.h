// SPDX-License-Identifier: Apache-2.0
// What the BPF programs are to know of a process: an entry in their map, and a byte of memory shared with
// them that saves the look-up for processes without one. Any thread, one at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "capture/attacher.h"
#include "capture/probe_programs.h"
#include "capture/process_facts.h"

namespace llmtap {

class ProcessFlags {
 public:
  enum Flag : uint64_t {  // LLMTAP_PROCESS_… of bpf/lib/maps.bpf.h
    kExcluded = 1,
    kSwitches = 2,
    kEvident = 4,
  };

  explicit ProcessFlags(const ProbePrograms& programs);

  // An error for a process that is gone.
  Result<> set(uint32_t tgid, Flag flag);
  UprobeAttacher::Told count_link(uint32_t tgid, uint8_t file, CountedLink link);
  // Each process that was ever seen to run several stacks on one thread, if there is one more than at the
  // last call.
  void each_new_switcher(const std::function<void(uint32_t)>& tell);

 private:
  struct Entry {
    uint64_t flags, own_links, both_links;  // struct process_flags
  };
  template <typename Change>
  Result<> change(uint32_t tgid, Change change);
  uint8_t& slot(uint32_t tgid) { return slots_[tgid % slots_.size()]; }
  void tidy_slots();

  int map_;
  std::span<uint8_t> slots_;
  uint32_t* switchers_;
  uint32_t switchers_told_ = 0;
  uint64_t changes_ = 0;
  ProcFs proc_;
};

}  // namespace llmtap
