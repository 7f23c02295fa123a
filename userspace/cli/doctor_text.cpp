// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor_text.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/logging.h"

namespace llmtap {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMaxProcesses = 200;  // a busy node has thousands; --json has them all

std::string padded(std::string text, size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

std::string fact_lines(const DoctorReport& report) {
  size_t name_width = 0;
  for (const DoctorFact& fact : report.facts) name_width = std::max(name_width, fact.name.size());
  std::string text;
  for (const DoctorFact& fact : report.facts) {
    text += "  " + padded(std::string(to_string(fact.status)), 10) +
            padded(printable(fact.name), name_width + 2) + printable(fact.detail) + "\n";
    if (!fact.advice.empty() && fact.status != DoctorStatus::kOk)
      text += "            " + std::string(name_width + 2, ' ') + "-> " + printable(fact.advice) + "\n";
  }
  return text;
}

std::string library_lines(const Coverage& coverage) {
  if (coverage.targets.empty()) return "  none\n";
  std::string text;
  for (const AttachTarget& target : coverage.targets) {
    text += "  " + padded(target.attached ? "ok" : "missing", 10) + printable(target.runtime) + "  " +
            printable(target.path) + "  (" + std::to_string(target.processes) +
            (target.processes == 1 ? " process" : " processes");
    if (target.attached)
      text += ", " + std::to_string(target.places) + " places" +
              (target.placement.empty() ? "" : ", " + printable(target.placement));
    text += ")\n";
  }
  for (const auto& [what, count] : coverage.attach_failures)
    text += "  failed    " + printable(what.first) + ": " + printable(what.second) + ", " +
            std::to_string(count) + (count == 1 ? " time\n" : " times\n");
  return text;
}

bool has_tls(const CoveredProcess& process) {
  return std::ranges::any_of(process.runtimes,
                             [](const RuntimeUse& use) { return use.state != CoverageState::kNone; });
}

std::string process_lines(const Coverage& coverage) {
  std::vector<const CoveredProcess*> shown;
  for (const CoveredProcess& process : coverage.processes)
    if (has_tls(process)) shown.push_back(&process);
  if (shown.empty()) return "  none\n";
  std::ranges::sort(shown, {}, [](const CoveredProcess* process) { return process->process.tgid; });
  std::string text;
  for (const CoveredProcess* process : shown) {
    if (process == shown[std::min(shown.size() - 1, kMaxProcesses)] && shown.size() > kMaxProcesses) {
      text += "  and " + std::to_string(shown.size() - kMaxProcesses) + " more: llmtap doctor --json\n";
      break;
    }
    for (const RuntimeUse& use : process->runtimes) {
      if (use.state == CoverageState::kNone) continue;
      text += "  " + padded(use.state == CoverageState::kClear ? "read" : "opaque", 10) +
              padded(std::to_string(process->process.tgid), 9) + padded(printable(process->workload), 24) +
              "  " + printable(use.runtime) + (use.reason.empty() ? "" : ": " + printable(use.reason)) + "\n";
    }
  }
  return text;
}

std::string daemon_lines(const HookedLibraries& daemon) {
  std::string text;
  for (const HookedLibrary& library : daemon.libraries)
    if (library.sampled)
      text += "  sampled   " + printable(library.runtime) + "  " + printable(library.path) + "  (" +
              std::to_string(library.own_links) + " of " + std::to_string(library.processes) +
              " processes are always read; those that have shown no LLM call in one second of 20)\n";
  if (text.empty()) text = "  every process that maps a library above is always read\n";
  if (daemon.unfollowed_seconds > 0)
    text += "  For " + std::to_string(static_cast<uint64_t>(daemon.unfollowed_seconds)) +
            " s so far calls of some process may have passed unseen (capture.narrow_share).\n";
  return text;
}

std::string verdict(const DoctorReport& report) {
  if (can_observe(report)) return "This node can be observed.\n";
  std::string text = "This node cannot be observed:\n";
  for (const DoctorFact& fact : report.facts)
    if (fact.status == DoctorStatus::kMissing)
      text += "  " + printable(fact.name) + ": " + printable(fact.detail) +
              (fact.advice.empty() ? "" : "; " + printable(fact.advice)) + "\n";
  return text;
}

}  // namespace

bool can_observe(const DoctorReport& report) {
  return std::ranges::none_of(report.facts,
                              [](const DoctorFact& f) { return f.status == DoctorStatus::kMissing; });
}

std::string doctor_text(const DoctorReport& report) {
  std::string text = verdict(report) + "\nKernel and permissions\n" + fact_lines(report);
  text += "\nTLS libraries in use\n" + library_lines(report.coverage);
  if (report.daemon) text += "\nThe running daemon\n" + daemon_lines(*report.daemon);
  text += "\nProcesses that carry TLS (read: calls inside TLS are seen; opaque: name and timing only)\n" +
          process_lines(report.coverage);
  const size_t plain = static_cast<size_t>(std::ranges::count_if(
      report.coverage.processes, [](const CoveredProcess& process) { return !has_tls(process); }));
  text +=
      "\n" + std::to_string(plain) + " further processes carry no TLS library; their plain HTTP is seen.\n";
  if (!report.coverage_error.empty())
    text += "The list is not complete: " + printable(report.coverage_error) + "\n";
  return text;
}

std::string doctor_json(const DoctorReport& report) {
  Json document;
  document["can_observe"] = can_observe(report);
  document["facts"] = Json::array();
  for (const DoctorFact& fact : report.facts)
    document["facts"].push_back({{"name", fact.name},
                                 {"status", to_string(fact.status)},
                                 {"detail", fact.detail},
                                 {"advice", fact.advice}});
  document["libraries"] = Json::array();
  for (const AttachTarget& target : report.coverage.targets)
    document["libraries"].push_back({{"runtime", target.runtime},
                                     {"path", target.path},
                                     {"attachable", target.attached},
                                     {"placement", target.placement},
                                     {"places", target.places},
                                     {"processes", target.processes}});
  document["attach_failures"] = Json::array();
  for (const auto& [what, count] : report.coverage.attach_failures)
    document["attach_failures"].push_back(
        {{"runtime", what.first}, {"reason", what.second}, {"count", count}});
  document["processes"] = Json::array();
  for (const CoveredProcess& process : report.coverage.processes) {
    Json runtimes = Json::array();
    for (const RuntimeUse& use : process.runtimes)
      runtimes.push_back({{"runtime", use.runtime}, {"state", to_string(use.state)}, {"reason", use.reason}});
    document["processes"].push_back({{"pid", process.process.tgid},
                                     {"exe", process.exe},
                                     {"workload", process.workload},
                                     {"runtimes", std::move(runtimes)}});
  }
  document["daemon"] = nullptr;
  if (report.daemon) {
    Json sampled = Json::array();
    for (const HookedLibrary& library : report.daemon->libraries)
      if (library.sampled)
        sampled.push_back({{"runtime", library.runtime},
                           {"path", library.path},
                           {"processes", library.processes},
                           {"always_read", library.own_links}});
    document["daemon"] = {{"sampled", std::move(sampled)},
                          {"unfollowed_seconds", report.daemon->unfollowed_seconds}};
  }
  document["complete"] = report.coverage_error.empty();
  document["error"] = report.coverage_error;
  // Paths are bytes, not always UTF-8: such bytes become U+FFFD.
  return document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace llmtap
