// SPDX-License-Identifier: Apache-2.0
#include "capture/discovery.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>

namespace llmtap {
namespace {

constexpr size_t kMaxDullFiles = 65536;
constexpr int kRecordAttempts = 6;  // 2, 4… 64 ms after the first; a process may have no arguments at all
constexpr std::chrono::milliseconds kRecordRetry{2};

uint64_t monotonic_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

Discovery::Discovery(UprobeAttacher& attacher, EventInjector& injector, DiscoveryOptions options,
                     ProcFs procfs)
    : attacher_(attacher), injector_(injector), options_(std::move(options)), procfs_(std::move(procfs)) {}

Discovery::~Discovery() { stop(); }

Result<> Discovery::start() {
  wake_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_) return Error{"eventfd: " + std::string(::strerror(errno))};
  manager_ = std::make_unique<AttachManager>(procfs_, attacher_, kRuntimes, options_.attach);
  // Before the first look at /proc: what starts while that goes on is in the rings.
  auto watch = MmapWatch::open(options_.ring_pages);
  if (watch)
    watch_ = std::move(*watch);
  else
    coverage_.watch_error = watch.error().message;
  coverage_.watching = watch_.has_value();
  stopping_ = false;
  thread_ = std::thread([this] { run(); });
  return Ok{};
}

void Discovery::stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  wake();
  thread_.join();
}

void Discovery::wake() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(wake_.get(), &one, sizeof(one));
}

void Discovery::ensure_facts(uint32_t tgid) {
  {
    const std::lock_guard lock(mutex_);
    if (requests_.size() >= options_.requests) {
      ++dropped_requests_;
      return;
    }
    requests_.push_back(tgid);
  }
  wake();
}

void Discovery::refuse(uint32_t tgid) {
  {
    const std::lock_guard lock(mutex_);
    refusals_.push_back(tgid);
  }
  wake();
}

void Discovery::see_evidence(ProcessKey process) {
  {
    const std::lock_guard lock(mutex_);
    evidence_.push_back(process);
  }
  wake();
}

void Discovery::press(bool pressed) {
  pressed_ = pressed;
  wake();
}

std::shared_ptr<const Coverage> Discovery::snapshot() const {
  const std::lock_guard lock(mutex_);
  return snapshot_;
}

void Discovery::run() {
  ::pthread_setname_np(::pthread_self(), "discovery");
  const auto period = watch_ ? options_.rescan : options_.rescan_unwatched;
  scan_all();
  coverage_.initial_scan_done = true;
  auto next_scan = Clock::now() + period;
  std::vector<WatchEvent> events;
  while (!stopping_) {
    const uint64_t lost_before = watch_ ? watch_->lost() : 0;
    events.clear();
    if (watch_) watch_->drain(events);
    handle(events);
    answer_requests();
    spread_evidence();
    auto now = Clock::now();
    check_exits(now);
    check_records(now);
    if (now >= next_scan || (watch_ && watch_->lost() != lost_before)) {
      if (watch_) watch_->open_missing_cpus();
      scan_all();
      now = Clock::now();
      next_scan = now + period;
    }
    manager_->press(pressed_);
    const auto narrow_next = manager_->narrow(Clock::now());
    changed_ |= std::exchange(manager_changes_, manager_->changes()) != manager_->changes();
    auto until = std::min({next_scan, manager_->collect(now), narrow_next});
    for (const auto& [tgid, due] : exit_checks_) until = std::min(until, due);
    for (const auto& [tgid, check] : record_checks_) until = std::min(until, check.due);
    publish();
    wait(until);
  }
  manager_.reset();
  processes_.clear();
  watch_.reset();
  coverage_ = Coverage{};
  changed_ = true;
}

void Discovery::wait(Clock::time_point until) {
  std::vector<pollfd> fds{{wake_.get(), POLLIN, 0}};
  if (watch_)
    for (const int fd : watch_->fds()) fds.push_back({fd, POLLIN, 0});
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
  const int64_t timeout = std::clamp<int64_t>(left.count(), 0, options_.rescan.count());
  ::poll(fds.data(), fds.size(), static_cast<int>(timeout));
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t n = ::read(wake_.get(), &count, sizeof(count));
}

