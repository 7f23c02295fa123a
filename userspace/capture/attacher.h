// SPDX-License-Identifier: Apache-2.0
// What discovery needs of the probe: a way to place breakpoints and a way to hand an event to the
// core. The probe implements both; tests record.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "llmtap/events.h"
#include "llmtap/hook_kinds.h"
#include "llmtap/result.h"

namespace llmtap {

enum class UprobeKind : uint32_t {
  kRead = LLMTAP_HOOK_READ,
  kWrite = LLMTAP_HOOK_WRITE,
  kReadEx = LLMTAP_HOOK_READ_EX,
  kWriteEx = LLMTAP_HOOK_WRITE_EX,
  kWriteEx2 = LLMTAP_HOOK_WRITE_EX2,
  kReadInternal = LLMTAP_HOOK_READ_INTERNAL,
  kWriteInternal4 = LLMTAP_HOOK_WRITE_INTERNAL4,
  kWriteInternal5 = LLMTAP_HOOK_WRITE_INTERNAL5,
  kDoHandshake = LLMTAP_HOOK_DO_HANDSHAKE,
  kConnect = LLMTAP_HOOK_CONNECT,
  kAccept = LLMTAP_HOOK_ACCEPT,
  kSetFd = LLMTAP_HOOK_SET_FD,
  kFree = LLMTAP_HOOK_FREE,
  kShutdown = LLMTAP_HOOK_SHUTDOWN,
  kSetConnectState = LLMTAP_HOOK_SET_CONNECT_STATE,
  kSetAcceptState = LLMTAP_HOOK_SET_ACCEPT_STATE,
};

struct UprobePlace {
  uint64_t offset = 0;  // in the file
  UprobeKind kind = UprobeKind::kRead;
  bool is_return = false;
  bool operator==(const UprobePlace&) const = default;
};

// The breakpoints of one file; they go when it is destroyed.
class AttachedLink {
 public:
  virtual ~AttachedLink() = default;
};

class UprobeAttacher {
 public:
  virtual ~UprobeAttacher() = default;
  // For every process that maps the file. `path` is resolved before this returns.
  virtual Result<std::unique_ptr<AttachedLink>> attach(const std::string& path,
                                                       std::span<const UprobePlace> places) = 0;
};

// Called on the discovery thread; takes a copy. `event` is followed by the rest of its record.
class EventInjector {
 public:
  virtual ~EventInjector() = default;
  virtual void inject(const llmtap_event_hdr& event) = 0;
};

}  // namespace llmtap
