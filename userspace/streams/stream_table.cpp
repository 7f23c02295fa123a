// SPDX-License-Identifier: Apache-2.0
#include "streams/stream_table.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "base/check.h"
#include "streams/stream_connection.h"

namespace llmtap {
namespace {

constexpr std::array<std::string_view, LLMTAP_LOST_MAX> kLossNames{
    "none",   "ring_full", "fault",    "too_large", "iovecs",  "no_args", "map_full", "bypass",
    "unseen", "compat",    "redacted", "shed",      "unknown", "unknown", "unknown",  "unknown"};

std::string_view loss_name(uint8_t loss) { return loss < LLMTAP_LOST_MAX ? kLossNames[loss] : "unknown"; }

size_t index(Direction direction) { return static_cast<size_t>(direction); }

// Of the next byte, when it is not known. No record reaches so far.
constexpr uint64_t kUnknownOffset = std::numeric_limits<uint64_t>::max();

// The bytes that the record stands for lie in front of kUnknownOffset, and those it has in the record.
bool within_bounds(const llmtap_data_event& data) {
  return data.captured_bytes <= data.hdr.size - sizeof(data) &&
         data.original_bytes < kUnknownOffset - data.offset;
}

// The record as its own type, or null if it is shorter than that. Every struct starts with the header.
template <typename Event>
const Event* as(const llmtap_event_hdr& event) {
  if (event.size < sizeof(Event)) return nullptr;
  return reinterpret_cast<const Event*>(&event);
}

Role to_role(uint8_t role) {
  if (role == LLMTAP_ROLE_SERVER) return Role::kServer;
  return role == LLMTAP_ROLE_CLIENT ? Role::kClient : Role::kUnknown;
}

// The kernel may know more sources than this list; all but the socket are TLS libraries.
Source to_source(uint8_t source) {
  return source == LLMTAP_SOURCE_SOCKET ? Source::kSocket : Source::kOpenSsl;
}

}  // namespace

StreamTable::StreamTable(const Limits& limits, StreamSink& sink)
    : limits_(limits), sink_(sink), processes_(limits) {}
StreamTable::~StreamTable() = default;

void StreamTable::on_event(const llmtap_event_hdr& event) {
  bool whole = true;
  switch (event.type) {
    case LLMTAP_EVENT_DATA: {
      const auto* data = as<llmtap_data_event>(event);
      if ((whole = data && within_bounds(*data))) on_data(*data);
      break;
    }
    case LLMTAP_EVENT_CONN:
      if (const auto* conn = as<llmtap_conn_event>(event))
        on_conn(*conn);
      else
        whole = false;
      break;
    case LLMTAP_EVENT_CONN_END:
      if (const auto* conn_end = as<llmtap_conn_end_event>(event))
        on_conn_end(*conn_end);
      else
        whole = false;
      break;
    case LLMTAP_EVENT_EXEC:
      if (const auto* exec = as<llmtap_process_event>(event))
        processes_.set_comm({event.tgid, exec->process_start_ns},
                            std::string_view(exec->comm, strnlen(exec->comm, sizeof(exec->comm))));
      else
        whole = false;
      break;
    case LLMTAP_EVENT_EXIT:
      if (const auto* exit = as<llmtap_process_event>(event))
        on_exit(*exit);
      else
        whole = false;
      break;
    case LLMTAP_EVENT_PROCESS: {
      const auto* facts = as<llmtap_process_facts_event>(event);
      if ((whole = facts && facts->text_bytes <= event.size - sizeof(*facts)))
        processes_.set_facts({event.tgid, facts->process_start_ns},
                             std::string_view(reinterpret_cast<const char*>(facts + 1), facts->text_bytes));
      break;
    }
    case LLMTAP_EVENT_CLOCK:
      if (const auto* clock = as<llmtap_clock_event>(event)) {
        clock_ = {event.time_ns, clock->boottime_ns, clock->realtime_ns};
        end_without_sockets();
        if (clock_sink_) clock_sink_(clock_);
      } else {
        whole = false;
      }
      break;
    case LLMTAP_EVENT_LOST:
      if (const auto* lost = as<llmtap_lost_event>(event)) {
        std::copy(std::begin(lost->events), std::end(lost->events), kernel_lost_events_.begin());
        std::copy(std::begin(lost->bytes), std::end(lost->bytes), kernel_lost_bytes_.begin());
      } else {
        whole = false;
      }
      break;
    case LLMTAP_EVENT_MMAP_EXEC: break;  // for discovery
    default: counters_.unknown_events++;
  }
  if (!whole) counters_.malformed_events++;
}

StreamTable::Connection* StreamTable::find(uint64_t id) { return connections_.find(id); }

void StreamTable::touch(Connection& connection) { connection.touched = ++activity_; }

void StreamTable::evict_longest_idle() {
  for (;;) {
    if (idle_.empty()) {
      connections_.for_each(
          [&](uint64_t id, const Connection& each) { idle_.emplace_back(each.touched, id); });
      std::sort(idle_.rbegin(), idle_.rend());
    }
    const auto [touched, id] = idle_.back();
    idle_.pop_back();
    Connection* const idle = find(id);
    if (idle == nullptr || idle->touched != touched) continue;
    counters_.connections_evicted++;
    end(*idle, EndReason::kEvicted, clock_.monotonic_ns);
    erase(*idle);
    return;
  }
}

StreamTable::Connection& StreamTable::connection(uint64_t id, ProcessKey process, Source source) {
  if (Connection* known = find(id)) {
    touch(*known);
    return *known;
  }
  while (connections_.size() >= std::max<size_t>(limits_.connections, 1)) evict_longest_idle();
  Connection& made = connections_.insert(id, std::make_unique<Connection>());
  made.facts.id = id;
  made.facts.source = source;
  made.facts.process = process;
  touch(made);
  ids_by_tgid_[process.tgid].insert(id);
  return made;
}

// A socket is passed on by fork or SCM_RIGHTS: the process is who uses it now.
void StreamTable::set_process(Connection& connection, ProcessKey process) {
  const uint64_t id = connection.facts.id;
  const uint32_t before = connection.facts.process.tgid;
  if (before != process.tgid) {
    const auto ids = ids_by_tgid_.find(before);
    ids->second.erase(id);
    if (ids->second.empty()) ids_by_tgid_.erase(ids);
    ids_by_tgid_[process.tgid].insert(id);
  }
  connection.facts.process = process;
}

void StreamTable::open(Connection& connection) {
  if (connection.opened) return;
  connection.opened = true;
  counters_.connections_opened++;
  counters_.clear_connections[static_cast<size_t>(connection.facts.source)]++;
  sink_.on_open(connection.facts);
}

void StreamTable::end(Connection& connection, EndReason reason, uint64_t time_ns) {
  judge_opaque(connection);
  const bool by_us = reason == EndReason::kClosed || reason == EndReason::kProcessExit;
  if (by_us) reason = connection.peer_left.value_or(reason);
  if (connection.opened && !connection.ended) {
    counters_.connections_ended++;
    if (reason == EndReason::kNotSeen) counters_.connections_not_seen_ending++;
    sink_.on_end(connection.facts, reason, time_ns);
  }
  connection.ended = true;
}

void StreamTable::erase(Connection& connection) {
  const ConnectionFacts& facts = connection.facts;
  const auto ids = ids_by_tgid_.find(facts.process.tgid);
  LLMTAP_CHECK(ids != ids_by_tgid_.end());
  ids->second.erase(facts.id);
  if (ids->second.empty()) ids_by_tgid_.erase(ids);
  if (facts.socket_conn_id) {
    const auto above = tls_id_by_socket_id_.find(facts.socket_conn_id);
    if (above != tls_id_by_socket_id_.end() && above->second == facts.id) tls_id_by_socket_id_.erase(above);
  }
  const uint64_t id = facts.id;
  connections_.erase(id);
}

// In front of `record`.
void StreamTable::gap(Connection& connection, Direction direction, uint64_t bytes,
                      const llmtap_event_hdr& record, uint64_t time_ns, uint8_t loss) {
  books_.bytes_in += bytes;
  if ((record.flags & LLMTAP_FLAG_LEFT_OUT) != 0)
    books_.bytes_left_out += bytes;
  else
    books_.lose(loss == LLMTAP_LOST_NONE ? "skipped" : loss_name(loss), 0, bytes);
  sink_.on_gap(connection.facts, direction, bytes, time_ns);
}

void StreamTable::on_data(const llmtap_data_event& data) {
  const uint64_t id = data.hdr.conn_id;
  Connection* known = find(id);
  if (!known) {
    known = &connection(id, processes_.newest(data.hdr.tgid), to_source(data.source));
    known->offsets_known = false;
    if (known->facts.source != Source::kSocket) remember_tls(known->facts.process);
  } else {
    touch(*known);
  }
  Connection& conn = *known;
  const auto direction = data.direction == LLMTAP_WRITE ? Direction::kWrite : Direction::kRead;
  const uint64_t time_ns =
      direction == Direction::kWrite && data.entry_time_ns ? data.entry_time_ns : data.hdr.time_ns;
  if (conn.facts.process.tgid != data.hdr.tgid) {
    set_process(conn, processes_.newest(data.hdr.tgid));
    if (conn.opened && !conn.ended) sink_.on_facts(conn.facts);
  }

  if (conn.ended) {
    books_.items_in++;
    books_.bytes_in += data.original_bytes;
    books_.lose("after_end", 1, data.original_bytes);
    return;
  }
  std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(&data + 1),
                                 std::min(data.captured_bytes, data.original_bytes));
  if (conn.facts.source == Source::kSocket && !conn.opened && data.message_class == LLMTAP_CLASS_TLS)
    conn.ciphertext = true;
  // TLS may also begin later, behind a CONNECT or STARTTLS: then what went before was delivered.
  if (data.message_class == LLMTAP_CLASS_TLS && conn.facts.source == Source::kSocket && !conn.hello &&
      conn.facts.sni.empty()) {
    conn.hello = std::make_unique<ClientHelloReader>(limits_.client_hello_bytes);
    conn.hello_direction = direction;
  }
  if (conn.hello && conn.hello_direction == direction) read_hello(conn, bytes);
  if (conn.ciphertext) {
    counters_.tls_ciphertext_bytes += data.original_bytes;
    on_ciphertext(conn, direction);
    return;
  }

