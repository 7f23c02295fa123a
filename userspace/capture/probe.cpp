// SPDX-License-Identifier: Apache-2.0
#include "capture/probe.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <mutex>
#include <optional>
#include <tuple>
#include <utility>

#include "base/check.h"
#include "capture/clear_map.h"
#include "capture/connection_map.h"
#include "capture/hook_links.h"
#include "capture/kernel_books.h"
#include "capture/loss_sweep.h"
#include "capture/probe_programs.h"
#include "capture/process_facts.h"
#include "capture/process_flags.h"
#include "capture/process_links.h"
#include "capture/reader_wait.h"
#include "capture/ring.h"
#include "capture/ring_book.h"
#include "capture/run_time_sampler.h"
#include "capture/thread_calls.h"
#include "capture/unique_fd.h"
#include "capture/uprobe_link.h"
#include "lib/hook_kinds.h"

namespace llmtap {
namespace {

static_assert(static_cast<int>(HookKind::kRead) == LLMTAP_HOOK_READ);
static_assert(static_cast<int>(HookKind::kWriteFlags) == LLMTAP_HOOK_WRITE_COUNT5);
static_assert(static_cast<int>(HookKind::kReadInternal) == LLMTAP_HOOK_READ_INTERNAL);
static_assert(static_cast<int>(HookKind::kWriteEarly) == LLMTAP_HOOK_WRITE_EARLY);
static_assert(LinkReach::kFiles == LLMTAP_COOKIE_FILES);

constexpr size_t kVerdictSlots = 65536;
constexpr uint64_t kClockInterval_ns = 100'000'000;
// A program frees its TLS object about when it closes the socket; so long after, nobody saw it.
constexpr uint64_t kFreedAfterClose_ns = 2'000'000'000;
// One poll's share before the caller gets its thread back.
constexpr uint64_t kLongestBatch_ns = 50'000'000;
// Between two steps of a sweep.
constexpr std::chrono::milliseconds kSweepWait{20};

uint64_t now_ns(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

struct RingDelete {
  void operator()(ring_buffer* ring) const { ring_buffer__free(ring); }
};

struct ConnKey {
  uint64_t object, owner;  // struct conn_key of bpf/lib/maps.bpf.h
};

class LiveProbe final : public Probe, private SweepPort {
 public:
  ~LiveProbe() override {
    if (verdicts_) munmap(verdicts_, kVerdictSlots * sizeof(uint64_t));
    if (stats_fd_ >= 0) ::close(stats_fd_);
  }

  Result<> start(const ProbeOptions& options) {
    if (access("/sys/kernel/btf/vmlinux", R_OK) != 0)
      return Error{
          std::string("load BPF programs: no BTF: /sys/kernel/btf/vmlinux: ") + std::strerror(errno),
          "mount /sys (mount -t sysfs sysfs /sys; a container needs the host's), or use a kernel built with "
          "CONFIG_DEBUG_INFO_BTF=y"};
    if (options.ring_bytes < 4096 || (options.ring_bytes & (options.ring_bytes - 1)) != 0)
      return Error{"ring of " + std::to_string(options.ring_bytes) + " bytes",
                   "its size must be a power of two"};
    features_ = options.features ? *options.features : probe_features();
    features_.exact_records &= options.exact_records;
    features_.sessions &= features_.callbacks && features_.uprobe_multi && options.uprobe_sessions;
    programs_ = LLMTAP_TRY(ProbePrograms::load(options, features_));
    books_.emplace(programs_);
    process_flags_.emplace(programs_);
    LLMTAP_TRY(map_verdicts());
    if (options.run_time_stats)
      stats_fd_ = bpf_enable_stats(BPF_STATS_RUN_TIME);
    else if (options.sample_run_time)
      sampler_ =
          std::make_unique<RunTimeSampler>([this] { return books_->run_times(); },
                                           [] { return UniqueFd(bpf_enable_stats(BPF_STATS_RUN_TIME)); });
    wake_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_) return Error{std::string("eventfd: ") + std::strerror(errno)};
    ring_.reset(ring_buffer__new(bpf_map__fd(programs_.events), &LiveProbe::on_record, this, nullptr));
    if (!ring_) return Error{std::string("map the ring: ") + std::strerror(errno)};
    connection_map_ = ConnectionMap(programs_.object, programs_.conn_by_key);
    thread_calls_ = ThreadCalls(programs_.object, programs_.thread_by_id);
    return hooks_.attach(programs_, features_);
  }

  Result<size_t> poll(EventSink& sink, std::chrono::milliseconds timeout) override {
    sink_ = &sink;
    delivered_ = 0;
    deliver_injected();
    tick(now_ns(CLOCK_MONOTONIC));
    batch_end_ns_ = now_ns(CLOCK_MONOTONIC) + kLongestBatch_ns;
    const size_t before = delivered_;
    int n = ring_buffer__consume(ring_.get());
    if (n == 0 && delivered_ == before) {
      // The kernel wakes us sparingly: after the wait there may be records without a wake-up.
      const ReaderWait next = next_wait(static_cast<ReaderState>(reader_state().load()),
                                        ring__avail_data_size(ring_buffer__ring(ring_.get(), 0)) != 0);
      reader_state().store(static_cast<uint32_t>(next.state));
      const auto longest = loss_sweep_.sweeping() ? std::min(next.longest, kSweepWait) : next.longest;
      wait(std::clamp(timeout, std::chrono::milliseconds(0), longest));
      n = ring_buffer__consume(ring_.get());
    }
    deliver_injected();
    const uint64_t now = now_ns(CLOCK_MONOTONIC);
    tick(now);
    loss_sweep_.step(now);
    sink_ = nullptr;
    // ECANCELED is our own batch bound.
    if (n < 0 && n != -EINTR && n != -ECANCELED && n != -EAGAIN)
      return Error{std::string("read the ring: ") + std::strerror(-n)};
    return delivered_;
  }

  void set_verdict(uint64_t connection_id, Verdict verdict) override {
    const auto word = book_.verdict_word(connection_id, verdict);
    if (word) std::atomic_ref<uint64_t>(verdicts_[word->slot]).store(word->word, std::memory_order_relaxed);
  }

  Result<std::unique_ptr<UprobeLink>> attach_uprobes(const std::string& path,
                                                     std::span<const UprobePlace> places,
                                                     const LinkReach& reach) override {
    return attach_places(
        {programs_.tls_enter, programs_.tls_return, features_.uprobe_multi, programs_.tls_session}, path,
        places, reach);
  }

  double hit_cost_ns() override {
    if (!hit_cost_ns_) hit_cost_ns_ = features_.uprobe_multi ? measure_process_links() : 0;
    return *hit_cost_ns_;
  }
  std::array<uint64_t, LinkReach::kFiles> shared_hits() const override { return books_->file_hits(); }
  void mark_evident(uint32_t tgid) override {
    std::ignore = process_flags_->set(tgid, ProcessFlags::kEvident);
  }
  UprobeAttacher::Told count_link(uint32_t tgid, uint8_t file, CountedLink link) override {
    return process_flags_->count_link(tgid, file, link);
  }
  bool in_call(uint32_t tgid, bool own, uint64_t since_ns) const override {
    return thread_calls_.in_call(tgid, own, since_ns);
  }

  void inject(const llmtap_event_hdr& event) override {
    const auto* bytes = reinterpret_cast<const std::byte*>(&event);
    std::vector<uint64_t> copy((event.size + 7) / 8);
    std::memcpy(copy.data(), bytes, event.size);
    {
      const std::lock_guard lock(inject_mutex_);
      injected_.push_back(std::move(copy));
      has_injected_.store(true, std::memory_order_release);
    }
    eventfd_write(wake_.get(), 1);
  }

  Result<> exclude_process(uint32_t tgid) override {
    return process_flags_->set(tgid, ProcessFlags::kExcluded);
  }
  Result<> refuse_returns(uint32_t tgid) override {
    return process_flags_->set(tgid, ProcessFlags::kSwitches);
  }
  void on_stack_switch(std::function<void(uint32_t)> told) override { tell_switch_ = std::move(told); }

  void refuse_new_connections(bool refuse) override {
    std::atomic_ref(*programs_.refuse_new_connections).store(refuse ? 1 : 0, std::memory_order_relaxed);
  }

  Result<> detach_calls(bool detach) override {
    if (detach) {
      hooks_.detach_calls();
      ended_here_.fetch_add(clear_map(bpf_map__fd(programs_.conn_by_key)), std::memory_order_relaxed);
      loss_sweep_.on_lost();
      return Ok{};
    }
    // Of calls that returned meanwhile.
    clear_map(bpf_map__fd(programs_.thread_by_id));
    return hooks_.attach_calls(programs_, features_);
  }

  ProbeStatistics statistics() const override {
    ProbeStatistics result;
    for (uint8_t source = 0; source < LLMTAP_SOURCE_MAX; ++source)
      if (const uint64_t n = data_events_[source].load(std::memory_order_relaxed); n != 0)
        result.data_events_by_source[source] = n;
    result.captured_bytes_delivered = captured_bytes_.load(std::memory_order_relaxed);
    result.events = events_.load(std::memory_order_relaxed);
    result.events_damaged = damaged_.load(std::memory_order_relaxed);
    const KernelBooks::Balance balance = books_->balance();
    result.byte_book = balance.bytes;
    std::ranges::copy(balance.lost, result.lost);
    const ring* the_ring = ring_buffer__ring(ring_.get(), 0);
    result.ring_used =
        static_cast<double>(ring__avail_data_size(the_ring)) / static_cast<double>(ring__size(the_ring));
    result.urgent_wakeups = std::atomic_ref(*programs_.urgent_wakeups).load(std::memory_order_relaxed);
    const uint64_t made = std::atomic_ref(*programs_.conns_made).load(std::memory_order_relaxed);
    const uint64_t ended = std::atomic_ref(*programs_.conns_ended).load(std::memory_order_relaxed) +
                           ended_here_.load(std::memory_order_relaxed);
    result.connections_open = made > ended ? made - ended : 0;
    result.skipped_runs = books_->skipped_runs();
    result.exact_records = features_.exact_records;
    result.uprobe_sessions = features_.sessions;
    const std::vector<RunTime> times = sampler_ ? sampler_->estimate() : books_->run_times();
    bpf_program* program = nullptr;
    for (size_t i = 0; (program = bpf_object__next_program(programs_.object, program)); ++i) {
      const RunTime time = i < times.size() ? times[i] : RunTime{};
      result.programs.push_back(
          {.name = bpf_program__name(program), .run_time_ns = time.ns, .runs = time.runs});
    }
    return result;
  }

 private:
  std::atomic_ref<uint32_t> reader_state() const {
    return std::atomic_ref<uint32_t>(*programs_.reader_state);
  }

  // Until the programs wake us, something is injected, or so long.
  void wait(std::chrono::milliseconds longest) {
    std::array<pollfd, 2> fds{{{ring_buffer__epoll_fd(ring_.get()), POLLIN, 0}, {wake_.get(), POLLIN, 0}}};
    ::poll(fds.data(), fds.size(), static_cast<int>(longest.count()));
    eventfd_t count = 0;
    if (fds[1].revents != 0) eventfd_read(wake_.get(), &count);
  }

  Result<> map_verdicts() {
    void* memory = mmap(nullptr, kVerdictSlots * sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED,
                        bpf_map__fd(programs_.verdicts), 0);
    if (memory == MAP_FAILED) return Error{std::string("map the verdicts: ") + std::strerror(errno)};
    verdicts_ = static_cast<uint64_t*>(memory);
    return Ok{};
  }

  static int on_record(void* self, void* bytes, size_t size) {
    return static_cast<LiveProbe*>(self)->take_record(bytes, size);
  }

  int take_record(const void* bytes, size_t size) {
    const llmtap_event_hdr* event = valid_event(bytes, size);
    if (!event) {
      damaged_.fetch_add(1, std::memory_order_relaxed);
      return 0;
    }
    if (has_injected_.load(std::memory_order_acquire)) deliver_injected();
    const uint64_t now = now_ns(CLOCK_MONOTONIC);
    tick(now);
    if (event->type == LLMTAP_EVENT_DATA) {
      const auto& data = *reinterpret_cast<const llmtap_data_event*>(event);
      data_events_[data.source % LLMTAP_SOURCE_MAX].fetch_add(1, std::memory_order_relaxed);
      captured_bytes_.fetch_add(data.captured_bytes, std::memory_order_relaxed);
    }
    note(*event);
    return now > batch_end_ns_ ? -ECANCELED : 0;
  }

  void note(const llmtap_event_hdr& event) {
    if (event.type == LLMTAP_EVENT_EXIT || event.type == LLMTAP_EVENT_EXEC) end_tls_objects(event);
    book_.note(event);
    deliver(event);
  }

  // SweepPort
  Piece read_connections(bool from_start, std::vector<Connection>& out) override {
    return connection_map_.read(from_start, out);
  }
  bool lives(ProcessKey process) override { return proc_.lives(process); }
  void drop(const Connection& connection) override {
    if (connection_map_.drop(connection)) ended_here_.fetch_add(1, std::memory_order_relaxed);
  }
  uint64_t reserved() override { return ring__producer_pos(ring_buffer__ring(ring_.get(), 0)); }
  uint64_t consumed() override { return ring__consumer_pos(ring_buffer__ring(ring_.get(), 0)); }
  void tell(const llmtap_conn_end_event& end) override { note(end.hdr); }
  void tell_exit(ProcessKey process, uint64_t now) override {
    llmtap_process_event exit{};
    exit.hdr.time_ns = now;
    exit.hdr.size = sizeof(exit);
    exit.hdr.type = LLMTAP_EVENT_EXIT;
    exit.hdr.flags = LLMTAP_FLAG_NOT_SEEN;
    exit.hdr.tgid = exit.hdr.tid = process.tgid;
    exit.process_start_ns = process.start_ns;
    note(exit.hdr);
  }

  void deliver(const llmtap_event_hdr& event) {
    sink_->on_event(event);
    ++delivered_;
    events_.fetch_add(1, std::memory_order_relaxed);
  }

  static llmtap_conn_end_event end_of(const RingBook::TlsObject& object, const llmtap_event_hdr& event,
                                      uint8_t reason) {
    llmtap_conn_end_event end{};
    end.hdr = event;
    end.hdr.size = sizeof(end);
    end.hdr.type = LLMTAP_EVENT_CONN_END;
    end.hdr.flags = event.flags & LLMTAP_FLAG_NOT_SEEN;
    end.hdr.tgid = object.tgid;
    end.hdr.conn_id = object.conn_id;
    end.read_offset = object.read_offset;
    end.write_offset = object.write_offset;
    end.reason = reason;
    return end;
  }

  // The address space is gone and with it its TLS objects, which nobody freed.
  void end_tls_objects(const llmtap_event_hdr& event) {
    for (const RingBook::TlsObject& object : book_.take_process(event.tgid)) {
      const ConnKey key{object.ssl, object.tgid};
      if (bpf_map_delete_elem(bpf_map__fd(programs_.conn_by_key), &key) == 0)
        ended_here_.fetch_add(1, std::memory_order_relaxed);
      deliver(end_of(object, event, LLMTAP_END_EXIT).hdr);
    }
  }

  void end_unfreed_tls_objects(const llmtap_clock_event& clock) {
    const uint64_t closed_by_ns =
        clock.hdr.time_ns - std::min<uint64_t>(clock.hdr.time_ns, kFreedAfterClose_ns);
    for (const RingBook::TlsObject& object : book_.take_without_socket(closed_by_ns)) {
      if (!connection_map_.drop({.id = object.conn_id, .object = object.ssl, .owner = object.tgid})) continue;
      ended_here_.fetch_add(1, std::memory_order_relaxed);
      note(end_of(object, clock.hdr, LLMTAP_END_CLOSED).hdr);
    }
  }

  void deliver_injected() {
    std::vector<std::vector<uint64_t>> events;
    {
      const std::lock_guard lock(inject_mutex_);
      events.swap(injected_);
      has_injected_.store(false, std::memory_order_relaxed);
    }
    for (const auto& event : events) {
      if (const llmtap_event_hdr* valid = valid_event(event.data(), event.size() * 8))
        deliver(*valid);
      else
        damaged_.fetch_add(1, std::memory_order_relaxed);
    }
  }

  void tick(uint64_t now) {
    if (now < next_tick_ns_) return;
    next_tick_ns_ = now + kClockInterval_ns;
    llmtap_clock_event clock{};
    clock.hdr.type = LLMTAP_EVENT_CLOCK;
    clock.hdr.size = sizeof(clock);
    clock.hdr.time_ns = now_ns(CLOCK_MONOTONIC);
    clock.boottime_ns = now_ns(CLOCK_BOOTTIME);
    clock.realtime_ns = now_ns(CLOCK_REALTIME);
    deliver(clock.hdr);
    if (tell_switch_) process_flags_->each_new_switcher(tell_switch_);
    if (sampler_) sampler_->tick(now);
    end_unfreed_tls_objects(clock);

    const KernelBooks::Lost lost = books_->lost();
    if (lost == lost_said_) return;
    if (lost[LLMTAP_LOST_RING_FULL].events != lost_said_[LLMTAP_LOST_RING_FULL].events) loss_sweep_.on_lost();
    lost_said_ = lost;
    llmtap_lost_event event{};
    event.hdr.type = LLMTAP_EVENT_LOST;
    event.hdr.size = sizeof(event);
    event.hdr.time_ns = clock.hdr.time_ns;
    for (size_t i = 0; i < LLMTAP_LOST_MAX; ++i) {
      event.events[i] = lost[i].events;
      event.bytes[i] = lost[i].bytes;
    }
    deliver(event.hdr);
  }

  Features features_;
  ProbePrograms programs_;
  std::unique_ptr<ring_buffer, RingDelete> ring_;
  UniqueFd wake_;
  HookLinks hooks_;
  std::optional<KernelBooks> books_;
  uint64_t* verdicts_ = nullptr;
  int stats_fd_ = -1;
  std::unique_ptr<RunTimeSampler> sampler_;

  // Core thread.
  EventSink* sink_ = nullptr;
  size_t delivered_ = 0;
  uint64_t next_tick_ns_ = 0, batch_end_ns_ = 0;
  RingBook book_;
  ConnectionMap connection_map_;
  ThreadCalls thread_calls_;
  std::optional<double> hit_cost_ns_;
  std::optional<ProcessFlags> process_flags_;
  ProcFs proc_;
  LossSweep loss_sweep_{book_, *this};
  KernelBooks::Lost lost_said_{};
  std::function<void(uint32_t)> tell_switch_;

  std::array<std::atomic<uint64_t>, LLMTAP_SOURCE_MAX> data_events_{};
  std::atomic<uint64_t> captured_bytes_ = 0;
  std::atomic<uint64_t> events_ = 0, damaged_ = 0, ended_here_ = 0;

  std::mutex inject_mutex_;
  std::vector<std::vector<uint64_t>> injected_;
  std::atomic<bool> has_injected_ = false;
};

}  // namespace

Result<std::unique_ptr<Probe>> Probe::open(const ProbeOptions& options) {
  auto live = std::make_unique<LiveProbe>();
  LLMTAP_TRY(live->start(options));
  return std::unique_ptr<Probe>(std::move(live));
}

}  // namespace llmtap
