// SPDX-License-Identifier: Apache-2.0
#include "links/hop_linker.h"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace llmtap {

namespace {

// How long a finished call may still explain another one: a proxy's inbound call ends after its
// outbound one, by what it buffers.
constexpr uint64_t kRememberNs = 120'000'000'000;
constexpr uint64_t kPruneEveryNs = 5'000'000'000;
// One process rarely has more calls in two minutes; the oldest finished ones go first.
constexpr size_t kOutboundPerProcess = 20'000;

bool is_loopback(const Endpoint& endpoint) {
  static constexpr uint8_t kV4Mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (std::memcmp(endpoint.address.data(), kV4Mapped, sizeof(kV4Mapped)) == 0)
    return endpoint.address[12] == 127;
  return std::all_of(endpoint.address.begin(), endpoint.address.end() - 1,
                     [](uint8_t b) { return b == 0; }) &&
         endpoint.address[15] == 1;
}

}  // namespace

size_t HopLinker::AddressPairHash::operator()(const AddressPair& pair) const {
  const auto* local = reinterpret_cast<const char*>(pair.local.address.data());
  const auto* remote = reinterpret_cast<const char*>(pair.remote.address.data());
  size_t hash = std::hash<std::string_view>{}({local, pair.local.address.size()});
  hash = hash * 31 + std::hash<std::string_view>{}({remote, pair.remote.address.size()});
  return hash * 31 + (size_t{pair.local.port} << 16 | pair.remote.port) + pair.netns;
}

HopLinker::AddressPair HopLinker::mirrored(const ConnectionFacts& connection) {
  return {connection.remote, connection.local, is_loopback(connection.local) ? connection.netns : 0};
}

bool HopLinker::far_end_observed(const LlmCall& call) const {
  const ConnectionFacts& connection = call.connection;
  if (connection.has_addresses) {
    const AddressPair own{connection.local, connection.remote,
                          is_loopback(connection.local) ? connection.netns : 0};
    if (inbound_by_mirror_.contains(own)) return true;
  }
  return !call.response_id.empty() && inbound_response_ids_.contains(call.response_id);
}

HopLinker::Inbound* HopLinker::remember_inbound(const LlmCall& call, uint64_t time_ns) {
  if (!call.connection.has_addresses) return nullptr;
  const AddressPair pair = mirrored(call.connection);
  auto found = inbound_by_mirror_.find(pair);
  if (found == inbound_by_mirror_.end()) {
    if (inbound_by_mirror_.size() >= limits_.connections) {
      ++forgotten_;
      return nullptr;
    }
    found = inbound_by_mirror_.emplace(pair, Inbound{}).first;
  }
  found->second.used_ns = time_ns;
  return &found->second;
}

void HopLinker::on_call_open(const LlmCall& call) {
  if (call.direction == CallDirection::kInbound) {
    if (Inbound* const connection = remember_inbound(call, call.request_start_ns)) ++connection->open;
  } else {
    auto& calls = outbound_by_process_[call.process->key];
    if (calls.size() >= kOutboundPerProcess) {
      calls.pop_front();
      ++forgotten_;
    }
    calls.push_back({.exchange = call.exchange, .start_ns = call.request_start_ns});
  }
  next_.on_call_open(call);
}

HopLinker::Outbound* HopLinker::outbound_of(const LlmCall& inbound) {
  const auto found = outbound_by_process_.find(inbound.process->key);
  if (found == outbound_by_process_.end()) return nullptr;
  Outbound* contained = nullptr;
  for (Outbound& call : found->second) {
    if (call.start_ns < inbound.request_start_ns || call.start_ns > inbound.end_ns) continue;
    const bool same_text = call.fingerprint != 0 && call.fingerprint == inbound.fingerprint;
    const bool same_reply = !call.response_id.empty() && call.response_id == inbound.response_id;
    if (same_text || same_reply) {
      call.claimed = true;
      return &call;
    }
    // A call with another fingerprint serves another inbound call.
    const bool may_serve = call.fingerprint == 0 || inbound.fingerprint == 0;
    if (may_serve && !call.claimed && contained == nullptr) contained = &call;
  }
  if (contained != nullptr) contained->claimed = true;
  return contained;
}

// A gateway tries several times: one refusal among its calls for the same text is enough.
bool HopLinker::refused_upstream(const LlmCall& inbound, const Outbound* served) const {
  if (inbound.status != 429 || served == nullptr) return false;
  if (served->status == 429) return true;
  const auto found = outbound_by_process_.find(inbound.process->key);
  return std::ranges::any_of(found->second, [&](const Outbound& call) {
    return call.status == 429 && call.fingerprint != 0 && call.fingerprint == inbound.fingerprint &&
           call.start_ns >= inbound.request_start_ns && call.start_ns <= inbound.end_ns;
  });
}

void HopLinker::on_call_finished(const LlmCall& call) {
  LlmCall finished = call;
  if (call.direction == CallDirection::kInbound) {
    // Addresses may have become known since it opened.
    if (Inbound* const connection = remember_inbound(call, call.end_ns);
        connection != nullptr && connection->open > 0)
      --connection->open;
    if (!call.response_id.empty() && inbound_response_ids_.size() < limits_.open_calls)
      inbound_response_ids_[call.response_id] = call.end_ns;
    const Outbound* served = outbound_of(call);
    finished.hop = served != nullptr ? Hop::kInner : Hop::kEdge;
    finished.refused_upstream = refused_upstream(call, served);
  } else {
    auto& calls = outbound_by_process_[call.process->key];
    const auto known = std::find_if(calls.rbegin(), calls.rend(),
                                    [&](const Outbound& o) { return o.exchange == call.exchange; });
    if (known != calls.rend()) {
      known->end_ns = call.end_ns;
      known->fingerprint = call.fingerprint;
      known->status = call.status;
      known->response_id = call.response_id;
    }
    finished.hop = far_end_observed(call) ? Hop::kInner : Hop::kEdge;
  }
  finished.cost_booked = finished.hop == Hop::kEdge && finished.cost_usd.has_value();
  next_.on_call_finished(finished);
}

void HopLinker::on_clock(const ClockFacts& clock) {
  if (clock.monotonic_ns >= last_prune_ns_ + kPruneEveryNs) {
    last_prune_ns_ = clock.monotonic_ns;
    const auto old = [&](uint64_t time_ns) { return time_ns + kRememberNs < clock.monotonic_ns; };
    std::erase_if(inbound_by_mirror_,
                  [&](const auto& entry) { return entry.second.open == 0 && old(entry.second.used_ns); });
    std::erase_if(inbound_response_ids_, [&](const auto& entry) { return old(entry.second); });
    for (auto& [process, calls] : outbound_by_process_)
      std::erase_if(calls, [&](const Outbound& call) { return call.end_ns != 0 && old(call.end_ns); });
    std::erase_if(outbound_by_process_, [](const auto& entry) { return entry.second.empty(); });
  }
  next_.on_clock(clock);
}

}  // namespace llmtap
