// SPDX-License-Identifier: Apache-2.0
#include "cli/cli.h"
#include "cli/doctor_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace llmtap {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Invocation {
  int code = -1;
  std::string out, err;
  Config config;  // what run, record or replay received
  RecordOptions recorded;
  ReplayOptions replayed;
};

Invocation run(const std::vector<std::string>& arguments, const Environment& environment = {},
               const Result<int>& answer = 0, const DoctorReport& report = {}) {
  Invocation seen;
  const auto done = [&]() -> Result<> {
    if (!answer) return answer.error();
    return Ok{};
  };
  const Operations operations{
      [&](const Config& config) {
        seen.config = config;
        return answer;
      },
      [&](const Config& config, const RecordOptions& options) {
        seen.config = config;
        seen.recorded = options;
        return done();
      },
      [&](const Config& config, const ReplayOptions& options) {
        seen.config = config;
        seen.replayed = options;
        return done();
      },
      [&] { return report; },
  };
  std::ostringstream out, err;
  seen.code = run_command_line(arguments, {operations, environment, out, err});
  seen.out = out.str();
  seen.err = err.str();
  return seen;
}

TEST(CommandLine, WithoutACommandShowsWhatThereIs) {
  const Invocation seen = run({});
  EXPECT_EQ(seen.code, kExitUsage);
  EXPECT_EQ(seen.out, "");
  for (const char* command : {"run", "doctor", "record", "replay", "calls", "version"})
    EXPECT_THAT(seen.err, HasSubstr(command));
}

TEST(CommandLine, EveryCommandTeachesWithExamplesAndExitCodes) {
  for (const char* command : {"run", "doctor", "record", "replay", "calls"}) {
    const Invocation seen = run({command, "--help"});
    EXPECT_EQ(seen.code, kExitOk) << command;
    EXPECT_EQ(seen.err, "") << command;
    EXPECT_THAT(seen.out, HasSubstr("Examples:")) << command;
    EXPECT_THAT(seen.out, HasSubstr("Exit codes:")) << command;
    EXPECT_THAT(seen.out, HasSubstr(std::string("llmtap ") + command)) << command;
  }
  EXPECT_EQ(run({"--help"}).code, kExitOk);
}

TEST(CommandLine, SuggestsTheCommandThatWasMeant) {
  const Invocation seen = run({"recrod"});
  EXPECT_EQ(seen.code, kExitUsage);
  EXPECT_EQ(seen.err, "llmtap: unknown command \"recrod\"\n    did you mean llmtap record?\n");
  EXPECT_THAT(run({"frobnicate"}).err, HasSubstr("llmtap --help lists the commands"));
}

TEST(CommandLine, NamesWhatItDoesNotUnderstand) {
  const Invocation unknown = run({"run", "--lissen", "x"});
  EXPECT_EQ(unknown.code, kExitUsage);
  EXPECT_THAT(unknown.err,
              AllOf(StartsWith("llmtap: "), HasSubstr("--lissen"), HasSubstr("llmtap run --help")));
  EXPECT_EQ(run({"record"}).code, kExitUsage) << "no file";
  EXPECT_EQ(run({"record", "x", "--duration", "0"}).code, kExitUsage);
  EXPECT_EQ(run({"run", "--set", "log.level"}).code, kExitUsage);
  EXPECT_EQ(run({"--frobnicate"}).code, kExitUsage);
}

TEST(CommandLine, PrintsTheVersion) {
  EXPECT_THAT(run({"version"}).out, StartsWith("llmtap "));
  EXPECT_EQ(run({"--version"}).out, run({"version"}).out);
}

TEST(RunCommand, OptionsAreKeys) {
  const Invocation seen =
      run({"run", "--listen", "127.0.0.1:1", "--log-requests", "/x.json", "--prices", "/p.json",
           "--otlp-endpoint", "http://c:4317", "--set", "metrics.path=/m", "--set", "log.level=off"});
  EXPECT_EQ(seen.code, kExitOk) << seen.err;
  EXPECT_EQ(seen.config.metrics_listen.port, 1);
  EXPECT_EQ(seen.config.log_requests_file, "/x.json");
  EXPECT_EQ(seen.config.prices_file, "/p.json");
  EXPECT_EQ(seen.config.otlp_endpoint, "http://c:4317");
  EXPECT_EQ(seen.config.metrics_path, "/m");
}

TEST(RunCommand, TheCommandLineIsStrongerThanTheEnvironment) {
  const Environment environment{{"LLMTAP_METRICS_LISTEN", "127.0.0.1:2"}, {"LLMTAP_METRICS_PATH", "/e"}};
  const Invocation seen = run({"run", "--listen", "127.0.0.1:1"}, environment);
  EXPECT_EQ(seen.config.metrics_listen.port, 1);
  EXPECT_EQ(seen.config.metrics_path, "/e");
}

TEST(RunCommand, AWrongConfigurationIsAUsageErrorInOneFormat) {
  const Invocation option = run({"run", "--listen", "here"});
  EXPECT_EQ(option.code, kExitUsage);
  EXPECT_THAT(
      option.err,
      StartsWith("llmtap: cannot use the configuration: --listen: metrics.listen: \"here\" is not valid: "));
  EXPECT_THAT(option.err, HasSubstr("\n    "));
  const Invocation file = run({"run", "--config", "/nowhere.yaml"});
  EXPECT_EQ(file.code, kExitUsage);
  EXPECT_THAT(file.err, HasSubstr("/nowhere.yaml: No such file or directory"));
  EXPECT_THAT(run({"run"}, {{"LLMTAP_CONFIG", "/elsewhere.yaml"}}).err, HasSubstr("/elsewhere.yaml"));
}

