// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "bench/dialects.h"
#include "bench/traffic.h"

namespace llmtap::bench {

// One call on each stream of `order`, their events in turns at random. `ask(i)` writes what stream i asks,
// `send(i, data, last)` an event of its reply.
template <typename Ask, typename Send>
void interleaved_calls(Traffic& traffic, const StreamDialect& dialect, uint32_t events_per_call,
                       std::vector<uint32_t>& order, std::mt19937& random, Ask&& ask, Send&& send) {
  std::vector<StreamedCall> calls(order.size());
  for (uint32_t i = 0; i < order.size(); ++i) {
    calls[i] = {fmt::format("{:024x}", traffic.expected.calls + i), 20 + random() % 4000, events_per_call};
    ask(i);
    for (const std::string& each : dialect.opening(calls[i])) send(i, each, false);
    traffic.expected.input_tokens += calls[i].input_tokens;
    traffic.expected.output_tokens += calls[i].output_tokens;
  }
  std::string event;
  for (uint32_t number = 0; number < events_per_call; ++number) {
    std::ranges::shuffle(order, random);
    for (const uint32_t i : order) {
      event.clear();
      dialect.delta(event, calls[i], number, std::string(1 + random() % 8, 'w'));
      send(i, event, false);
    }
  }
  for (uint32_t i = 0; i < order.size(); ++i) {
    const auto closing = dialect.closing(calls[i]);
    for (const std::string& each : closing) send(i, each, &each == &closing.back());
  }
  traffic.expected.calls += order.size();
  traffic.expected.chunks += order.size() * (events_per_call + dialect.other_chunks);
}

}  // namespace llmtap::bench
