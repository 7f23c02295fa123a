// SPDX-License-Identifier: Apache-2.0
#include "pipeline/doctor.h"

#include <chrono>
#include <memory>
#include <thread>

#include "capture/discovery.h"

namespace llmtap {
namespace {

constexpr std::chrono::seconds kScanPatience{30};

// Takes every place and sets no breakpoint.
class DryAttacher : public UprobeAttacher {
 public:
  Result<std::unique_ptr<AttachedLink>> attach(const std::string& path, std::span<const HookPlace> places,
                                               const LinkReach& reach) override {
    return std::make_unique<AttachedLink>();
  }
};

class NoInjector : public EventInjector {
 public:
  void inject(const llmtap_event_hdr& event) override {}
};

}  // namespace

DoctorReport examine_node() {
  DoctorReport report;
  report.facts = collect_doctor_facts();

  DryAttacher attacher;
  NoInjector injector;
  Discovery discovery(attacher, injector);
  if (const auto started = discovery.start(); !started) {
    report.coverage_error = started.error().message;
    return report;
  }
  const auto deadline = std::chrono::steady_clock::now() + kScanPatience;
  auto coverage = discovery.snapshot();
  while (!coverage->initial_scan_done && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    coverage = discovery.snapshot();
  }
  discovery.stop();
  if (!coverage->initial_scan_done)
    report.coverage_error = "the scan of all processes took more than 30 seconds";
  report.coverage = *coverage;
  return report;
}

}  // namespace llmtap
