// SPDX-License-Identifier: Apache-2.0
#include "capture/ring_book.h"

namespace llmtap {
namespace {

constexpr uint64_t kSlots = 65536;           // LLMTAP_VERDICT_SLOTS of bpf/lib/maps.bpf.h
constexpr size_t kConnections = 2 * 131072;  // twice what the kernel's map holds
constexpr uint64_t kLow28 = (1ULL << 28) - 1;

}  // namespace

void RingBook::note(const llmtap_event_hdr& event) {
  switch (event.type) {
    case LLMTAP_EVENT_CONN: {
      const auto& conn = reinterpret_cast<const llmtap_conn_event&>(event);
      // The ends of some may have been lost to a full ring.
      if (connections_.size() >= kConnections) forget(connections_.begin()->first);
      Connection& known = connections_[event.conn_id];
      known.ssl = conn.tls_object;
      known.tgid = event.tgid;
      if (conn.tls_object != 0) tls_by_process_[event.tgid].insert(event.conn_id);
      break;
    }
    case LLMTAP_EVENT_DATA: {
      const auto& data = reinterpret_cast<const llmtap_data_event&>(event);
      const auto it = connections_.find(event.conn_id);
      if (it == connections_.end()) break;
      it->second.direction = data.direction;
      it->second.sequence = data.sequence;
      it->second.offset[data.direction] = data.offset + data.original_bytes;
      break;
    }
    case LLMTAP_EVENT_CONN_END: {
      const auto reason = reinterpret_cast<const llmtap_conn_end_event&>(event).reason;
      if (reason == LLMTAP_END_CLOSED || reason == LLMTAP_END_EXIT) forget(event.conn_id);
      break;
    }
    default: break;
  }
}

void RingBook::forget(uint64_t conn_id) {
  const auto it = connections_.find(conn_id);
  if (it == connections_.end()) return;
  if (it->second.ssl != 0) {
    const auto process = tls_by_process_.find(it->second.tgid);
    if (process != tls_by_process_.end()) {
      process->second.erase(conn_id);
      if (process->second.empty()) tls_by_process_.erase(process);
    }
  }
  connections_.erase(it);
}

std::vector<RingBook::TlsObject> RingBook::take_process(uint32_t tgid) {
  std::vector<TlsObject> gone;
  const auto process = tls_by_process_.find(tgid);
  if (process == tls_by_process_.end()) return gone;
  for (const uint64_t id : process->second) {
    const auto it = connections_.find(id);
    if (it == connections_.end()) continue;
    gone.push_back({.conn_id = id,
                    .ssl = it->second.ssl,
                    .tgid = tgid,
                    .read_offset = it->second.offset[LLMTAP_READ],
                    .write_offset = it->second.offset[LLMTAP_WRITE]});
    connections_.erase(it);
  }
  tls_by_process_.erase(process);
  return gone;
}

std::optional<RingBook::VerdictWord> RingBook::verdict_word(uint64_t conn_id, Verdict verdict) const {
  const auto it = connections_.find(conn_id);
  if (it == connections_.end()) return std::nullopt;
  const Connection& conn = it->second;
  return VerdictWord{.slot = static_cast<uint32_t>(conn_id % kSlots),
                     .word = ((conn_id / kSlots) & kLow28) << 36 | (conn.sequence & kLow28) << 8 |
                             static_cast<uint64_t>(conn.direction & 1) << 4 | static_cast<uint64_t>(verdict)};
}

}  // namespace llmtap
