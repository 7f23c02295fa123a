// SPDX-License-Identifier: Apache-2.0
// The probe as discovery sees it.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "capture/attacher.h"
#include "capture/probe.h"

namespace llmtap {

static_assert(static_cast<uint32_t>(UprobeKind::kReadInternal) ==
              static_cast<uint32_t>(HookKind::kReadInternal));
static_assert(static_cast<uint32_t>(UprobeKind::kWriteEarly) == static_cast<uint32_t>(HookKind::kWriteEarly));

class ProbeAttacher : public UprobeAttacher, public EventInjector {
 public:
  explicit ProbeAttacher(Probe& probe) : probe_(probe) {}

  Result<std::unique_ptr<AttachedLink>> attach(const std::string& path, std::span<const HookPlace> places,
                                               const LinkReach& reach) override {
    std::vector<UprobePlace> converted;
    converted.reserve(places.size());
    for (const HookPlace& place : places)
      converted.push_back({place.offset, static_cast<HookKind>(place.kind), place.is_return});
    return std::make_unique<Link>(LLMTAP_TRY(probe_.attach_uprobes(path, converted, reach)));
  }
  bool refuse_returns(uint32_t tgid) override {
    return probe_.statistics().uprobe_sessions && probe_.refuse_returns(tgid).has_value();
  }
  double hit_cost_ns() override { return probe_.hit_cost_ns(); }
  std::array<uint64_t, LinkReach::kFiles> shared_hits() override { return probe_.shared_hits(); }
  void mark_evident(uint32_t tgid) override { probe_.mark_evident(tgid); }
  Told count_link(uint32_t tgid, uint8_t file, CountedLink link) override {
    return probe_.count_link(tgid, file, link);
  }
  bool in_call(uint32_t tgid, bool own, uint64_t since_ns) override {
    return probe_.in_call(tgid, own, since_ns);
  }
  void inject(const llmtap_event_hdr& event) override { probe_.inject(event); }

 private:
  struct Link : AttachedLink {
    explicit Link(std::unique_ptr<UprobeLink> attached) : link(std::move(attached)) {}
    std::unique_ptr<UprobeLink> link;
  };
  Probe& probe_;
};

}  // namespace llmtap
