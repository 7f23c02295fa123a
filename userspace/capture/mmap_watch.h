// SPDX-License-Identifier: Apache-2.0
// Tells when a process maps a file executable, executes, forks or exits: side-band records of dummy
// perf events, one per CPU. No BPF, no tracefs, works under lockdown.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "capture/process_facts.h"

namespace llmtap {

struct WatchEvent {
  enum class Kind : uint8_t { kMap, kExec, kFork, kExit };
  Kind kind = Kind::kMap;
  uint32_t tgid = 0;
  uint32_t parent_tgid = 0;  // kFork
  FileKey file;              // kMap
  uint64_t inode_generation = 0;
  bool operator==(const WatchEvent&) const = default;
};

// One record as the kernel wrote it; `lost` grows by what a LOST record says.
std::optional<WatchEvent> parse_watch_record(std::span<const std::byte> record, uint64_t& lost);

class MmapWatch {
 public:
  static Result<MmapWatch> open(size_t ring_pages);
  MmapWatch(MmapWatch&&) noexcept = default;
  MmapWatch& operator=(MmapWatch&&) noexcept = default;

  // CPUs that came online since; false if there was none.
  bool open_missing_cpus();
  std::vector<int> fds() const;
  // Appends what is there. Events of different CPUs are not in order.
  void drain(std::vector<WatchEvent>& events);
  uint64_t lost() const { return lost_; }

 private:
  class Ring;
  struct RingDeleter {
    void operator()(Ring*) const;
  };
  explicit MmapWatch(size_t ring_pages) : ring_pages_(ring_pages) {}
  Result<> open_cpu(int cpu);

  size_t ring_pages_;
  std::map<int, std::unique_ptr<Ring, RingDeleter>> rings_;
  uint64_t lost_ = 0;
};

}  // namespace llmtap
