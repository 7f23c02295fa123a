// SPDX-License-Identifier: Apache-2.0
// Timestamped facts beside the bytes, and the interface by which events reach the core: live from
// the kernel, or replayed from a file. Same events, same calls.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "llmtap/events.h"
#include "llmtap/result.h"

namespace llmtap {

// Receives events in the order in which the kernel reserved them. `event` is followed in memory by
// the rest of its record (event.size bytes in all, 8-byte aligned), valid during the call only. The
// source has checked that `size` covers the struct of its type and its payload.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void on_event(const llmtap_event_hdr& event) = 0;
};

// Live ring buffer or recorded file. poll() returns the number of events delivered; a file at its
// end returns an error only for damage, and 0 with at_end() true otherwise.
class EventSource {
 public:
  virtual ~EventSource() = default;
  virtual Result<size_t> poll(EventSink& sink, std::chrono::milliseconds timeout) = 0;
  virtual bool at_end() const { return false; }
};

// A process is (initial-namespace tgid, boot time at start): tgids are reused.
struct ProcessKey {
  uint32_t tgid = 0;
  uint64_t start_ns = 0;
  bool operator==(const ProcessKey&) const = default;
};

struct ProcessFacts {
  ProcessKey key;
  std::string comm;          // name of the main thread
  std::string exe;           // path as the process sees it; "(deleted)" stripped
  std::string workload;      // label: rule, container, unit, script or module, executable; never empty
  std::string container_id;  // 64 hex digits, or empty
  std::string cgroup;
  std::string unit;  // systemd unit, or empty
};

struct Endpoint {
  std::array<uint8_t, 16> address{};  // IPv6, or IPv4-mapped
  uint16_t port = 0;
  bool operator==(const Endpoint&) const = default;
};

enum class Role : uint8_t {
  kUnknown = LLMTAP_ROLE_UNKNOWN,
  kServer = LLMTAP_ROLE_SERVER,
  kClient = LLMTAP_ROLE_CLIENT
};
enum class Source : uint8_t { kSocket = LLMTAP_SOURCE_SOCKET, kOpenSsl = LLMTAP_SOURCE_OPENSSL };

struct ConnectionFacts {
  uint64_t id = 0;
  ProcessKey process;
  Role role = Role::kUnknown;
  Source source = Source::kSocket;
  bool has_addresses = false;
  bool first_byte_seen = false;
  Endpoint local, remote;
  uint32_t netns = 0;
  int32_t fd = -1;
  uint64_t socket_conn_id = 0;  // TLS: the connection id of the socket below it; 0 not known
  uint64_t open_time_ns = 0;    // monotonic; 0: before the probe started
  std::string sni;              // from the ClientHello on the socket below or of itself; may be empty
  bool tls() const { return source != Source::kSocket; }
};

// Reading of the three clocks, to turn monotonic times into wall times.
struct ClockFacts {
  uint64_t monotonic_ns = 0;
  uint64_t boottime_ns = 0;
  uint64_t realtime_ns = 0;
  // Wall time of a monotonic instant, by the last reading.
  uint64_t wall_ns(uint64_t monotonic) const { return realtime_ns + monotonic - monotonic_ns; }
};

}  // namespace llmtap
