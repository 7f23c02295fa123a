// SPDX-License-Identifier: Apache-2.0
// What the core thread knows of the kernel's connections while it reads the ring: enough to address
// a verdict, to end the TLS objects of a process that is gone, and to find out which connections and
// processes are gone without a word.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/flat_map.h"
#include "llmtap/events.h"
#include "llmtap/facts.h"
#include "llmtap/verdict.h"

namespace llmtap {

class RingBook {
 public:
  struct TlsObject {
    uint64_t conn_id = 0;
    uint64_t ssl = 0;
    uint32_t tgid = 0;
    uint64_t read_offset = 0, write_offset = 0;
  };

  void note(const llmtap_event_hdr& event);
  // The TLS objects of a process whose address space is gone; forgotten here.
  std::vector<TlsObject> take_process(uint32_t tgid);
  // TLS objects whose socket was closed by then and that are not freed, as far as anybody saw: while their
  // process is not followed nobody does. Each once.
  std::vector<TlsObject> take_without_socket(uint64_t closed_by_ns);
  // What map `verdicts` holds for this verdict, and where; nothing for a connection that is gone.
  struct VerdictWord {
    uint32_t slot = 0;
    uint64_t word = 0;
  };
  std::optional<VerdictWord> verdict_word(uint64_t conn_id, Verdict verdict) const;
  size_t connections() const { return connections_.size(); }

  // From here on mark() tells which connections the kernel still holds. Ones noted later are marked.
  void begin_sweep() { ++sweep_; }
  // False: not known here.
  bool mark(uint64_t conn_id);
  std::vector<uint64_t> unmarked() const;
  // The last word on a connection that is gone without its own; nothing if that came meanwhile.
  std::optional<llmtap_conn_end_event> end_unseen(uint64_t conn_id, uint64_t now_ns) const;
  // Those that used a connection and have not said that they ended.
  std::vector<ProcessKey> processes() const;
  bool has_process(ProcessKey process) const;

 private:
  struct Connection {
    uint64_t ssl = 0;
    uint64_t socket = 0;  // the connection below, while it is open
    uint64_t offset[2] = {0, 0};
    uint32_t tgid = 0;
    uint32_t sequence = 0;
    uint32_t sweep = 0;
    uint8_t direction = 0;
  };
  struct WithoutSocket {
    uint64_t closed_ns = 0, conn_id = 0;
  };
  Connection& connection(const llmtap_event_hdr& event);
  void join(uint64_t conn_id, Connection& tls, uint64_t socket);
  void close_below(const llmtap_event_hdr& event);
  static TlsObject tls_object(uint64_t conn_id, const Connection& connection);
  void forget(uint64_t conn_id);

  FlatMap<uint64_t, Connection, IdHash> connections_;
  std::unordered_map<uint32_t, std::unordered_set<uint64_t>> tls_by_process_;
  std::unordered_map<uint64_t, uint64_t> tls_by_socket_;
  std::deque<WithoutSocket> without_socket_;
  std::unordered_map<uint32_t, uint64_t> process_start_;
  uint32_t sweep_ = 0;
};

}  // namespace llmtap
