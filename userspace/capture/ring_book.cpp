// SPDX-License-Identifier: Apache-2.0
#include "capture/ring_book.h"

#include <algorithm>
#include <memory>

#include "base/check.h"

namespace llmtap {
namespace {

constexpr uint64_t kSlots = 65536;           // LLMTAP_VERDICT_SLOTS of bpf/lib/maps.bpf.h
constexpr size_t kConnections = 2 * 131072;  // twice what the kernel's map holds
constexpr size_t kProcesses = 65536;
constexpr uint64_t kLow28 = (1ULL << 28) - 1;

}  // namespace

void RingBook::note(const llmtap_event_hdr& event) {
  switch (event.type) {
    case LLMTAP_EVENT_CONN: {
      const auto& conn = reinterpret_cast<const llmtap_conn_event&>(event);
      Connection& known = connection(event);
      known.ssl = conn.tls_object;
      known.tgid = event.tgid;
      if (conn.tls_object != 0) {
        tls_by_process_[event.tgid].insert(event.conn_id);
        if (conn.socket_conn_id != 0) join(event.conn_id, known, conn.socket_conn_id);
      }
      if (process_start_.size() < kProcesses || process_start_.contains(event.tgid))
        process_start_[event.tgid] = conn.process_start_ns;
      break;
    }
    case LLMTAP_EVENT_DATA: {
      const auto& data = reinterpret_cast<const llmtap_data_event&>(event);
      // Its CONN may have been lost to a full ring, and then its end will never be told.
      Connection& known = connection(event);
      known.direction = data.direction;
      known.sequence = data.sequence;
      known.offset[data.direction] = data.offset + data.original_bytes;
      break;
    }
    case LLMTAP_EVENT_CONN_END: {
      const auto reason = reinterpret_cast<const llmtap_conn_end_event&>(event).reason;
      if (reason != LLMTAP_END_CLOSED && reason != LLMTAP_END_EXIT) break;
      close_below(event);
      forget(event.conn_id);
      break;
    }
    case LLMTAP_EVENT_EXIT: process_start_.erase(event.tgid); break;
    default: break;
  }
}

RingBook::Connection& RingBook::connection(const llmtap_event_hdr& event) {
  if (Connection* const known = connections_.find(event.conn_id)) return *known;
  if (connections_.size() >= kConnections) forget(connections_.near(event.conn_id));
  Connection& made = connections_.insert(event.conn_id, std::make_unique<Connection>());
  made.tgid = event.tgid;
  made.sweep = sweep_;
  return made;
}

void RingBook::join(uint64_t conn_id, Connection& tls, uint64_t socket) {
  if (tls.socket == socket) return;
  if (const auto old = tls_by_socket_.find(tls.socket); old != tls_by_socket_.end() && old->second == conn_id)
    tls_by_socket_.erase(old);
  tls.socket = socket;
  if (socket != 0) tls_by_socket_[socket] = conn_id;
}

// A socket is closed: the TLS object above it has nothing to wait for.
void RingBook::close_below(const llmtap_event_hdr& event) {
  const auto above = tls_by_socket_.find(event.conn_id);
  if (above == tls_by_socket_.end()) return;
  const uint64_t id = above->second;
  tls_by_socket_.erase(above);
  Connection* const tls = connections_.find(id);
  LLMTAP_CHECK(tls != nullptr);
  tls->socket = 0;
  without_socket_.push_back({.closed_ns = event.time_ns, .conn_id = id});
}

std::vector<RingBook::TlsObject> RingBook::take_without_socket(uint64_t closed_by_ns) {
  std::vector<TlsObject> objects;
  for (; !without_socket_.empty() && without_socket_.front().closed_ns <= closed_by_ns;
       without_socket_.pop_front()) {
    const uint64_t id = without_socket_.front().conn_id;
    const Connection* const known = connections_.find(id);
    // Freed by now, or above another socket.
    if (known != nullptr && known->socket == 0) objects.push_back(tls_object(id, *known));
  }
  return objects;
}

bool RingBook::mark(uint64_t conn_id) {
  Connection* const known = connections_.find(conn_id);
  if (known == nullptr) return false;
  known->sweep = sweep_;
  return true;
}

std::vector<uint64_t> RingBook::unmarked() const {
  std::vector<uint64_t> ids;
  connections_.for_each([&](uint64_t id, const Connection& connection) {
    if (connection.sweep != sweep_) ids.push_back(id);
  });
  std::sort(ids.begin(), ids.end());
  return ids;
}

std::optional<llmtap_conn_end_event> RingBook::end_unseen(uint64_t conn_id, uint64_t now_ns) const {
  const Connection* const known = connections_.find(conn_id);
  if (known == nullptr) return std::nullopt;
  llmtap_conn_end_event end{};
  end.hdr.time_ns = now_ns;
  end.hdr.size = sizeof(end);
  end.hdr.type = LLMTAP_EVENT_CONN_END;
  end.hdr.flags = LLMTAP_FLAG_NOT_SEEN;
  end.hdr.tgid = known->tgid;
  end.hdr.conn_id = conn_id;
  end.read_offset = known->offset[LLMTAP_READ];
  end.write_offset = known->offset[LLMTAP_WRITE];
  end.reason = LLMTAP_END_CLOSED;
  return end;
}

std::vector<ProcessKey> RingBook::processes() const {
  std::vector<ProcessKey> keys;
  keys.reserve(process_start_.size());
  for (const auto& [tgid, start_ns] : process_start_) keys.push_back({tgid, start_ns});
  return keys;
}

bool RingBook::has_process(ProcessKey process) const {
  const auto it = process_start_.find(process.tgid);
  return it != process_start_.end() && it->second == process.start_ns;
}

void RingBook::forget(uint64_t conn_id) {
  Connection* const known = connections_.find(conn_id);
  if (known == nullptr) return;
  if (known->ssl != 0) {
    const auto process = tls_by_process_.find(known->tgid);
    if (process != tls_by_process_.end()) {
      process->second.erase(conn_id);
      if (process->second.empty()) tls_by_process_.erase(process);
    }
    join(conn_id, *known, 0);
  }
  connections_.erase(conn_id);
}

RingBook::TlsObject RingBook::tls_object(uint64_t conn_id, const Connection& connection) {
  return {.conn_id = conn_id,
          .ssl = connection.ssl,
          .tgid = connection.tgid,
          .read_offset = connection.offset[LLMTAP_READ],
          .write_offset = connection.offset[LLMTAP_WRITE]};
}

std::vector<RingBook::TlsObject> RingBook::take_process(uint32_t tgid) {
  std::vector<TlsObject> gone;
  const auto process = tls_by_process_.find(tgid);
  if (process == tls_by_process_.end()) return gone;
  for (const uint64_t id : process->second) {
    Connection* const known = connections_.find(id);
    if (known == nullptr) continue;
    gone.push_back(tls_object(id, *known));
    join(id, *known, 0);
    connections_.erase(id);
  }
  tls_by_process_.erase(process);
  return gone;
}

std::optional<RingBook::VerdictWord> RingBook::verdict_word(uint64_t conn_id, Verdict verdict) const {
  const Connection* const known = connections_.find(conn_id);
  if (known == nullptr) return std::nullopt;
  const Connection& conn = *known;
  return VerdictWord{.slot = static_cast<uint32_t>(conn_id % kSlots),
                     .word = ((conn_id / kSlots) & kLow28) << 36 | (conn.sequence & kLow28) << 8 |
                             static_cast<uint64_t>(conn.direction & 1) << 4 | static_cast<uint64_t>(verdict)};
}

}  // namespace llmtap
