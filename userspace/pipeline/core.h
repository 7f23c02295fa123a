// SPDX-License-Identifier: Apache-2.0
// The core: streams -> protocols -> llm -> links -> sinks, one thread, no kernel, clock or file. The
// daemon and replay feed it the same events and get the same calls.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "links/hop_linker.h"
#include "llm/call_tracker.h"
#include "llmtap/facts.h"
#include "llmtap/limits.h"
#include "llmtap/sink.h"
#include "llmtap/verdict.h"
#include "pipeline/coverage_book.h"
#include "pipeline/evidence_book.h"
#include "protocols/connection_readers.h"
#include "streams/stream_table.h"

namespace llmtap {

// Hands each call to every sink.
class FanOut : public CallSink {
 public:
  explicit FanOut(std::vector<CallSink*> sinks) : sinks_(std::move(sinks)) {}
  void on_call_open(const LlmCall& call) override {
    for (CallSink* sink : sinks_) sink->on_call_open(call);
  }
  void on_call_finished(const LlmCall& call) override {
    for (CallSink* sink : sinks_) sink->on_call_finished(call);
  }
  void on_http_open(const HttpExchange& exchange) override {
    for (CallSink* sink : sinks_) sink->on_http_open(exchange);
  }
  void on_http_finished(const HttpExchange& exchange) override {
    for (CallSink* sink : sinks_) sink->on_http_finished(exchange);
  }
  void on_clock(const ClockFacts& clock) override {
    for (CallSink* sink : sinks_) sink->on_clock(clock);
  }

 private:
  std::vector<CallSink*> sinks_;
};

// A copy of every counter of the core, taken between two events.
struct CoreStats {
  StageBooks streams, protocols, llm;
  StreamCounters stream_counters;
  ProtocolCounters protocol_counters;
  CallTrackerCounters call_counters;
  std::array<uint64_t, LLMTAP_LOST_MAX> kernel_lost_events{}, kernel_lost_bytes{};
  uint64_t open_connections = 0, open_exchanges = 0;
  uint64_t links_forgotten = 0;
  uint64_t wall_clock_steps = 0;
  ConnectionReaders::OpenCounts connections;
  std::map<std::string, WorkloadCoverage> coverage;
  std::string prices_version;
  std::optional<int64_t> prices_updated_s;
};

class Core : public EventSink {
 public:
  // Sinks and verdicts outlive the core.
  Core(const Limits& limits, const CallTrackerOptions& options, std::vector<CallSink*> sinks,
       VerdictSink& verdicts);
  void on_event(const llmtap_event_hdr& event) override { streams_.on_event(event); }
  // targets.ports
  void set_plain_ports(std::vector<uint16_t> ports) { readers_.set_plain_ports(std::move(ports)); }
  // Once for each process that makes LLM calls or is about to, by the host that it asks for. Core thread.
  void set_evidence_sink(std::function<void(ProcessKey)> sink) { evidence_.set_sink(std::move(sink)); }
  void tell_evidence_again() { evidence_.tell_again(); }
  void mute_sooner(bool sooner) { readers_.mute_sooner(sooner); }
  void set_prices(std::shared_ptr<const PriceTable> prices) { calls_.set_prices(std::move(prices)); }
  // Everything that is open is finished as incomplete: shutdown, end of a replay.
  void finish();
  CoreStats stats() const;

 private:
  void on_clock(const ClockFacts& clock);

  // llm/ speaks of exchanges; what that means for their connection protocols/ knows.
  class ExchangeVerdicts : public VerdictSink {
   public:
    explicit ExchangeVerdicts(Core& core) : core_(core) {}
    void set_verdict(uint64_t connection_id, Verdict verdict) override {
      core_.readers_.exchange_verdict(connection_id, verdict);
    }

   private:
    Core& core_;
  };

  const Limits limits_;
  CoverageBook coverage_;
  EvidenceBook evidence_;
  FanOut sinks_;
  HopLinker links_;
  ExchangeVerdicts exchange_verdicts_{*this};
  CallTracker calls_;
  ConnectionReaders readers_;
  StreamTable streams_;
  ClockFacts last_clock_;
  uint64_t wall_clock_steps_ = 0;
};

}  // namespace llmtap
