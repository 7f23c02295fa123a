// SPDX-License-Identifier: Apache-2.0
// Events in, one ordered byte stream per connection and direction out, gaps known.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/flat_map.h"
#include "base/stats.h"
#include "llmtap/facts.h"
#include "llmtap/limits.h"
#include "llmtap/stream.h"
#include "streams/client_hello.h"
#include "streams/process_table.h"

namespace llmtap {

struct StreamCounters {
  uint64_t connections_opened = 0;  // seen by the sink
  uint64_t connections_ended = 0;
  uint64_t connections_evicted = 0;
  uint64_t connections_not_seen_ending = 0;  // found gone after events were lost
  uint64_t tls_ciphertext_bytes = 0;         // of sockets below TLS: neither delivered nor lost
  uint64_t client_hellos = 0;
  uint64_t malformed_events = 0;
  uint64_t unknown_events = 0;
  std::array<uint64_t, LLMTAP_SOURCE_MAX> clear_connections{};  // whose plaintext was seen, by source
  uint64_t opaque_connections = 0;                              // TLS of which only the records were seen
};

// Books: bytes_in is what passed on connections that are delivered (captured or not), bytes_out what
// the sink received; the rest was left out by a verdict, or is lost by name: a kernel reason, "skipped" (a
// record is missing of which nothing says why), "duplicate", "after_end".
class StreamTable : public EventSink {
 public:
  StreamTable(const Limits& limits, StreamSink& sink);
  ~StreamTable() override;
  StreamTable(const StreamTable&) = delete;
  StreamTable& operator=(const StreamTable&) = delete;

  void on_event(const llmtap_event_hdr& event) override;

  // Never null.
  std::shared_ptr<const ProcessFacts> process(ProcessKey key) const { return processes_.find(key); }
  const ClockFacts& clock() const { return clock_; }
  void set_clock_sink(std::function<void(const ClockFacts&)> sink) { clock_sink_ = std::move(sink); }
  // Told of each ClientHello that names a host, by the socket's connection.
  void set_hello_sink(std::function<void(const ConnectionFacts&)> sink) { hello_sink_ = std::move(sink); }
  // Told once of each TLS connection whose plaintext cannot be seen.
  void set_opaque_sink(std::function<void(const ConnectionFacts&)> sink) { opaque_sink_ = std::move(sink); }
  const StageBooks& books() const { return books_; }
  const StreamCounters& counters() const { return counters_; }
  // The kernel's own counters of losses, as last told; cumulative, by enum llmtap_loss.
  const std::array<uint64_t, LLMTAP_LOST_MAX>& kernel_lost_events() const { return kernel_lost_events_; }
  const std::array<uint64_t, LLMTAP_LOST_MAX>& kernel_lost_bytes() const { return kernel_lost_bytes_; }
  size_t open_connections() const { return connections_.size(); }

 private:
  struct Connection;

  void on_data(const llmtap_data_event&);
  void on_conn(const llmtap_conn_event&);
  void on_conn_end(const llmtap_conn_end_event&);
  void on_exit(const llmtap_process_event&);

  Connection& connection(uint64_t id, ProcessKey process, Source source);
  Connection* find(uint64_t id);
  void touch(Connection&);
  void evict_longest_idle();
  void set_process(Connection&, ProcessKey);
  void open(Connection&);
  void end(Connection&, EndReason, uint64_t time_ns);
  void erase(Connection&);
  void tell_tls_above(const Connection& socket, const llmtap_conn_end_event&);
  void end_without_sockets();
  void gap(Connection&, Direction, uint64_t bytes, const llmtap_event_hdr& record, uint64_t time_ns,
           uint8_t loss);
  void read_hello(Connection&, std::span<const uint8_t> bytes);
  void set_sni(Connection& socket, const std::string& sni);
  void adopt_socket_facts(Connection& tls);
  void remember_tls(ProcessKey);
  void on_ciphertext(Connection&, Direction);
  void judge_opaque(Connection&);

  const Limits limits_;
  StreamSink& sink_;
  ProcessTable processes_;
  FlatMap<uint64_t, Connection, IdHash> connections_;
  uint64_t activity_ = 0;  // counts touches
  // (last touch, id) of the connections when the table was full, longest idle last; who was touched
  // since is not idle. Made again when it is used up.
  std::vector<std::pair<uint64_t, uint64_t>> idle_;
  std::unordered_map<uint32_t, std::unordered_set<uint64_t>> ids_by_tgid_;
  std::unordered_map<uint64_t, uint64_t> tls_id_by_socket_id_;
  // TLS connections whose socket was closed: when they are over at the latest, and which.
  struct WithoutSocket {
    uint64_t due_ns = 0;
    uint64_t id = 0;
    EndReason reason = EndReason::kClosed;
  };
  std::deque<WithoutSocket> without_socket_;
  // Processes whose TLS library is read: their sockets are not opaque, even where nothing tells which
  // TLS object is above which socket (memory BIOs).
  std::unordered_set<uint32_t> tgids_with_clear_tls_;
  ClockFacts clock_;
  std::function<void(const ClockFacts&)> clock_sink_;
  std::function<void(const ConnectionFacts&)> opaque_sink_, hello_sink_;
  std::array<uint64_t, LLMTAP_LOST_MAX> kernel_lost_events_{}, kernel_lost_bytes_{};
  StageBooks books_;
  StreamCounters counters_;
};

}  // namespace llmtap
