// SPDX-License-Identifier: Apache-2.0
#include "pipeline/daemon.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <mutex>
#include <thread>

#include "capture/doctor_facts.h"
#include "pipeline/core.h"
#include "pipeline/live_capture.h"
#include "pipeline/load_shedding.h"
#include "pipeline/observe.h"
#include "pipeline/options.h"
#include "pipeline/sink_set.h"
#include "pipeline/stats_board.h"
#include "pipeline/web.h"

namespace llmtap {

namespace {

using namespace std::chrono_literals;

// Signals are blocked before any thread starts and taken by the main thread alone.
sigset_t block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  return signals;
}

// What the ring still holds when the end is asked for; a flood may refill it for ever.
constexpr auto kDrainTime = 2s;

// The next SIGTERM or SIGINT ends the process as if nobody had ever blocked it. BPF links and maps are
// descriptors: the kernel takes them down whichever way the process ends.
void let_second_signal_kill() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

// Set by the main thread, done by the core thread between two polls.
struct Orders {
  std::atomic<bool> stop = false;
  std::mutex mutex;
  std::shared_ptr<const PriceTable> prices;  // new table to use
};

void run_core(Core& core, LiveCapture& capture, LoadShedding& shedding, StatsBoard& board, Orders& orders,
              Result<>& outcome) {
  while (!orders.stop.load(std::memory_order_relaxed)) {
    const auto polled = capture.poll(core, 100ms);
    if (const auto shed = polled ? shedding.tick() : polled.error(); !shed) {
      outcome = shed.error();
      // To the process: raise() would leave it pending on this thread, where it is blocked.
      ::kill(::getpid(), SIGTERM);
      break;
    }
    {
      const std::lock_guard lock(orders.mutex);
      if (orders.prices) core.set_prices(std::exchange(orders.prices, nullptr));
    }
    board.publish(core, std::chrono::steady_clock::now());
  }
  if (outcome) {
    const auto last = std::chrono::steady_clock::now() + kDrainTime;
    for (size_t events = 1; events != 0 && std::chrono::steady_clock::now() < last;) {
      const auto polled = capture.poll(core, 0ms);
      events = polled ? *polled : 0;
    }
  }
  core.finish();
}

}  // namespace

Result<int> run_daemon(const Config& config) {
  const sigset_t signals = block_signals();
  const Limits limits = limits_of(config);
  auto prices = LLMTAP_TRY(load_prices(config));

  for (const DoctorFact& fact : capability_facts())
    if (fact.status == DoctorStatus::kDegraded)
      spdlog::warn("without {} ({}) less is seen; {}", fact.name, fact.detail, fact.advice);

  StatsBoard board;
  std::unique_ptr<LoadShedding> shedding;  // before the first scrape
  auto capture = LLMTAP_TRY(LiveCapture::open(config));
  std::unique_ptr<SinkSet> sinks = LLMTAP_TRY(SinkSet::open(config, limits, [&] {
    SelfObservation self =
        observe(board.read(), *capture->coverage(), capture->figures(), sinks->export_counters());
    add_shed_status(self, shedding->status());
    return self;
  }));
  auto web = LLMTAP_TRY(open_web(
      config, *sinks, [&] { return less_ready(capture->readiness(), shedding->status()); },
      [&] { return capture->coverage(); }));

  Core core(limits, tracker_options(config), sinks->all(), *capture);
  shedding = std::make_unique<LoadShedding>(config, core, *capture);
  core.set_prices(std::move(prices));
  core.set_plain_ports(config.targets_ports);
  core.set_evidence_sink([&capture](ProcessKey process) { capture->see_evidence(process); });

  Orders orders;
  Result<> outcome = Ok{};
  std::thread core_thread([&] { run_core(core, *capture, *shedding, board, orders, outcome); });
  const auto end = [&] {
    if (web) web->stop();
    capture->stop();
    orders.stop = true;
    core_thread.join();
    sinks->close();
  };
  if (auto started = capture->start(); !started) {
    end();
    return started.error();
  }
  if (web) {
    web->start();
    spdlog::info("watching; {} on {}", config.metrics_path, web->address());
  } else {
    spdlog::info("watching; metrics are off");
  }

  for (;;) {
    int signal = 0;
    sigwait(&signals, &signal);
    if (signal != SIGHUP) {
      let_second_signal_kill();
      spdlog::info("ending; a second signal ends it at once");
      break;
    }
    sinks->reopen();
    if (auto reloaded = load_prices(config); reloaded) {
      const std::lock_guard lock(orders.mutex);
      orders.prices = *reloaded;
      spdlog::info("reloaded: price table {}, log file reopened", orders.prices->version());
    } else {
      spdlog::error("kept the old price table: {}", reloaded.error().message);
    }
    if (!web) continue;
    if (auto reloaded = web->reload_web_config(); !reloaded)
      spdlog::error("kept the old web configuration: {}", reloaded.error().message);
  }
  end();
  if (!outcome) return outcome.error();
  return 0;
}

}  // namespace llmtap
