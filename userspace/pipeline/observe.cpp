// SPDX-License-Identifier: Apache-2.0
#include "pipeline/observe.h"

#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>

#include "capture/tls/runtimes.h"
#include "pipeline/version.h"
#include "sinks/label_names.h"

namespace llmtap {

namespace {

using Sample = SelfObservation::Sample;

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

// The kernel side and the ring as stages of their own.
void add_kernel_books(SelfObservation& out, const CaptureFigures& figures) {
  StageBooks kernel, ring;
  kernel.bytes_in = figures.bytes_passed;
  kernel.bytes_out = ring.bytes_in = figures.bytes_captured;
  kernel.bytes_left_out = figures.bytes_left_out;
  for (const uint64_t bytes : figures.lost_bytes) kernel.bytes_lost += bytes;
  ring.bytes_out = figures.bytes_delivered;
  out.stages.emplace_back("kernel", kernel);
  out.stages.emplace_back("capture", ring);
}

// Pages of the second field of /proc/self/statm.
std::optional<double> resident_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return std::nullopt;
  unsigned long total = 0, resident = 0;
  const int fields = std::fscanf(file, "%lu %lu", &total, &resident);
  std::fclose(file);
  if (fields != 2) return std::nullopt;
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

void add_machine(SelfObservation& out) {
  utsname name{};
  if (uname(&name) == 0) out.kernel = name.release;
  out.version = kVersion;
  out.revision = kRevision;
  out.btf = access("/sys/kernel/btf/vmlinux", R_OK) == 0;
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) == 0)
    out.cpu_user_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
  out.resident_bytes = resident_bytes();
}

void add_coverage(SelfObservation& out, const Coverage& coverage) {
  // What can be hooked stands at 0 until it is, or fails: rates begin with the first event.
  std::map<std::string, double> attached{{"socket", 0}};
  std::map<std::pair<std::string, std::string>, double> failures;
  std::map<std::vector<std::string>, double> processes;
  for (const TlsRuntime& runtime : kRuntimes)
    if (runtime.plan) {
      const std::string name(runtime.name);
      attached[name] = failures[{name, "attach_failed"}] = processes[{name, "clear", ""}] = 0;
    }
  for (const CoveredProcess& process : coverage.processes)
    for (const RuntimeUse& use : process.runtimes) {
      ++processes[{use.runtime, std::string(to_string(use.state)), use.reason}];
      if (use.state == CoverageState::kClear) ++attached[use.runtime];
      if (use.state == CoverageState::kNone) ++attached["socket"];
    }
  for (const auto& [runtime, count] : attached) out.attached_targets.push_back({{runtime}, count});
  for (const auto& [labels, count] : processes) out.coverage_processes.push_back({labels, count});
  for (const auto& [labels, count] : coverage.attach_failures) failures[labels] = static_cast<double>(count);
  for (const auto& [labels, count] : failures)
    out.attach_failures.push_back({{labels.first, labels.second}, count});
}

}  // namespace

std::string_view verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kUndecided: return "undecided";
    case Verdict::kWanted: return "wanted";
    case Verdict::kHeads: return "heads";
    case Verdict::kRepeats:  // of a connection the readers count it as this
    case Verdict::kTimes: return "times";
    case Verdict::kMuted: return "muted";
  }
  return "undecided";
}

std::string_view loss_name(int loss) {
  switch (loss) {
    case LLMTAP_LOST_RING_FULL: return "ring_full";
    case LLMTAP_LOST_FAULT: return "fault";
    case LLMTAP_LOST_TOO_LARGE: return "too_large";
    case LLMTAP_LOST_IOVECS: return "iovecs";
    case LLMTAP_LOST_NO_ARGS: return "no_args";
    case LLMTAP_LOST_MAP_FULL: return "map_full";
    case LLMTAP_LOST_BYPASS: return "bypass";
    case LLMTAP_LOST_UNSEEN: return "unseen";
    case LLMTAP_LOST_COMPAT: return "compat";
    case LLMTAP_LOST_SHED: return "shed";
    default: return "other";
  }
}

