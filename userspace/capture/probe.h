// SPDX-License-Identifier: Apache-2.0
// The kernel side, loaded: a live source of events, and the way back for verdicts.
//
// Threads: poll() and set_verdict() belong to the core thread; everything else may be called from
// any thread while the core thread polls.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "capture/attacher.h"
#include "capture/features.h"
#include "llmtap/facts.h"
#include "llmtap/result.h"
#include "llmtap/verdict.h"

namespace llmtap {

// Which function of the OpenSSL API sits at an offset; the same numbers as bpf/lib/hook_kinds.h.
enum class HookKind : uint8_t {
  kRead = 1,     // int (ssl, buf, int num): SSL_read
  kWrite = 2,    // SSL_write
  kReadEx = 3,   // int (ssl, buf, size_t num, size_t* count): SSL_read_ex
  kWriteEx = 4,  // SSL_write_ex; ssl_write_internal up to OpenSSL 3.2
  kWriteFlags =
      5,  // int (ssl, buf, size_t num, flags, size_t* count): SSL_write_ex2; ssl_write_internal from 3.3
  kReadInternal = 6,  // ssl_read_internal
  kHandshake = 7,     // int (ssl): SSL_do_handshake
  kConnect = 8,       // SSL_connect
  kAccept = 9,        // SSL_accept
  kSetFd = 10,        // int (ssl, int fd): SSL_set_fd, _rfd, _wfd; entry only
  kFree = 11,         // void (ssl); entry only
  kShutdown = 12,     // int (ssl); entry only
  kSetConnect = 13,   // SSL_set_connect_state; entry only
  kSetAccept = 14,    // SSL_set_accept_state; entry only
  kReadEarly = 15,    // SSL_read_early_data: the bytes are those of the SSL_read_ex inside
  kWriteEarly = 16,   // SSL_write_early_data
};

// One breakpoint. Kinds that move bytes, and handshakes, need an entry and a return place; the
// return place carries the function's own offset, before the stack pointer changes.
struct UprobePlace {
  uint64_t offset = 0;  // in the file
  HookKind kind = HookKind::kRead;
  bool is_return = false;
};

// Attached probes of one file. Destruction detaches: returns first, so that no entry stays unpaired.
class UprobeLink {
 public:
  virtual ~UprobeLink() = default;
};

struct ProbeOptions {
  size_t ring_bytes = 16 << 20;  // power of two, multiple of the page size
  bool exclude_own_process = true;
  uint64_t turn_cap_bytes = 256 << 20;  // bytes copied of one turn; beyond: LLMTAP_LOST_TOO_LARGE
  bool exact_records = true;            // false: size classes, as on kernels before 6.16
  std::optional<Features> features;     // what the programs may use; unset: probed
  bool every_copy_runs = false;         // for tests: bpf/lib/copies.bpf.h
  bool uprobe_sessions = true;          // false: entry and return programs, as on kernels before 6.13
  bool run_time_stats = false;          // the kernel adds up the programs' run time, always
  bool sample_run_time = false;         // or in one second of every 60, from which it is estimated
};

struct ProbeStatistics {
  struct LossCount {
    uint64_t events = 0, bytes = 0;
    bool operator==(const LossCount&) const = default;
  };
  struct Program {
    std::string name;
    uint64_t run_time_ns = 0, runs = 0;
  };
  // Of the bytes of all streams, in the kernel: passed = captured + left out + lost.
  struct ByteBook {
    uint64_t passed = 0, captured = 0, left_out = 0;
  };
  ByteBook byte_book;
  uint64_t captured_bytes_delivered = 0;
  std::map<uint8_t, uint64_t> data_events_by_source;  // llmtap_source
  uint64_t events = 0;                                // delivered, injected ones included
  uint64_t events_damaged = 0;                        // failed validation, dropped
  LossCount lost[LLMTAP_LOST_MAX];                    // by llmtap_loss
  uint64_t skipped_runs = 0;                          // of programs at tracepoints, by the kernel, at most
  uint64_t urgent_wakeups = 0;                        // of poll(), for what cannot wait
  double ring_used = 0;                               // 0 to 1, now
  uint64_t connections_open = 0;                      // entries in the kernel's map
  std::vector<Program> programs;                      // zeros unless run_time_stats or sample_run_time
  bool exact_records = false;                         // dynptr reads; else size classes
  bool uprobe_sessions = false;                       // one link; no return where none is wanted
};

class Probe : public EventSource, public VerdictSink {
 public:
  static Result<std::unique_ptr<Probe>> open(const ProbeOptions& options = {});

  // EventSource; waits at most 100 ms whatever `timeout` says, because the kernel wakes us sparingly.
  Result<size_t> poll(EventSink& sink, std::chrono::milliseconds timeout) override = 0;
  // VerdictSink
  void set_verdict(uint64_t connection_id, Verdict verdict) override = 0;

  // `path` is opened as such: /proc/PID/map_files/… and /proc/PID/root/… work.
  virtual Result<std::unique_ptr<UprobeLink>> attach_uprobes(const std::string& path,
                                                             std::span<const UprobePlace> places,
                                                             const LinkReach& reach = {}) = 0;
  // As UprobeAttacher has them. Any thread, one at a time.
  virtual double hit_cost_ns() = 0;
  virtual std::array<uint64_t, LinkReach::kFiles> shared_hits() const = 0;
  virtual void mark_evident(uint32_t tgid) = 0;  // of no effect on one that is gone
  virtual UprobeAttacher::Told count_link(uint32_t tgid, uint8_t file, CountedLink link) = 0;
  virtual bool in_call(uint32_t tgid, bool own, uint64_t since_ns) const = 0;
  // A userspace-made event (PROCESS), delivered before any kernel event not yet delivered. `event` is
  // followed by its payload, event.size bytes in all.
  virtual void inject(const llmtap_event_hdr& event) = 0;
  virtual Result<> exclude_process(uint32_t tgid) = 0;
  // No return probe in this process any more (its TLS calls are not seen), because it is known to run
  // several stacks on one thread. Of no effect without sessions.
  virtual Result<> refuse_returns(uint32_t tgid) = 0;
  // Called on the core thread, once for each process that was seen to do that. Set before poll().
  virtual void on_stack_switch(std::function<void(uint32_t tgid)> told) = 0;
  // Connections that are not known yet are not read: LLMTAP_LOST_SHED.
  virtual void refuse_new_connections(bool) = 0;
  // Detaches from every system call, or attaches again; uprobes belong to their links. What was open is
  // told to have ended unseen. On the core thread, between two polls.
  virtual Result<> detach_calls(bool) = 0;
  virtual ProbeStatistics statistics() const = 0;
};

}  // namespace llmtap
