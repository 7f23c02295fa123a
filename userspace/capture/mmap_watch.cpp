// SPDX-License-Identifier: Apache-2.0
#include "capture/mmap_watch.h"

#include <linux/perf_event.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>

namespace llmtap {
namespace {

template <typename T>
bool read_at(std::span<const std::byte> record, size_t offset, T& out) {
  if (record.size() < offset + sizeof(T)) return false;
  std::memcpy(&out, record.data() + offset, sizeof(T));
  return true;
}

}  // namespace

std::optional<WatchEvent> parse_watch_record(std::span<const std::byte> record, uint64_t& lost) {
  perf_event_header header{};
  WatchEvent event;
  if (!read_at(record, 0, header) || !read_at(record, 8, event.tgid)) return std::nullopt;
  switch (header.type) {
    case PERF_RECORD_MMAP2: {  // pid tid addr len pgoff maj min ino ino_generation
      event.kind = WatchEvent::Kind::kMap;
      if ((header.misc & PERF_RECORD_MISC_MMAP_BUILD_ID) || !read_at(record, 40, event.file.major) ||
          !read_at(record, 44, event.file.minor) || !read_at(record, 48, event.file.inode) ||
          !read_at(record, 56, event.inode_generation) || event.file.inode == 0)
        return std::nullopt;
      return event;
    }
    case PERF_RECORD_COMM:
      if (!(header.misc & PERF_RECORD_MISC_COMM_EXEC)) return std::nullopt;
      event.kind = WatchEvent::Kind::kExec;
      return event;
    case PERF_RECORD_FORK:
    case PERF_RECORD_EXIT:  // pid ppid tid ptid
      event.kind = header.type == PERF_RECORD_FORK ? WatchEvent::Kind::kFork : WatchEvent::Kind::kExit;
      if (!read_at(record, 12, event.parent_tgid)) return std::nullopt;
      if (event.kind == WatchEvent::Kind::kFork && event.parent_tgid == event.tgid)
        return std::nullopt;  // a thread
      return event;
    case PERF_RECORD_LOST: {  // id lost
      uint64_t records = 0;
      if (read_at(record, 16, records)) lost += records;
      return std::nullopt;
    }
    default: return std::nullopt;
  }
}

class MmapWatch::Ring {
 public:
  Ring(UniqueFd event, void* memory, size_t page_bytes, size_t data_bytes)
      : event_(std::move(event)), memory_(memory), page_bytes_(page_bytes), data_bytes_(data_bytes) {}
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  ~Ring() { ::munmap(memory_, page_bytes_ + data_bytes_); }

  int fd() const { return event_.get(); }

  void drain(std::vector<WatchEvent>& events, uint64_t& lost) {
    auto& page = *static_cast<perf_event_mmap_page*>(memory_);
    const auto* const data = static_cast<const std::byte*>(memory_) + page_bytes_;
    const uint64_t head = std::atomic_ref(page.data_head).load(std::memory_order_acquire);
    uint64_t tail = page.data_tail;
    std::vector<std::byte> record;
    while (head - tail >= sizeof(perf_event_header)) {
      perf_event_header header{};
      copy(data, tail, std::as_writable_bytes(std::span(&header, 1)));
      if (header.size < sizeof(header) || header.size > head - tail) break;
      record.resize(header.size);
      copy(data, tail, record);
      if (const auto event = parse_watch_record(record, lost)) events.push_back(*event);
      tail += header.size;
    }
    std::atomic_ref(page.data_tail).store(head, std::memory_order_release);
  }

 private:
  void copy(const std::byte* data, uint64_t position, std::span<std::byte> out) const {
    const size_t at = position % data_bytes_;
    const size_t first = std::min(out.size(), data_bytes_ - at);
    std::memcpy(out.data(), data + at, first);
    std::memcpy(out.data() + first, data, out.size() - first);
  }

  UniqueFd event_;
  void* memory_;
  size_t page_bytes_, data_bytes_;
};

void MmapWatch::RingDeleter::operator()(Ring* ring) const { delete ring; }

Result<> MmapWatch::open_cpu(int cpu) {
  perf_event_attr attr{};
  attr.size = sizeof(attr);
  attr.type = PERF_TYPE_SOFTWARE;
  attr.config = PERF_COUNT_SW_DUMMY;
  attr.mmap = 1;  // counts the listeners of executable mappings; mmap2 only chooses the record
  attr.mmap2 = 1;
  attr.comm = 1;
  attr.comm_exec = 1;
  attr.task = 1;
  attr.exclude_kernel = 1;
  // wakeup_events counts samples, of which a dummy event has none.
  attr.watermark = 1;
  attr.wakeup_watermark = 1;
  UniqueFd event(static_cast<int>(::syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC)));
  if (!event) {
    if (errno == ENODEV) return Error{"no such CPU"};
    return Error{"perf_event_open: " + std::string(::strerror(errno)),
                 "CAP_PERFMON (or CAP_SYS_ADMIN before Linux 5.8) is needed to see processes start"};
  }
  const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  void* const memory =
      ::mmap(nullptr, page * (ring_pages_ + 1), PROT_READ | PROT_WRITE, MAP_SHARED, event.get(), 0);
  if (memory == MAP_FAILED) return Error{"map perf ring: " + std::string(::strerror(errno))};
  rings_.emplace(cpu, new Ring(std::move(event), memory, page, page * ring_pages_));
  return Ok{};
}

Result<MmapWatch> MmapWatch::open(size_t ring_pages) {
  MmapWatch watch(ring_pages);
  Result<> last = Ok{};
  const long cpus = ::sysconf(_SC_NPROCESSORS_CONF);
  for (int cpu = 0; cpu < cpus; ++cpu)
    if (auto opened = watch.open_cpu(cpu); !opened) last = std::move(opened);
  if (watch.rings_.empty()) return Error(last.has_value() ? Error{"no CPU to watch"} : last.error());
  return watch;
}

bool MmapWatch::open_missing_cpus() {
  bool opened = false;
  const long cpus = ::sysconf(_SC_NPROCESSORS_CONF);
  for (int cpu = 0; cpu < cpus; ++cpu)
    if (!rings_.contains(cpu) && open_cpu(cpu)) opened = true;
  return opened;
}

std::vector<int> MmapWatch::fds() const {
  std::vector<int> fds;
  fds.reserve(rings_.size());
  for (const auto& [cpu, ring] : rings_) fds.push_back(ring->fd());
  return fds;
}

void MmapWatch::drain(std::vector<WatchEvent>& events) {
  for (const auto& [cpu, ring] : rings_) ring->drain(events, lost_);
}

}  // namespace llmtap