  books_.items_in++;
  uint64_t& expected = conn.expected[index(direction)];
  if (!conn.offsets_known) {
    // Met by its bytes alone: nothing is known of what went before, in either direction.
    conn.offsets_known = true;
    conn.expected[index(direction)] = data.offset;
    conn.expected[1 - index(direction)] = kUnknownOffset;
  } else if (expected == kUnknownOffset) {
    expected = data.offset;
  }
  open(conn);
  if (data.offset > expected) {
    gap(conn, direction, data.offset - expected, data.hdr, time_ns, LLMTAP_LOST_NONE);
    expected = data.offset;
  }
  uint64_t original = data.original_bytes;
  uint64_t offset = data.offset;
  books_.bytes_in += original;
  if (offset < expected) {
    const uint64_t again = std::min(expected - offset, original);
    books_.lose("duplicate", again == original ? 1 : 0, again);
    original -= again;
    offset += again;
    bytes = bytes.subspan(std::min<size_t>(again, bytes.size()));
    if (original == 0) return;
  }
  expected = offset + original;
  books_.items_out++;
  if (!bytes.empty()) {
    books_.bytes_out += bytes.size();
    sink_.on_chunk(conn.facts, direction, {bytes, offset, time_ns});
  }
  if (const uint64_t missing = original - bytes.size(); missing != 0) {
    if (data.loss == LLMTAP_LOST_NONE)
      books_.bytes_left_out += missing;
    else
      books_.lose(loss_name(data.loss), 0, missing);
    sink_.on_gap(conn.facts, direction, missing, time_ns);
  }
}