void Discovery::scan_all() {
  manager_->begin_pass();
  dull_.clear();
  std::vector<uint32_t> tgids = procfs_.processes();
  const std::set<uint32_t> present(tgids.begin(), tgids.end());
  std::vector<uint32_t> gone;
  for (const auto& [tgid, process] : processes_)
    if (!present.contains(tgid)) gone.push_back(tgid);
  for (const uint32_t tgid : gone) forget(tgid);
  manager_->forget_evidence_of_all_but(present);
  std::erase_if(judged_, [&](const auto& entry) { return !present.contains(entry.first); });
  // Youngest first: what just started is about to make its first call.
  std::ranges::sort(tgids, std::greater<>());
  for (const uint32_t tgid : tgids) {
    if (stopping_) return;
    scan(tgid, false);
  }
  ++coverage_.scans;
  changed_ = true;
}

void Discovery::scan(uint32_t tgid, bool asked) {
  if (tgid == static_cast<uint32_t>(::getpid()) || options_.skip.contains(tgid)) return;
  const auto start = procfs_.start_ns(tgid);
  const auto known = processes_.find(tgid);
  if (known != processes_.end()) {
    asked |= known->second.asked;
    if (!start || known->second.record.facts.key.start_ns != *start) forget(tgid);
  }
  if (!start) return;
  const ProcessKey key{tgid, *start};
  if (excluded(key)) {
    forget(tgid);
    return;
  }
  const auto mappings = procfs_.mappings(key);
  // Gone; or without files: a kernel thread, or a process in the middle of an exec.
  if (!mappings || (mappings->empty() && !asked)) {
    forget(tgid);
    return;
  }
  ++coverage_.processes_scanned;
  if (!manager_->inspect(tgid, *mappings) && !asked) {
    forget(tgid);
    return;
  }
  auto it = processes_.find(tgid);
  if (it == processes_.end()) {
    if (processes_.size() >= options_.processes) {
      manager_->use(key, *mappings, Clock::now());
      return;
    }
    auto record = read_record(tgid);
    if (!record || record->facts.key != key) return;
    // The core must know who it is before the first byte.
    emit(*record);
    it = processes_.emplace(tgid, Process{std::move(*record), {}, false, {}}).first;
    changed_ = true;
  }
  it->second.asked |= asked;
  if (manager_->is_evident(key))
    spread_evidence_of(it->second);  // known before it was found here, at times
  else if (inherits_evidence(it->second))
    manager_->see_evidence(key);
  auto runtimes = manager_->use(key, *mappings, Clock::now());
  apply_refusal(it->second, *mappings, runtimes);
  if (runtimes.empty()) runtimes.push_back({"none", CoverageState::kNone, {}});
  if (runtimes != it->second.runtimes) changed_ = true;
  it->second.runtimes = std::move(runtimes);
}

void Discovery::apply_refusal(Process& process, const std::vector<Mapping>& mappings,
                              std::vector<RuntimeUse>& runtimes) {
  const ProcessKey key = process.record.facts.key;
  if (process.refused.empty()) {
    if (std::ranges::none_of(mappings,
                             [](const Mapping& mapping) { return !fiber_runtime(mapping.path).empty(); }))
      return;
    process.refused = "fiber_runtime";
    changed_ = true;
  }
  if (!attacher_.refuse_returns(key.tgid)) manager_->refuse(key, process.refused);
  for (RuntimeUse& use : runtimes)
    if (use.state == CoverageState::kClear) use = {use.runtime, CoverageState::kOpaque, process.refused};
}