TEST(RunCommand, AFailureSaysWhyAndWhatToDo) {
  const Invocation seen =
      run({"run"}, {}, Error{"cannot load BPF programs: Operation not permitted", "Run with sudo."});
  EXPECT_EQ(seen.code, kExitFailure);
  EXPECT_EQ(seen.err, "llmtap: cannot load BPF programs: Operation not permitted\n    Run with sudo.\n");
  EXPECT_EQ(run({"run"}, {}, 3).code, 3);
}

TEST(RunCommand, PrintsTheConfigurationReference) {
  const Invocation seen = run({"run", "--print-config-reference"});
  EXPECT_EQ(seen.code, kExitOk);
  EXPECT_EQ(seen.out, config_reference());
}

TEST(RecordCommand, PassesFileRedactionAndDuration) {
  const Invocation seen = run({"record", "--redact", "--duration", "60", "x.events"});
  EXPECT_EQ(seen.code, kExitOk) << seen.err;
  EXPECT_EQ(seen.recorded.path, "x.events");
  EXPECT_TRUE(seen.recorded.redact);
  EXPECT_EQ(seen.recorded.duration, std::chrono::seconds(60));
  EXPECT_EQ(run({"record", "x.events"}).recorded.duration, std::nullopt);
}

TEST(ReplayCommand, PassesFileAndMetrics) {
  const Invocation seen = run({"replay", "x.events", "--metrics", "--log-requests", "-"});
  EXPECT_EQ(seen.code, kExitOk) << seen.err;
  EXPECT_EQ(seen.replayed.path, "x.events");
  EXPECT_TRUE(seen.replayed.metrics);
  EXPECT_EQ(run({"replay", "x.events"}, {}, Error{"damaged", ""}).code, kExitFailure);
}

TEST(CommandLine, AClosedOutputIsAFailure) {
  const Operations operations{};
  std::ostringstream out, err;
  out.setstate(std::ios::badbit);
  EXPECT_EQ(run_command_line(std::vector<std::string>{"version"}, {operations, {}, out, err}), kExitFailure);
  EXPECT_EQ(err.str(), "llmtap: cannot write to the standard output\n");
}

DoctorReport node() {
  DoctorReport report;
  report.facts = {{"kernel", DoctorStatus::kOk, "6.18", ""},
                  {"tracefs", DoctorStatus::kDegraded, "not mounted", "raw tracepoints are used instead"}};
  report.coverage.targets.push_back({.runtime = "openssl",
                                     .path = "/lib/libssl.so.3",
                                     .placement = "jle",
                                     .places = 9,
                                     .processes = 1,
                                     .attached = true});
  report.coverage.processes = {
      {{10, 1}, "/usr/bin/python3", "agent", {{"openssl", CoverageState::kClear, ""}}},
      {{11, 1}, "/usr/bin/java\x1b", "shop", {{"jsse", CoverageState::kOpaque, "no hook for this runtime"}}},
      {{12, 1}, "/bin/sh", "sh", {{"none", CoverageState::kNone, ""}}}};
  return report;
}

TEST(DoctorCommand, SaysInWordsWhatIsSeenAndWhatIsNot) {
  const Invocation seen = run({"doctor"}, {}, 0, node());
  EXPECT_EQ(seen.code, kExitOk);
  EXPECT_THAT(seen.out, StartsWith("This node can be observed.\n"));
  EXPECT_THAT(seen.out, HasSubstr("-> raw tracepoints are used instead"));
  EXPECT_THAT(seen.out, HasSubstr("/lib/libssl.so.3  (1 process, 9 places, jle)"));
  EXPECT_THAT(seen.out, HasSubstr("jsse: no hook for this runtime"));
  EXPECT_THAT(seen.out, HasSubstr("1 further processes carry no TLS library"));
}

TEST(DoctorCommand, FailsWithTheAdviceWhenSomethingNeededIsMissing) {
  DoctorReport report = node();
  report.facts.push_back(
      {"capability cap_bpf", DoctorStatus::kMissing, "loads the BPF programs", "run as root"});
  report.coverage_error = "the scan took too long";
  const Invocation seen = run({"doctor"}, {}, 0, report);
  EXPECT_EQ(seen.code, kExitFailure);
  EXPECT_THAT(
      seen.out,
      StartsWith(
          "This node cannot be observed:\n  capability cap_bpf: loads the BPF programs; run as root\n"));
  EXPECT_THAT(seen.out, HasSubstr("The list is not complete: the scan took too long"));
}

TEST(DoctorCommand, SaysWhatTheDaemonReadsInAPartOfTheTime) {
  DoctorReport report = node();
  EXPECT_THAT(doctor_text(report), Not(HasSubstr("The running daemon")));
  report.daemon = HookedLibraries{.libraries = {{"openssl", "/lib/libssl.so.3", 7, false, 0}}};
  EXPECT_THAT(doctor_text(report), HasSubstr("every process that maps a library above is always read"));
  report.daemon->libraries.push_back({"openssl", "/opt/libssl.so.3", 7, true, 2});
  report.daemon->unfollowed_seconds = 312.7;
  EXPECT_THAT(doctor_text(report), HasSubstr("sampled   openssl  /opt/libssl.so.3  (2 of 7 processes"));
  EXPECT_THAT(doctor_text(report), HasSubstr("For 312 s so far"));
  EXPECT_THAT(doctor_json(report), HasSubstr("\"always_read\": 2"));
}

TEST(DoctorCommand, JsonHasEveryProcess) {
  const Invocation seen = run({"doctor", "--json"}, {}, 0, node());
  EXPECT_THAT(seen.out, HasSubstr("\"can_observe\": true"));
  EXPECT_THAT(seen.out, HasSubstr("\"pid\": 12"));
  EXPECT_EQ(seen.out.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace llmtap
