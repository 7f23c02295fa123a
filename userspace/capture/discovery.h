// SPDX-License-Identifier: Apache-2.0
// Finds the TLS libraries of every process of the node, attaches to each once, and says who a process
// is. Runs on its own thread; everything else is told by events and by snapshot().
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <unordered_map>

#include "capture/attach_manager.h"
#include "capture/attacher.h"
#include "capture/coverage.h"
#include "capture/exclusion.h"
#include "capture/mmap_watch.h"
#include "capture/process_facts.h"

namespace llmtap {

struct DiscoveryOptions {
  AttachManager::Options attach;
  std::chrono::milliseconds rescan{30'000};           // the safety net
  std::chrono::milliseconds rescan_unwatched{1'000};  // where perf events are refused
  std::chrono::milliseconds exit_check{200};          // after an exit: other threads may live on
  size_t ring_pages = 64;                             // of each CPU's side-band ring; a power of two
  size_t requests = 4096;                             // ensure_facts() waiting; beyond: dropped, counted
  size_t exec_records = 8192;  // facts read at exec, kept for a process that is asked for later
  size_t processes = 65536;    // described in the snapshot; beyond: attached, not described
  std::set<uint32_t> skip;     // beside this process itself
  Exclusion exclusion;         // never attached, never followed
  std::function<void(uint32_t tgid)> exclude;  // tells the kernel of one, on the discovery thread
};

class Discovery {
 public:
  // Both outlive it. stop() before the probe is closed.
  Discovery(UprobeAttacher&, EventInjector&, DiscoveryOptions = {}, ProcFs = ProcFs());
  ~Discovery();
  Discovery(const Discovery&) = delete;
  Discovery& operator=(const Discovery&) = delete;

  Result<> start();
  // Detaches everything and ends the thread. Idempotent.
  void stop();

  // Any thread. A PROCESS event follows if the process is still there, or was seen to exec.
  void ensure_facts(uint32_t tgid);
  // Any thread. The process runs several stacks on one thread and is not observed for that.
  void refuse(uint32_t tgid);
  // Any thread. The process made an LLM call or is about to.
  void see_evidence(ProcessKey);
  // Any thread. Only processes with evidence are worth their cost, for now.
  void press(bool pressed);
  std::shared_ptr<const Coverage> snapshot() const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Process {
    ProcessRecord record;
    std::vector<RuntimeUse> runtimes;
    bool asked = false;
    std::string refused;  // why its TLS is not read, whatever the library
  };

  void run();
  void scan_all();
  void scan(uint32_t tgid, bool asked);
  void handle(const std::vector<WatchEvent>&);
  void answer_requests();
  void spread_evidence();
  void spread_evidence_of(const Process&);
  bool inherits_evidence(const Process&) const;
  void apply_refusal(Process&, const std::vector<Mapping>&, std::vector<RuntimeUse>&);
  void check_exits(Clock::time_point now);
  void check_records(Clock::time_point now);
  std::optional<ProcessRecord> read_record(uint32_t tgid);
  bool excluded(ProcessKey);
  void judge(const ProcessRecord&);
  void forget(uint32_t tgid);
  void remember_exec(ProcessRecord);
  void emit(const ProcessRecord&);
  void wait(Clock::time_point until);
  void wake();
  void publish();

  UprobeAttacher& attacher_;
  EventInjector& injector_;
  const DiscoveryOptions options_;
  const ProcFs procfs_;
  std::optional<MmapWatch> watch_;
  UniqueFd wake_;
  std::thread thread_;
  std::atomic<bool> stopping_ = false, pressed_ = false;

  // Owned by the thread.
  std::unique_ptr<AttachManager> manager_;
  std::unordered_map<uint32_t, Process> processes_;
  struct Judged {
    uint64_t start_ns = 0;
    bool excluded = false;
  };
  std::unordered_map<uint32_t, Judged> judged_;  // only with an exclusion; dropped when the process is gone
  std::unordered_map<uint32_t, ProcessRecord> exec_records_;
  std::deque<ProcessKey> exec_order_;
  std::map<uint32_t, Clock::time_point> exit_checks_;
  struct RecordCheck {
    Clock::time_point due;
    int attempt = 0;
  };
  std::map<uint32_t, RecordCheck> record_checks_;  // read in the middle of an exec
  // Files (with the inode's generation) that records named and that hold nothing.
  std::set<std::pair<FileKey, uint64_t>> dull_;
  Coverage coverage_;
  bool changed_ = true;
  uint64_t manager_changes_ = 0;

  mutable std::mutex mutex_;
  std::vector<uint32_t> requests_;
  std::vector<uint32_t> refusals_;
  std::vector<ProcessKey> evidence_;
  uint64_t dropped_requests_ = 0;
  std::shared_ptr<const Coverage> snapshot_ = std::make_shared<const Coverage>();
};

}  // namespace llmtap