void Discovery::handle(const std::vector<WatchEvent>& events) {
  std::set<uint32_t> dirty;
  std::vector<WatchEvent> maps;
  const auto check_at = Clock::now() + options_.exit_check;
  for (const WatchEvent& event : events) {
    switch (event.kind) {
      case WatchEvent::Kind::kMap:
        if (dull_.contains({event.file, event.inode_generation})) break;
        dirty.insert(event.tgid);
        maps.push_back(event);
        break;
      case WatchEvent::Kind::kExec:
        // Another program under the same number and start time.
        if (const auto known = processes_.find(event.tgid); known != processes_.end()) {
          const bool asked = known->second.asked;
          forget(event.tgid);
          if (asked)
            scan(event.tgid, true);
          else
            dirty.insert(event.tgid);
        }
        if (auto record = read_record(event.tgid)) remember_exec(std::move(*record));
        break;
      case WatchEvent::Kind::kFork:
        if (const auto parent = processes_.find(event.parent_tgid); parent != processes_.end()) {
          dirty.insert(event.tgid);
          const ProcessKey key = parent->second.record.facts.key;
          if (manager_->is_evident(key)) manager_->touch_files_of(key, Clock::now());
        }
        break;
      case WatchEvent::Kind::kExit:
        // One record for each thread.
        if (processes_.contains(event.tgid) || exec_records_.contains(event.tgid))
          exit_checks_.try_emplace(event.tgid, check_at);
        break;
    }
  }
  // What one of them maps is hooked in it before anything of it is read.
  bool narrow = false;
  for (const WatchEvent& event : maps) narrow |= manager_->touch(event.file, Clock::now());
  if (narrow) manager_->narrow(Clock::now());
  for (const uint32_t tgid : dirty) scan(tgid, false);
  if (dull_.size() >= kMaxDullFiles) dull_.clear();
  for (const WatchEvent& event : maps)
    if (manager_->is_negative(event.file)) dull_.insert({event.file, event.inode_generation});
}

void Discovery::answer_requests() {
  std::vector<uint32_t> requests, refusals;
  {
    const std::lock_guard lock(mutex_);
    requests.swap(requests_);
    refusals.swap(refusals_);
    coverage_.dropped_requests = dropped_requests_;
  }
  for (const uint32_t tgid : refusals) {
    const auto known = processes_.find(tgid);
    if (known == processes_.end() || !known->second.refused.empty()) continue;
    known->second.refused = "stack_switch";
    changed_ = true;
    scan(tgid, false);
  }
  std::ranges::sort(requests);
  requests.erase(std::unique(requests.begin(), requests.end()), requests.end());
  for (const uint32_t tgid : requests) {
    const bool emitted_before = processes_.contains(tgid);
    scan(tgid, true);
    const auto now_known = processes_.find(tgid);
    if (now_known != processes_.end()) {
      if (emitted_before) emit(now_known->second.record);
    } else if (const auto past = exec_records_.find(tgid); past != exec_records_.end()) {
      emit(past->second);  // too short-lived for /proc
    }
  }
}

// What one worker of a server does, the next may do, also one that is not born yet: the process that
// starts them, running the same program, has their evidence, and each of its children too.
void Discovery::spread_evidence() {
  std::vector<ProcessKey> evidence;
  {
    const std::lock_guard lock(mutex_);
    evidence.swap(evidence_);
  }
  for (const ProcessKey& key : evidence) {
    if (manager_->is_evident(key)) continue;
    manager_->see_evidence(key);
    const auto process = processes_.find(key.tgid);
    if (process != processes_.end() && process->second.record.facts.key == key)
      spread_evidence_of(process->second);
  }
}

void Discovery::spread_evidence_of(const Process& process) {
  const ProcessFacts& facts = process.record.facts;
  const auto parent = processes_.find(procfs_.parent(facts.key.tgid).value_or(0));
  if (parent == processes_.end() || parent->second.record.facts.exe != facts.exe ||
      manager_->is_evident(parent->second.record.facts.key))
    return;
  manager_->see_evidence(parent->second.record.facts.key);
  for (const auto& [tgid, other] : processes_)
    if (other.record.facts.exe == facts.exe && inherits_evidence(other))
      manager_->see_evidence(other.record.facts.key);
}

bool Discovery::inherits_evidence(const Process& process) const {
  const auto parent = processes_.find(procfs_.parent(process.record.facts.key.tgid).value_or(0));
  return parent != processes_.end() && manager_->is_evident(parent->second.record.facts.key) &&
         parent->second.record.facts.exe == process.record.facts.exe;
}

void Discovery::check_exits(Clock::time_point now) {
  for (auto it = exit_checks_.begin(); it != exit_checks_.end();) {
    if (it->second > now) {
      ++it;
      continue;
    }
    const auto known = processes_.find(it->first);
    if (known != processes_.end() && procfs_.start_ns(it->first) != known->second.record.facts.key.start_ns)
      forget(it->first);
    it = exit_checks_.erase(it);
  }
}

