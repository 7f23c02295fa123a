// SPDX-License-Identifier: Apache-2.0
#include <cstdio>

#include "pipeline/core.h"
#include "pipeline/daemon.h"
#include "pipeline/event_file.h"
#include "pipeline/observe.h"
#include "pipeline/options.h"
#include "pipeline/sink_set.h"

namespace llmtap {

namespace {

class NoVerdicts : public VerdictSink {
 public:
  void set_verdict(uint64_t, Verdict) override {}
};

constexpr auto kDrainWait = std::chrono::seconds(60);

}  // namespace

Result<> replay(const Config& config, const ReplayOptions& options) {
  const Limits limits = limits_of(config);
  auto prices = LLMTAP_TRY(load_prices(config));
  auto events = LLMTAP_TRY(EventFileReader::open(options.path));
  CoreStats last;
  auto sinks =
      LLMTAP_TRY(SinkSet::open(config, limits, [&] { return observe(last, Coverage{}, std::nullopt, {}); }));

  NoVerdicts verdicts;
  Core core(limits, tracker_options(config), sinks->all(), verdicts);
  core.set_prices(std::move(prices));
  core.set_plain_ports(config.targets_ports);
  Result<> outcome = Ok{};
  while (!events->at_end()) {
    const auto polled = events->poll(core, std::chrono::milliseconds(0));
    if (!polled) {
      outcome = polled.error();
      break;
    }
    // A replay is as complete as its file: the log's queue never overflows, however fast we read.
    sinks->drain(kDrainWait);
  }
  core.finish();
  last = core.stats();
  sinks->close();
  if (options.metrics) {
    const std::string text = sinks->metrics().expose(ExpositionFormat::kText);
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
      return Error{"cannot write the metrics to stdout", "check that the disk is not full"};
  }
  return outcome;
}

}  // namespace llmtap
