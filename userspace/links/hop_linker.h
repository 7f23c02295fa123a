// SPDX-License-Identifier: Apache-2.0
// One physical call is seen several times on a node: at the client's egress, at a proxy's ingress and
// egress, at the server's ingress. Each is a call of its own; this says which one counts.
//
// edge:  an outbound call whose far end is no observed process of this node, or an inbound call whose
//        process made no outbound call for it (the innermost one).
// inner: every other. Sums over edge count each call once; cost is booked at the edge alone.
//
// Evidence, best first: mirrored addresses of two connections of this node (an outbound call's far
// end), then response ids; for an inbound call and the outbound calls of the same process: equal
// fingerprint of the last user message, equal response id, containment in time.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>

#include "base/process_key_hash.h"
#include "llmtap/limits.h"
#include "llmtap/sink.h"

namespace llmtap {

class HopLinker : public CallSink {
 public:
  HopLinker(const Limits& limits, CallSink& next) : limits_(limits), next_(next) {}

  void on_call_open(const LlmCall& call) override;
  void on_call_finished(const LlmCall& call) override;
  void on_http_open(const HttpExchange& exchange) override { next_.on_http_open(exchange); }
  void on_http_finished(const HttpExchange& exchange) override { next_.on_http_finished(exchange); }
  void on_clock(const ClockFacts& clock) override;

  // Calls that could not be remembered because a table was full; they are taken as edge.
  uint64_t forgotten() const { return forgotten_; }

 private:
  struct AddressPair {
    Endpoint local, remote;
    uint32_t netns = 0;  // of loopback addresses only: every namespace has its own
    bool operator==(const AddressPair&) const = default;
  };
  struct AddressPairHash {
    size_t operator()(const AddressPair&) const;
  };
  struct Inbound {
    uint64_t used_ns = 0;
    uint32_t open = 0;  // calls
  };
  struct Outbound {
    ExchangeId exchange;
    uint64_t start_ns = 0, end_ns = 0;  // end 0: still open
    uint64_t fingerprint = 0;
    std::string response_id;
    int status = 0;
    bool claimed = false;  // by an inbound call, by time alone
  };

  static AddressPair mirrored(const ConnectionFacts& connection);
  bool far_end_observed(const LlmCall& call) const;
  // The outbound call that served it, or null.
  Outbound* outbound_of(const LlmCall& inbound);
  bool refused_upstream(const LlmCall& inbound, const Outbound* served) const;
  // The entry of the call's connection; null when there can be none.
  Inbound* remember_inbound(const LlmCall& call, uint64_t time_ns);

  const Limits& limits_;
  CallSink& next_;
  // (remote, local) of a connection on which a process of this node received an LLM call. Written when
  // an inbound call opens and finishes, pruned by age when none is open.
  std::unordered_map<AddressPair, Inbound, AddressPairHash> inbound_by_mirror_;
  // Response ids of finished inbound calls -> when; for far ends whose addresses are not known.
  std::unordered_map<std::string, uint64_t> inbound_response_ids_;
  std::unordered_map<ProcessKey, std::deque<Outbound>, ProcessKeyHash> outbound_by_process_;
  uint64_t forgotten_ = 0;
  uint64_t last_prune_ns_ = 0;
};

}  // namespace llmtap
