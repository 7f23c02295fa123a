// SPDX-License-Identifier: Apache-2.0
#include "pipeline/core.h"

#include <cstdlib>
#include <initializer_list>

namespace llmtap {

namespace {

// Wall and boot clock drift apart by microseconds between two readings; a difference beyond this was a step.
constexpr int64_t kStepNs = 500'000'000;

std::vector<CallSink*> with(std::vector<CallSink*> sinks, std::initializer_list<CallSink*> more) {
  sinks.insert(sinks.end(), more);
  return sinks;
}

}  // namespace

Core::Core(const Limits& limits, const CallTrackerOptions& options, std::vector<CallSink*> sinks,
           VerdictSink& verdicts)
    : limits_(limits),
      coverage_(limits_, options),
      evidence_(limits_, options),
      sinks_(with(std::move(sinks), {&coverage_, &evidence_})),
      links_(limits_, sinks_),
      calls_(
          limits_, options, [this](ProcessKey key) { return streams_.process(key); }, links_,
          exchange_verdicts_),
      readers_(limits_, calls_, verdicts),
      streams_(limits_, readers_) {
  streams_.set_opaque_sink([this](const ConnectionFacts& facts) {
    coverage_.on_opaque(facts, streams_.process(facts.process)->workload);
  });
  streams_.set_hello_sink([this](const ConnectionFacts& facts) { evidence_.on_hello(facts); });
  streams_.set_clock_sink([this](const ClockFacts& clock) { on_clock(clock); });
}

void Core::on_clock(const ClockFacts& clock) {
  if (last_clock_.realtime_ns != 0) {
    const auto wall = static_cast<int64_t>(clock.realtime_ns - last_clock_.realtime_ns);
    const auto boot = static_cast<int64_t>(clock.boottime_ns - last_clock_.boottime_ns);
    if (std::llabs(wall - boot) > kStepNs) ++wall_clock_steps_;
  }
  last_clock_ = clock;
  calls_.on_clock(clock);
  readers_.on_clock(clock.monotonic_ns);
}

void Core::finish() { calls_.finish_all(last_clock_.monotonic_ns); }

CoreStats Core::stats() const {
  return {.streams = streams_.books(),
          .protocols = readers_.books(),
          .llm = calls_.books(),
          .stream_counters = streams_.counters(),
          .protocol_counters = readers_.counters(),
          .call_counters = calls_.counters(),
          .kernel_lost_events = streams_.kernel_lost_events(),
          .kernel_lost_bytes = streams_.kernel_lost_bytes(),
          .open_connections = streams_.open_connections(),
          .open_exchanges = calls_.open_exchanges(),
          .links_forgotten = links_.forgotten(),
          .wall_clock_steps = wall_clock_steps_,
          .connections = readers_.open_counts(),
          .coverage = coverage_.by_workload(),
          .prices_version = calls_.prices() ? calls_.prices()->version() : "",
          .prices_updated_s = calls_.prices() ? calls_.prices()->updated_s() : std::nullopt};
}

}  // namespace llmtap
