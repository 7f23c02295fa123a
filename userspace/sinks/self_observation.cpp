// SPDX-License-Identifier: Apache-2.0
#include "sinks/self_observation.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>

#include "base/check.h"

namespace llmtap {
namespace {

using Samples = std::vector<SelfObservation::Sample>;

struct Families {
  std::vector<CollectedFamily> all;

  void add(std::string_view name, prometheus::MetricType type, std::string_view help,
           std::initializer_list<std::string_view> label_names, Samples samples) {
    if (samples.empty()) return;
    std::ranges::sort(samples, {}, &SelfObservation::Sample::labels);
    CollectedFamily out;
    out.family.name = name;
    out.family.help = help;
    out.family.type = type;
    for (const auto& sample : samples) {
      LLMTAP_CHECK(sample.labels.size() == label_names.size());
      prometheus::ClientMetric metric;
      auto value = sample.labels.begin();
      for (std::string_view label : label_names)
        metric.label.push_back({std::string(label), clean_label(*value++)});
      (type == prometheus::MetricType::Counter ? metric.counter.value : metric.gauge.value) = sample.value;
      out.family.metric.push_back(std::move(metric));
    }
    all.push_back(std::move(out));
  }
  void gauge(std::string_view name, std::string_view help, std::initializer_list<std::string_view> labels,
             Samples samples) {
    add(name, prometheus::MetricType::Gauge, help, labels, std::move(samples));
  }
  void counter(std::string_view name, std::string_view help, std::initializer_list<std::string_view> labels,
               Samples samples) {
    add(name, prometheus::MetricType::Counter, help, labels, std::move(samples));
  }
};

double number(uint64_t value) { return static_cast<double>(value); }

void add_stages(Families& families, const SelfObservation& self) {
  Samples bytes, items, lost = self.kernel_bytes_lost;
  for (const auto& [stage, books] : self.stages) {
    bytes.push_back({{stage, "in"}, number(books.bytes_in)});
    bytes.push_back({{stage, "out"}, number(books.bytes_out)});
    bytes.push_back({{stage, "left_out"}, number(books.bytes_left_out)});
    bytes.push_back({{stage, "lost"}, number(books.bytes_lost)});
    items.push_back({{stage, "in"}, number(books.items_in)});
    items.push_back({{stage, "out"}, number(books.items_out)});
    items.push_back({{stage, "lost"}, number(books.items_lost)});
    for (const auto& [reason, count] : books.lost_bytes_by_reason)
      lost.push_back({{stage, reason}, number(count)});
    if (books.lost_bytes_by_reason.empty()) lost.push_back({{stage, "none"}, 0});
  }
  families.counter(
      "llmtap_stage_bytes_total",
      "Bytes that entered each stage, left it, were left out and were lost: in = out + left_out + lost.",
      {"stage", "result"}, std::move(bytes));
  families.counter("llmtap_stage_items_total",
                   "Items that entered, left and were lost in each stage: in = out + lost.",
                   {"stage", "result"}, std::move(items));
  families.counter("llmtap_bytes_lost_total", "Bytes lost in each stage, by reason.", {"stage", "reason"},
                   std::move(lost));
}

void add_exports(Families& families, const SelfObservation& self) {
  Samples results, queued;
  for (const ExportCounters& sink : self.exports) {
    results.push_back({{sink.signal, "ok"}, number(sink.ok)});
    results.push_back({{sink.signal, "error"}, number(sink.error)});
    results.push_back({{sink.signal, "dropped"}, number(sink.dropped)});
    if (sink.signal == "traces") results.push_back({{sink.signal, "not_sampled"}, number(sink.not_sampled)});
    queued.push_back({{sink.signal}, number(sink.queued)});
  }
  families.counter("llmtap_export_total", "Items given to exporters, by result.", {"signal", "result"},
                   std::move(results));
  families.gauge("llmtap_export_queue_length", "Items waiting to be exported.", {"signal"},
                 std::move(queued));
}

}  // namespace

std::vector<CollectedFamily> self_observation_families(const SelfObservation& self) {
  Families families;
  families.gauge("llmtap_build_info", "1; what runs here.", {"version", "revision", "kernel", "btf"},
                 {{{self.version, self.revision, self.kernel, self.btf ? "true" : "false"}, 1}});
  families.gauge("llmtap_attached_targets", "Processes and libraries that are hooked, by kind.", {"kind"},
                 self.attached_targets);
  families.counter("llmtap_attach_failures_total", "Hooks that could not be attached.", {"kind", "reason"},
                   self.attach_failures);
  families.gauge("llmtap_capture_coverage_ratio",
                 "Share of connections to known LLM endpoints whose plaintext is visible.",
                 {"namespace", "workload", "role"}, self.capture_coverage);
  families.counter("llmtap_events_total", "Events read from the kernel.", {"source"}, self.events);
  families.counter("llmtap_events_lost_total", "Events that the kernel side could not deliver.",
                   {"source", "reason"}, self.events_lost);
  add_stages(families, self);
  families.gauge("llmtap_connections", "Open connections by verdict and protocol.", {"verdict", "protocol"},
                 self.connections);
  if (self.connections_not_seen_ending)
    families.counter("llmtap_connections_not_seen_ending_total",
                     "Connections found gone after events were lost: when and how they ended is not known.",
                     {}, {{{}, *self.connections_not_seen_ending}});
  if (self.shed_level) {
    families.gauge("llmtap_cpu_share", "Of one core, in the last second: this process and its BPF programs.",
                   {"kind"},
                   {{{"used"}, self.cpu_share.value_or(0)}, {{"bound"}, self.cpu_share_bound.value_or(0)}});
    families.gauge(
        "llmtap_shed_level",
        "Load that is shed to stay below the bound: 0 none, 1 processes without LLM calls are hooked in a "
        "part of the time, 2 connections without LLM calls are muted sooner, 3 new connections are not "
        "read, 4 detached.",
        {}, {{{}, *self.shed_level}});
    families.counter("llmtap_shed_steps_total",
                     "Steps to a higher and to a lower level of llmtap_shed_level.", {"direction"},
                     self.shed_steps);
  }
  if (self.unfollowed_seconds) {
    families.gauge("llmtap_sampled_targets",
                   "Libraries whose hooks cost too much to be in every process: those without LLM calls are "
                   "looked at in one second of 20.",
                   {}, {{{}, self.sampled_targets.value_or(0)}});
    families.counter("llmtap_unfollowed_seconds_total",
                     "Time in which LLM calls of a process may have passed unseen, because it had made none "
                     "and hooking it cost too much; summed over libraries.",
                     {}, {{{}, *self.unfollowed_seconds}});
  }
  if (self.skipped_runs)
    families.counter(
        "llmtap_probe_skipped_runs_total",
        "Runs of BPF programs that the kernel skipped, because it was in the middle of others: at "
        "most, by the copy of each that was skipped least.",
        {}, {{{}, *self.skipped_runs}});
  if (self.clock_steps)
    families.counter("llmtap_clock_steps_total", "Times that the wall clock was set.", {},
                     {{{}, *self.clock_steps}});
  families.gauge("llmtap_queue_length", "Items waiting between two threads.", {"queue"}, self.queues);
  families.gauge("llmtap_coverage_processes",
                 "Processes that talk TLS or HTTP, by whether their plaintext can be read.",
                 {"runtime", "state", "reason"}, self.coverage_processes);
  families.counter("llmtap_coverage_connections_total", "Connections whose plaintext was or was not visible.",
                   {"runtime", "visibility"}, self.coverage_connections);
  families.counter("llmtap_parse_errors_total", "Messages that are not what their protocol allows.",
                   {"protocol", "stage"}, self.parse_errors);
  Samples cpu;
  if (self.cpu_user_seconds) cpu.push_back({{"user"}, *self.cpu_user_seconds});
  if (self.cpu_kernel_seconds) cpu.push_back({{"kernel"}, *self.cpu_kernel_seconds});
  families.counter(
      "llmtap_probe_cpu_seconds_total",
      "CPU time of the probe: its process, and its BPF programs (estimated from one second of every 60).",
      {"part"}, std::move(cpu));
  if (self.resident_bytes)
    families.gauge("llmtap_probe_resident_bytes", "Resident memory of the probe.", {},
                   {{{}, *self.resident_bytes}});
  families.gauge("llmtap_ring_usage_ratio", "How full the ring buffers are, 0 to 1.", {"ring"},
                 self.ring_usage);
  add_exports(families, self);
  families.gauge("llmtap_prices_updated_timestamp_seconds",
                 "Day of the price table in use as Unix time; of its file's last change where it has none.",
                 {"version"}, self.prices_updated);
  families.gauge("llmtap_compat_active",
                 "1 when a compatibility profile is exposed for that workload; 0 without a workload: off.",
                 {"profile", "namespace", "workload"}, self.compat_active);
  return families.all;
}

}  // namespace llmtap
