// SPDX-License-Identifier: Apache-2.0
// What a TLS object and the socket below it tell of each other, and which TLS is not read at all.
#include <memory>
#include <string>

#include "streams/stream_connection.h"
#include "streams/stream_table.h"

namespace llmtap {
namespace {

// So long after its socket was closed a TLS object may still be read from; then it is over, freed or not.
constexpr uint64_t kReadAfterCloseNs = 1'000'000'000;

// Hello, the server's flight, and what follows it: by then a library that is read has shown itself.
constexpr uint8_t kTurnsToJudge = 3;

}  // namespace

void StreamTable::remember_tls(ProcessKey process) {
  if (tgids_with_clear_tls_.size() >= limits_.processes) tgids_with_clear_tls_.clear();
  tgids_with_clear_tls_.insert(process.tgid);
}

void StreamTable::on_ciphertext(Connection& connection, Direction direction) {
  if (connection.judged) return;
  if (connection.turns == 0 || direction != connection.last_direction) ++connection.turns;
  connection.last_direction = direction;
  if (connection.turns >= kTurnsToJudge) judge_opaque(connection);
}

void StreamTable::judge_opaque(Connection& connection) {
  if (connection.judged || !connection.ciphertext) return;
  connection.judged = true;
  if (tls_id_by_socket_id_.contains(connection.facts.id) ||
      tgids_with_clear_tls_.contains(connection.facts.process.tgid))
    return;
  counters_.opaque_connections++;
  if (opaque_sink_) opaque_sink_(connection.facts);
}

void StreamTable::read_hello(Connection& conn, std::span<const uint8_t> bytes) {
  switch (conn.hello->feed(bytes)) {
    case ClientHelloReader::State::kMore: return;
    case ClientHelloReader::State::kDone: {
      counters_.client_hellos++;
      const std::string sni = conn.hello->hello().sni;
      conn.hello.reset();
      if (!sni.empty()) set_sni(conn, sni);
      return;
    }
    case ClientHelloReader::State::kNotHello: conn.hello.reset(); return;
  }
}

void StreamTable::set_sni(Connection& socket, const std::string& sni) {
  socket.facts.sni = sni;
  if (hello_sink_) hello_sink_(socket.facts);
  if (socket.opened && !socket.ended) sink_.on_facts(socket.facts);
  const auto above = tls_id_by_socket_id_.find(socket.facts.id);
  Connection* tls = above == tls_id_by_socket_id_.end() ? nullptr : find(above->second);
  if (!tls || tls->facts.sni == sni) return;
  tls->facts.sni = sni;
  if (tls->opened && !tls->ended) sink_.on_facts(tls->facts);
}

// What the socket below knows and the TLS object does not.
void StreamTable::adopt_socket_facts(Connection& tls) {
  ConnectionFacts& facts = tls.facts;
  const Connection* socket =
      facts.socket_conn_id && facts.socket_conn_id != facts.id ? find(facts.socket_conn_id) : nullptr;
  if (!socket) return;
  const ConnectionFacts& below = socket->facts;
  if (facts.sni.empty()) facts.sni = below.sni;
  if (!facts.has_addresses && below.has_addresses) {
    facts.has_addresses = true;
    facts.local = below.local;
    facts.remote = below.remote;
  }
  if (facts.role == Role::kUnknown) facts.role = below.role;
  if (facts.open_time_ns == 0) facts.open_time_ns = below.open_time_ns;
}

void StreamTable::tell_tls_above(const Connection& socket, const llmtap_conn_end_event& event) {
  const auto above = tls_id_by_socket_id_.find(socket.facts.id);
  Connection* const tls = above == tls_id_by_socket_id_.end() ? nullptr : find(above->second);
  if (!tls || tls->ended) return;
  switch (event.reason) {
    case LLMTAP_END_EOF:
    case LLMTAP_END_RESET:
      if (!tls->peer_left)
        tls->peer_left = event.reason == LLMTAP_END_EOF ? EndReason::kPeerClosed : EndReason::kReset;
      break;
    case LLMTAP_END_CLOSED:
      without_socket_.push_back({.due_ns = event.hdr.time_ns + kReadAfterCloseNs,
                                 .id = tls->facts.id,
                                 .reason = (event.hdr.flags & LLMTAP_FLAG_NOT_SEEN) != 0
                                               ? EndReason::kNotSeen
                                               : EndReason::kClosed});
      break;
    default: break;
  }
}

void StreamTable::end_without_sockets() {
  while (!without_socket_.empty() && without_socket_.front().due_ns <= clock_.monotonic_ns) {
    const WithoutSocket& over = without_socket_.front();
    if (Connection* const tls = find(over.id); tls != nullptr && !tls->ended)
      end(*tls, over.reason, over.due_ns - kReadAfterCloseNs);
    without_socket_.pop_front();
  }
}

}  // namespace llmtap
