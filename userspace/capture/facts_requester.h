// SPDX-License-Identifier: Apache-2.0
// Stands between the probe and the core, and asks discovery who a process is at its first event: the
// core never reads /proc, and a process that talks plain HTTP maps nothing that discovery looks for.
#pragma once

#include <functional>
#include <unordered_map>
#include <utility>

#include "llmtap/facts.h"

namespace llmtap {

class FactsRequester : public EventSink {
 public:
  static constexpr size_t kMaxProcesses =
      65536;  // asked for; at the cap all are forgotten and asked for again

  // `request` is called on the core thread: Discovery::ensure_facts.
  FactsRequester(std::function<void(uint32_t tgid)> request, EventSink& next)
      : request_(std::move(request)), next_(next) {}

  void on_event(const llmtap_event_hdr& event) override;

 private:
  void ask(uint32_t tgid, uint64_t start_ns);

  std::function<void(uint32_t)> request_;
  EventSink& next_;
  std::unordered_map<uint32_t, uint64_t> asked_;  // tgid -> start
};

}  // namespace llmtap
