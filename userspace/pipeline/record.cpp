// SPDX-License-Identifier: Apache-2.0
#include <spdlog/spdlog.h>

#include <csignal>
#include <ctime>

#include "pipeline/daemon.h"
#include "pipeline/event_file.h"
#include "pipeline/live_capture.h"
#include "pipeline/redacting_sink.h"

namespace llmtap {

namespace {

constexpr uint64_t kDrainTime_ns = 2'000'000'000;

uint64_t now_ns(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

}  // namespace

Result<> record(const Config& config, const RecordOptions& options) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  // A stderr that nobody reads any more must not cost the recording.
  std::signal(SIGPIPE, SIG_IGN);

  auto capture = LLMTAP_TRY(LiveCapture::open(config));
  auto writer = LLMTAP_TRY(EventFileWriter::create(options.path, {.redacted = options.redact,
                                                                  .realtime_ns = now_ns(CLOCK_REALTIME),
                                                                  .monotonic_ns = now_ns(CLOCK_MONOTONIC)}));
  if (!options.redact)
    spdlog::warn("{} will hold prompts, completions and credentials in plain text; --redact overwrites them",
                 options.path);
  RedactingSink redacting(*writer);
  EventSink& sink = options.redact ? static_cast<EventSink&>(redacting) : *writer;

  LLMTAP_TRY(capture->start());
  const uint64_t end_ns =
      options.duration
          ? now_ns(CLOCK_MONOTONIC) + static_cast<uint64_t>(options.duration->count()) * 1'000'000'000
          : UINT64_MAX;
  const timespec no_wait{};
  Result<size_t> polled = size_t{0};
  bool announced = false;
  while (polled && !writer->failed() && now_ns(CLOCK_MONOTONIC) < end_ns) {
    polled = capture->poll(sink, std::chrono::milliseconds(20));
    if (!announced && capture->readiness().ready) {
      announced = true;
      spdlog::info("recording to {}", options.path);
    }
    if (sigtimedwait(&signals, nullptr, &no_wait) > 0) break;
  }
  // A second signal ends it at once.
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  capture->stop();
  // What the ring still holds; a flood may refill it for ever.
  const uint64_t last_ns = now_ns(CLOCK_MONOTONIC) + kDrainTime_ns;
  for (size_t events = 1; polled && events != 0 && !writer->failed() && now_ns(CLOCK_MONOTONIC) < last_ns;) {
    polled = capture->poll(sink, std::chrono::milliseconds(0));
    events = polled ? *polled : 0;
  }
  LLMTAP_TRY(writer->finish());
  spdlog::info("recorded {} events, {} bytes", writer->events_written(), writer->bytes_written());
  if (!polled) return polled.error();
  return Ok{};
}

}  // namespace llmtap
