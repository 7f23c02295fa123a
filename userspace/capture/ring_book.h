// SPDX-License-Identifier: Apache-2.0
// What the core thread knows of the kernel's connections while it reads the ring: enough to address
// a verdict, and to end the TLS objects of a process that is gone.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "llmtap/events.h"
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
  // What map `verdicts` holds for this verdict, and where; nothing for a connection that is gone.
  struct VerdictWord {
    uint32_t slot = 0;
    uint64_t word = 0;
  };
  std::optional<VerdictWord> verdict_word(uint64_t conn_id, Verdict verdict) const;
  size_t connections() const { return connections_.size(); }

 private:
  struct Connection {
    uint64_t ssl = 0;
    uint64_t offset[2] = {0, 0};
    uint32_t tgid = 0;
    uint32_t sequence = 0;
    uint8_t direction = 0;
  };
  void forget(uint64_t conn_id);

  std::unordered_map<uint64_t, Connection> connections_;
  std::unordered_map<uint32_t, std::unordered_set<uint64_t>> tls_by_process_;
};

}  // namespace llmtap