void StreamTable::on_conn(const llmtap_conn_event& event) {
  const ProcessKey process{event.hdr.tgid, event.process_start_ns};
  Connection& conn = connection(event.hdr.conn_id, process, to_source(event.source));
  ConnectionFacts& facts = conn.facts;
  set_process(conn, process);
  // A later event may know less (a failed walk): known facts stay.
  if (event.role != LLMTAP_ROLE_UNKNOWN) facts.role = to_role(event.role);
  facts.source = to_source(event.source);
  if (facts.source != Source::kSocket) remember_tls(facts.process);
  if (event.has_addresses) {
    facts.has_addresses = true;
    std::copy(std::begin(event.local_address), std::end(event.local_address), facts.local.address.begin());
    std::copy(std::begin(event.remote_address), std::end(event.remote_address), facts.remote.address.begin());
    facts.local.port = event.local_port;
    facts.remote.port = event.remote_port;
  }
  facts.first_byte_seen = event.first_byte_seen != 0;
  if (event.netns) facts.netns = event.netns;
  if (event.fd >= 0) facts.fd = event.fd;
  if (event.open_time_ns) facts.open_time_ns = event.open_time_ns;
  if (event.socket_conn_id && facts.source != Source::kSocket && event.socket_conn_id != facts.id) {
    if (facts.socket_conn_id && facts.socket_conn_id != event.socket_conn_id)
      tls_id_by_socket_id_.erase(facts.socket_conn_id);
    facts.socket_conn_id = event.socket_conn_id;
    tls_id_by_socket_id_[facts.socket_conn_id] = facts.id;
  }
  adopt_socket_facts(conn);
  if (conn.opened && !conn.ended) sink_.on_facts(facts);
}