std::optional<ProcessRecord> Discovery::read_record(uint32_t tgid) {
  auto record = procfs_.record(tgid);
  if (record && !record->complete)
    record_checks_.try_emplace(tgid, RecordCheck{Clock::now() + kRecordRetry, 0});
  if (record) judge(*record);
  return record;
}

bool Discovery::excluded(ProcessKey key) {
  if (options_.exclusion.empty()) return false;
  auto known = judged_.find(key.tgid);
  if (known == judged_.end() || known->second.start_ns != key.start_ns) {
    if (!read_record(key.tgid)) return false;
    known = judged_.find(key.tgid);
  }
  return known != judged_.end() && known->second.start_ns == key.start_ns && known->second.excluded;
}

// Each time a record was read: exec makes another program of a process. One that was left alone stays so
// until it ends, as in the kernel.
void Discovery::judge(const ProcessRecord& record) {
  if (options_.exclusion.empty()) return;
  Judged& judged = judged_[record.facts.key.tgid];
  if (judged.start_ns != record.facts.key.start_ns) judged = {record.facts.key.start_ns, false};
  if (judged.excluded || !options_.exclusion.matches(record.facts)) return;
  judged.excluded = true;
  if (options_.exclude) options_.exclude(record.facts.key.tgid);
}

void Discovery::check_records(Clock::time_point now) {
  for (auto it = record_checks_.begin(); it != record_checks_.end();) {
    auto& [tgid, check] = *it;
    if (check.due > now) {
      ++it;
      continue;
    }
    auto record = procfs_.record(tgid);
    if (record && !record->complete && ++check.attempt < kRecordAttempts) {
      check.due = now + kRecordRetry * (1 << check.attempt);
      ++it;
      continue;
    }
    if (record && record->complete) {
      judge(*record);
      if (excluded(record->facts.key)) forget(tgid);
      const auto known = processes_.find(tgid);
      if (known != processes_.end() && known->second.record.facts.key == record->facts.key) {
        known->second.record = *record;
        emit(*record);
        changed_ = true;
      }
      if (exec_records_.contains(tgid)) remember_exec(std::move(*record));
    }
    it = record_checks_.erase(it);
  }
}

void Discovery::forget(uint32_t tgid) {
  const auto it = processes_.find(tgid);
  if (it == processes_.end()) return;
  manager_->forget(it->second.record.facts.key, Clock::now());
  processes_.erase(it);
  changed_ = true;
}

void Discovery::remember_exec(ProcessRecord record) {
  const ProcessKey key = record.facts.key;
  if (exec_records_.insert_or_assign(key.tgid, std::move(record)).second || exec_order_.empty() ||
      exec_order_.back() != key)
    exec_order_.push_back(key);
  while (exec_order_.size() > options_.exec_records) {
    const auto oldest = exec_records_.find(exec_order_.front().tgid);
    if (oldest != exec_records_.end() && oldest->second.facts.key == exec_order_.front())
      exec_records_.erase(oldest);
    exec_order_.pop_front();
  }
}

void Discovery::emit(const ProcessRecord& record) {
  const std::vector<uint64_t> words = process_event(record, monotonic_ns());
  injector_.inject(*reinterpret_cast<const llmtap_event_hdr*>(words.data()));
}

void Discovery::publish() {
  coverage_.lost_records = watch_ ? watch_->lost() : 0;
  coverage_.unfollowed = manager_->unfollowed();
  coverage_.processes.clear();
  coverage_.targets.clear();
  if (changed_) {
    for (const auto& [tgid, process] : processes_)
      coverage_.processes.push_back({process.record.facts.key, process.record.facts.exe,
                                     process.record.facts.workload, process.runtimes});
    manager_->describe(coverage_);
  }
  const std::lock_guard lock(mutex_);
  auto next = std::make_shared<Coverage>(coverage_);
  if (!changed_) {
    next->processes = snapshot_->processes;
    next->targets = snapshot_->targets;
  }
  snapshot_ = std::move(next);
  changed_ = false;
}

}  // namespace llmtap
