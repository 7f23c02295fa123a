// SPDX-License-Identifier: Apache-2.0
#include "capture/kernel_books.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <map>
#include <string_view>

namespace llmtap {
namespace {

// As bpf/lib/maps.bpf.h lays them out.
struct LostCount {
  uint64_t events, bytes;
};
struct ByteBook {
  uint64_t passed, captured, left_out;
};
using FileHits = std::array<uint64_t, LinkReach::kFiles>;

template <typename Count>
std::vector<Count> per_cpu(int map, uint32_t key, size_t cpus) {
  std::vector<Count> counts(cpus);
  if (bpf_map_lookup_elem(map, &key, counts.data()) != 0) counts.clear();
  return counts;
}

}  // namespace

KernelBooks::KernelBooks(const ProbePrograms& programs)
    : object_(programs.object),
      lost_(bpf_map__fd(programs.lost)),
      byte_books_(bpf_map__fd(programs.byte_books)),
      file_hits_(bpf_map__fd(programs.file_hits)),
      cpus_(static_cast<size_t>(std::max(1, libbpf_num_possible_cpus()))) {}

KernelBooks::Lost KernelBooks::lost() const {
  Lost sum{};
  for (uint32_t reason = 0; reason < LLMTAP_LOST_MAX; ++reason) {
    for (const LostCount& count : per_cpu<LostCount>(lost_, reason, cpus_)) {
      sum[reason].events += count.events;
      sum[reason].bytes += count.bytes;
    }
  }
  return sum;
}

ProbeStatistics::ByteBook KernelBooks::bytes() const {
  ProbeStatistics::ByteBook sum;
  for (const ByteBook& book : per_cpu<ByteBook>(byte_books_, 0, cpus_)) {
    sum.passed += book.passed;
    sum.captured += book.captured;
    sum.left_out += book.left_out;
  }
  return sum;
}

KernelBooks::Balance KernelBooks::balance() const {
  Balance balance;
  // Calls go on meanwhile: read until none came between.
  for (int tries = 0; tries < 5; ++tries) {
    const uint64_t before = bytes().passed;
    balance.lost = lost();
    balance.bytes = bytes();
    if (balance.bytes.passed == before) break;
  }
  return balance;
}

std::array<uint64_t, LinkReach::kFiles> KernelBooks::file_hits() const {
  FileHits sum{};
  for (const FileHits& hits : per_cpu<FileHits>(file_hits_, 0, cpus_))
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += hits[i];
  return sum;
}

std::vector<RunTime> KernelBooks::run_times() const {
  std::vector<RunTime> times;
  bpf_program* program = nullptr;
  while ((program = bpf_object__next_program(object_, program))) {
    bpf_prog_info info{};
    __u32 size = sizeof(info);
    const int fd = bpf_program__fd(program);
    if (fd < 0 || bpf_prog_get_info_by_fd(fd, &info, &size) != 0) info = {};
    times.push_back({.ns = info.run_time_ns, .runs = info.run_cnt});
  }
  return times;
}

uint64_t KernelBooks::skipped_runs() const {
  std::map<std::string_view, uint64_t> skipped;
  bpf_program* program = nullptr;
  while ((program = bpf_object__next_program(object_, program))) {
    bpf_prog_info info{};
    __u32 size = sizeof(info);
    const int fd = bpf_program__fd(program);
    if (fd < 0 || bpf_prog_get_info_by_fd(fd, &info, &size) != 0) continue;
    const std::string_view original = original_of(program);
    const auto entry =
        skipped.try_emplace(original.empty() ? bpf_program__name(program) : original, info.recursion_misses);
    entry.first->second = std::min<uint64_t>(entry.first->second, info.recursion_misses);
  }
  uint64_t sum = 0;
  for (const auto& [name, count] : skipped) sum += count;
  return sum;
}

}  // namespace llmtap