SelfObservation observe(const CoreStats& core, const Coverage& coverage,
                        const std::optional<CaptureFigures>& capture, std::vector<ExportCounters> exports) {
  SelfObservation out;
  add_machine(out);
  add_coverage(out, coverage);
  if (capture) {
    out.events.push_back({{"socket"}, static_cast<double>(capture->events_by_source[LLMTAP_SOURCE_SOCKET])});
    out.events.push_back(
        {{"openssl"}, static_cast<double>(capture->events_by_source[LLMTAP_SOURCE_OPENSSL])});
    out.ring_usage.push_back({{"events"}, capture->ring_usage_ratio});
    out.cpu_kernel_seconds = capture->program_run_seconds;
    out.skipped_runs = static_cast<double>(capture->skipped_runs);
    out.sampled_targets =
        static_cast<double>(std::ranges::count(coverage.targets, true, &AttachTarget::sampled));
    out.unfollowed_seconds = std::chrono::duration<double>(coverage.unfollowed).count();
  }
  for (int loss = LLMTAP_LOST_RING_FULL; loss <= LLMTAP_LOST_SHED; ++loss) {
    if (loss == LLMTAP_LOST_REDACTED) continue;  // not the kernel's
    const auto index = static_cast<size_t>(loss);
    out.events_lost.push_back(
        {{"kernel", std::string(loss_name(loss))}, static_cast<double>(core.kernel_lost_events[index])});
    out.kernel_bytes_lost.push_back(
        {{"kernel", std::string(loss_name(loss))},
         static_cast<double>(capture ? capture->lost_bytes[index] : core.kernel_lost_bytes[index])});
  }
  if (capture) add_kernel_books(out, *capture);
  out.stages.insert(out.stages.end(),
                    {{"streams", core.streams}, {"protocols", core.protocols}, {"llm", core.llm}});
  const ProtocolCounters& protocols = core.protocol_counters;
  const auto count = [](uint64_t n) { return static_cast<double>(n); };
  ConnectionReaders::OpenCounts open = core.connections;
  open.try_emplace({Verdict::kUndecided, "unknown"}, 0);
  open.try_emplace({Verdict::kWanted, "http1"}, 0);
  for (const auto& [labels, connections] : open)
    out.connections.push_back(
        {{std::string(verdict_name(labels.first)), std::string(labels.second)}, count(connections)});
  out.connections_not_seen_ending = count(core.stream_counters.connections_not_seen_ending);
  out.clock_steps = count(core.wall_clock_steps);
  out.coverage_connections = {
      {{"socket", "clear"}, count(core.stream_counters.clear_connections[LLMTAP_SOURCE_SOCKET])},
      {{"openssl", "clear"}, count(core.stream_counters.clear_connections[LLMTAP_SOURCE_OPENSSL])},
      {{"unknown", "opaque"}, count(core.stream_counters.opaque_connections)}};
  for (const auto& [workload, share] : core.coverage)
    out.capture_coverage.push_back({{"", workload, std::string(name_of(share.role))}, share.ratio()});
  if (core.prices_updated_s)
    out.prices_updated.push_back({{core.prices_version}, static_cast<double>(*core.prices_updated_s)});
  for (const char* profile : {"relay", "gogateway", "privaterouter", "litellm", "litellm_spendlogs"})
    out.compat_active.push_back({{profile, "", ""}, 0});
  out.parse_errors = {{{"http1", "head"}, count(protocols.parse_errors)},
                      {{"http1", "oversized_head"}, count(protocols.oversized_heads)},
                      {{"http1", "coding"}, count(protocols.decode_errors)},
                      {{"http1", "resync"}, count(protocols.resyncs)},
                      {{"websocket", "frame"}, count(protocols.websocket_frame_errors)},
                      {{"websocket", "coding"}, count(protocols.websocket_decode_errors)},
                      {{"websocket", "resync"}, count(protocols.websocket_resyncs)},
                      {{"http2", "frame"}, count(protocols.http2_frame_errors)},
                      {{"http2", "head"}, count(protocols.http2_header_errors)},
                      {{"http2", "unknown_field"}, count(protocols.http2_unknown_fields)},
                      {{"http2", "streams"}, count(protocols.http2_streams_evicted)},
                      {{"http2", "resync"}, count(protocols.http2_resyncs)},
                      {{"json", "body"}, count(core.call_counters.bodies_malformed)}};
  out.queues.push_back({{"open_exchanges"}, count(core.open_exchanges)});
  out.queues.push_back({{"open_connections"}, count(core.open_connections)});
  for (const ExportCounters& sink : exports) out.queues.push_back({{sink.signal}, count(sink.queued)});
  for (const char* signal : {"traces", "metrics", "logs"})
    if (std::ranges::find(exports, signal, &ExportCounters::signal) == exports.end())
      exports.push_back({signal});
  out.exports = std::move(exports);
  return out;
}

}  // namespace llmtap
