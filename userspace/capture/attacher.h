// SPDX-License-Identifier: Apache-2.0
// What discovery needs of the probe: a way to place breakpoints and a way to hand an event to the
// core. The probe implements both; tests record.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "llmtap/events.h"
#include "llmtap/result.h"

namespace llmtap {

// The attach cookie: values of enum llmtap_hook_kind in bpf/lib/hook_kinds.h.
enum class UprobeKind : uint32_t {
  kRead = 1,         // int SSL_read(ssl, buf, int num)
  kWrite = 2,        // int SSL_write(ssl, buf, int num)
  kReadCount4 = 3,   // int (ssl, buf, size_t num, size_t *count): SSL_read_ex
  kWriteCount4 = 4,  // SSL_write_ex, and ssl_write_internal up to 3.2
  kWriteCount5 =
      5,  // int (ssl, buf, size_t num, flags, size_t *count): SSL_write_ex2, ssl_write_internal from 3.3
  kReadInternal = 6,  // ssl_read_internal: arguments of SSL_read_ex, result > 0 is success, 0 the end
  kHandshake = 7,     // int SSL_do_handshake(ssl)
  kConnect = 8,
  kAccept = 9,
  kSetFd = 10,  // int SSL_set_fd(ssl, int fd)
  kFree = 11,
  kShutdown = 12,
  kSetConnect = 13,  // void SSL_set_connect_state(ssl)
  kSetAccept = 14,
  kReadEarly = 15,  // SSL_read_early_data: around SSL_read_ex
  kWriteEarly = 16,
};

struct HookPlace {
  uint64_t offset = 0;  // in the file
  UprobeKind kind = UprobeKind::kRead;
  bool is_return = false;
  bool operator==(const HookPlace&) const = default;
};

// Which calls a link is for; in the kernel it is part of the attach cookie (bpf/lib/hook_kinds.h).
struct LinkReach {
  static constexpr size_t kFiles = 64;
  uint32_t tgid = 0;  // of this process alone; 0: of every one that maps the file
  uint8_t file =
      0;  // below kFiles: the file's number in the calls below; 0: it has none and is never narrowed
  uint16_t epoch = 0;  // another one than before: calls may have passed in between
};

// Which of the two links that a process may have at a place counts: the one that all processes share, its
// own, or both, each call once, while one of them comes or goes.
enum class CountedLink : uint8_t { kShared, kBoth, kOwn };

// The breakpoints of one file; they go when it is destroyed.
class AttachedLink {
 public:
  virtual ~AttachedLink() = default;
};

class UprobeAttacher {
 public:
  virtual ~UprobeAttacher() = default;
  // `path` is resolved before this returns.
  virtual Result<std::unique_ptr<AttachedLink>> attach(const std::string& path,
                                                       std::span<const HookPlace> places,
                                                       const LinkReach& reach) = 0;
  // No return probe in this process, whatever is attached to its files. False: the kernel has no such
  // means, so its files must not be attached at all.
  virtual bool refuse_returns(uint32_t tgid) { return false; }

  // What a hit of a breakpoint costs its process, measured; 0: links of one process are not to be relied on.
  virtual double hit_cost_ns() { return 0; }
  // By file: how often processes that were not marked as evident met its shared link.
  virtual std::array<uint64_t, LinkReach::kFiles> shared_hits() { return {}; }
  virtual void mark_evident(uint32_t tgid) {}
  enum class Told : uint8_t { kYes, kGone, kRefused };
  // From now on; kGone: there is no such process.
  virtual Told count_link(uint32_t tgid, uint8_t file, CountedLink link) { return Told::kRefused; }
  // Whether a thread is in a TLS call that a link of the process alone, or a shared one, saw begin since that
  // time (CLOCK_MONOTONIC); yes if that cannot be known.
  virtual bool in_call(uint32_t tgid, bool own, uint64_t since_ns) { return true; }
};

// Called on the discovery thread; takes a copy. `event` is followed by the rest of its record.
class EventInjector {
 public:
  virtual ~EventInjector() = default;
  virtual void inject(const llmtap_event_hdr& event) = 0;
};

}  // namespace llmtap