void StreamTable::on_conn_end(const llmtap_conn_end_event& event) {
  Connection* conn = find(event.hdr.conn_id);
  if (!conn) return;
  const uint64_t time_ns = event.hdr.time_ns;
  const bool delivered = conn->opened && !conn->ended && !conn->ciphertext;
  if (delivered) {
    const std::array<uint64_t, 2> total{std::min<uint64_t>(event.read_offset, kUnknownOffset - 1),
                                        std::min<uint64_t>(event.write_offset, kUnknownOffset - 1)};
    for (const Direction direction : {Direction::kRead, Direction::kWrite}) {
      uint64_t& expected = conn->expected[index(direction)];
      if (total[index(direction)] <= expected) continue;
      gap(*conn, direction, total[index(direction)] - expected, event.hdr, time_ns,
          event.loss[index(direction)]);
      expected = total[index(direction)];
    }
  }
  if (conn->facts.source == Source::kSocket) tell_tls_above(*conn, event);
  const bool not_seen = (event.hdr.flags & LLMTAP_FLAG_NOT_SEEN) != 0;
  switch (event.reason) {
    case LLMTAP_END_SHUTDOWN_WRITE:
    case LLMTAP_END_EOF: {
      const bool eof = event.reason == LLMTAP_END_EOF;
      const Direction direction = eof ? Direction::kRead : Direction::kWrite;
      touch(*conn);
      if (!delivered || conn->direction_ended[index(direction)]) return;
      conn->direction_ended[index(direction)] = true;
      sink_.on_direction_end(conn->facts, direction, eof ? EndReason::kPeerClosed : EndReason::kClosed,
                             time_ns);
      return;
    }
    case LLMTAP_END_RESET:
      // The descriptor lives on until it is closed: kept, so that what still comes opens nothing.
      end(*conn, EndReason::kReset, time_ns);
      return;
    case LLMTAP_END_EXIT:
      end(*conn, not_seen ? EndReason::kNotSeen : EndReason::kProcessExit, time_ns);
      break;
    default: end(*conn, not_seen ? EndReason::kNotSeen : EndReason::kClosed, time_ns);
  }
  erase(*conn);
}

void StreamTable::on_exit(const llmtap_process_event& event) {
  ProcessKey key{event.hdr.tgid, event.process_start_ns};
  if (key.start_ns == 0) key = processes_.newest(key.tgid);
  processes_.set_ended(key);
  const auto ids = ids_by_tgid_.find(key.tgid);
  if (ids == ids_by_tgid_.end()) {
    tgids_with_clear_tls_.erase(key.tgid);
    return;
  }
  const bool not_seen = (event.hdr.flags & LLMTAP_FLAG_NOT_SEEN) != 0;
  // In the order of their ids, so that a replay gives the same calls in the same order.
  std::vector<uint64_t> ordered(ids->second.begin(), ids->second.end());
  std::sort(ordered.begin(), ordered.end());
  for (const uint64_t id : ordered) {
    Connection* conn = find(id);
    // A socket lives until its last descriptor is closed, which the kernel says: another process may
    // have it by fork or SCM_RIGHTS.
    if (conn->facts.source == Source::kSocket && !not_seen) continue;
    const uint64_t start_ns = conn->facts.process.start_ns;
    if (start_ns && key.start_ns && start_ns != key.start_ns) continue;
    end(*conn, not_seen ? EndReason::kNotSeen : EndReason::kProcessExit, event.hdr.time_ns);
    erase(*conn);
  }
  tgids_with_clear_tls_.erase(key.tgid);
}

}  // namespace llmtap
