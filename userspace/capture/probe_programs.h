// SPDX-License-Identifier: Apache-2.0
// The BPF programs and maps in the kernel, in the build and the variants that its features ask for.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "capture/features.h"
#include "capture/probe.h"

struct bpf_map;
struct bpf_object;
struct bpf_program;

namespace llmtap {

// Without the mark of those that are not loaded unless asked for.
std::string_view section_of(const bpf_program* program);
// Of a program at a tracepoint; bpf/lib/copies.bpf.h says what for.
bool is_copy(const bpf_program* program);
// The name of the program that it is a copy of; empty: of none.
std::string_view original_of(const bpf_program* copy);

class ProbePrograms {
 public:
  static Result<ProbePrograms> load(const ProbeOptions& options, const Features& features);

  bpf_object* object = nullptr;
  bpf_map *events = nullptr, *verdicts = nullptr, *process_flags = nullptr, *lost = nullptr,
          *byte_books = nullptr, *conn_by_key = nullptr, *thread_by_id = nullptr, *file_hits = nullptr;
  std::span<uint8_t> processes_flagged;  // in memory shared with the programs, as the next ones
  uint32_t* switchers_seen = nullptr;
  uint32_t* reader_state = nullptr;
  uint32_t* refuse_new_connections = nullptr;
  unsigned long long* urgent_wakeups = nullptr;
  unsigned long long *conns_made = nullptr, *conns_ended = nullptr;

  // By HookKind: the entry program of a kind. One for all where the kernel has attach cookies.
  std::array<bpf_program*, 17> tls_enter{};
  bpf_program* tls_return = nullptr;
  bpf_program* tls_session = nullptr;  // instead of the others, where the kernel has sessions

 private:
  template <typename Skeleton, typename Open, typename Load, typename Destroy>
  Result<> load_build(const ProbeOptions& options, const Features& features, Open open_it, Load load_it,
                      Destroy destroy_it);
  std::shared_ptr<void> skeleton_;
};

}  // namespace llmtap
