// SPDX-License-Identifier: Apache-2.0
#include "capture/process_flags.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>

namespace llmtap {
namespace {

constexpr uint64_t kChangesToTidy = 1024;

template <typename Use>
void each_key(int map, Use use) {
  uint32_t tgid = 0;
  for (const uint32_t* previous = nullptr; bpf_map_get_next_key(map, previous, &tgid) == 0; previous = &tgid)
    use(tgid);
}

}  // namespace

ProcessFlags::ProcessFlags(const ProbePrograms& programs)
    : map_(bpf_map__fd(programs.process_flags)),
      slots_(programs.processes_flagged),
      switchers_(programs.switchers_seen) {}

template <typename Change>
Result<> ProcessFlags::change(uint32_t tgid, Change change) {
  Entry entry{};
  if (bpf_map_lookup_elem(map_, &tgid, &entry) != 0) entry = {};
  change(entry);
  if (bpf_map_update_elem(map_, &tgid, &entry, BPF_ANY) != 0)
    return Error{"flag process " + std::to_string(tgid) + ": " + std::strerror(errno)};
  // Else the next with this number would have them: what exits now takes them along by itself.
  if (!proc_.start_ns(tgid)) {
    bpf_map_delete_elem(map_, &tgid);
    return Error{"flag process " + std::to_string(tgid) + ": it is gone"};
  }
  std::atomic_ref(slot(tgid)).store(1, std::memory_order_seq_cst);
  if (++changes_ % kChangesToTidy == 0) tidy_slots();
  return Ok{};
}

// Of processes that are gone: a slot that says "perhaps" costs every call of those that share it.
void ProcessFlags::tidy_slots() {
  for (uint8_t& slot : slots_) std::atomic_ref(slot).store(0, std::memory_order_seq_cst);
  each_key(map_, [&](uint32_t tgid) { std::atomic_ref(slot(tgid)).store(1, std::memory_order_seq_cst); });
}

Result<> ProcessFlags::set(uint32_t tgid, Flag flag) {
  return change(tgid, [&](Entry& entry) { entry.flags |= flag; });
}

UprobeAttacher::Told ProcessFlags::count_link(uint32_t tgid, uint8_t file, CountedLink link) {
  const uint64_t bit = uint64_t{1} << file;
  const auto changed = change(tgid, [&](Entry& entry) {
    entry.own_links = link == CountedLink::kOwn ? entry.own_links | bit : entry.own_links & ~bit;
    entry.both_links = link == CountedLink::kBoth ? entry.both_links | bit : entry.both_links & ~bit;
  });
  if (changed) return UprobeAttacher::Told::kYes;
  return proc_.start_ns(tgid) ? UprobeAttacher::Told::kRefused : UprobeAttacher::Told::kGone;
}

void ProcessFlags::each_new_switcher(const std::function<void(uint32_t)>& tell) {
  const uint32_t seen = std::atomic_ref<uint32_t>(*switchers_).load(std::memory_order_relaxed);
  if (seen == switchers_told_) return;
  switchers_told_ = seen;
  each_key(map_, [&](uint32_t tgid) {
    Entry entry{};
    if (bpf_map_lookup_elem(map_, &tgid, &entry) == 0 && (entry.flags & kSwitches) != 0) tell(tgid);
  });
}

}  // namespace llmtap
