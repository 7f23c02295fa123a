// SPDX-License-Identifier: Apache-2.0
// The kernel side as one thing: the probe, discovery on its own thread, and the adapters between
// them. poll() and set_verdict() belong to the core thread.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "capture/discovery.h"
#include "capture/facts_requester.h"
#include "capture/probe.h"
#include "capture/probe_attacher.h"
#include "llmtap/facts.h"
#include "llmtap/verdict.h"
#include "pipeline/config.h"
#include "pipeline/observe.h"

namespace llmtap {

struct Readiness {
  bool ready = false;
  std::string reason;  // why not, or what is less than it should be
};

class LiveCapture : public EventSource, public VerdictSink {
 public:
  static Result<std::unique_ptr<LiveCapture>> open(const Config& config);
  ~LiveCapture() override;

  // Starts discovery: subscribe, scan, drain. Events may be polled before.
  Result<> start();
  // Detaches everything. Idempotent.
  void stop();

  Result<size_t> poll(EventSink& sink, std::chrono::milliseconds timeout) override;
  void set_verdict(uint64_t connection_id, Verdict verdict) override {
    probe_->set_verdict(connection_id, verdict);
  }

  // Core thread. From nothing that is new, or from nothing at all, is anything read.
  void refuse_new_connections(bool refuse) { probe_->refuse_new_connections(refuse); }
  Result<> detach(bool detach);
  // Core thread. The process made an LLM call or is about to: it is hooked whatever that costs.
  void see_evidence(ProcessKey process) { discovery_->see_evidence(process); }
  // Core thread. Only processes with evidence are hooked, for now.
  void press(bool pressed) { discovery_->press(pressed); }

  // Any thread.
  std::shared_ptr<const Coverage> coverage() const;
  Readiness readiness() const;
  CaptureFigures figures() const;

 private:
  LiveCapture(std::unique_ptr<Probe> probe, const Config& config);

  std::unique_ptr<Probe> probe_;
  ProbeAttacher attacher_;
  const DiscoveryOptions discovery_options_;
  // Guards the pointer, and what starts and stops: the core thread alone changes it.
  mutable std::mutex mutex_;
  bool stopped_ = false, detached_ = false;
  std::unique_ptr<Discovery> discovery_;
  // What poll() was given, behind the requester of process facts.
  struct : EventSink {
    void on_event(const llmtap_event_hdr& event) override { next->on_event(event); }
    EventSink* next = nullptr;
  } sink_;
  FactsRequester requester_;
};

}  // namespace llmtap
