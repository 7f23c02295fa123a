// SPDX-License-Identifier: Apache-2.0
#include "sinks/json_log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "sinks/call_json.h"
#include "sinks/recent_calls.h"
#include "unit/sinks/sample_calls.h"

namespace llmtap {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace llmtap::testing;
using namespace std::chrono_literals;

struct Log {
  explicit Log(const std::string& path, size_t queue = 100) {
    auto opened = JsonLog::open({.path = path, .queue = queue, .report = [this](const std::string& text) {
                                   const std::lock_guard lock(mutex);
                                   messages.push_back(text);
                                 }});
    if (opened) log = *std::move(opened);
  }
  void write(const LlmCall& call) {
    ASSERT_TRUE(log);
    log->on_call_finished(call);
    ASSERT_TRUE(log->flush(20s));
  }
  std::mutex mutex;
  std::vector<std::string> messages;
  std::unique_ptr<JsonLog> log;
};

TEST(JsonLog, WritesOneLinePerCall) {
  TempDir dir;
  {
    Log log(dir.file("calls.log"));
    for (const LlmCall& call : sample_calls()) log.write(call);
    EXPECT_EQ(log.log->counters().ok, 3u);
  }
  expect_golden("calls.jsonl", read_file(dir.file("calls.log")));
}

TEST(JsonLog, EveryLineHasTheSameKeysInTheSameOrder) {
  std::vector<std::vector<std::string>> keys;
  for (const LlmCall& call : {streamed_call(), refused_call(), broken_call(), LlmCall{}}) {
    const auto line = nlohmann::ordered_json::parse(call_json(call));
    std::vector<std::string> names;
    for (const auto& [key, value] : line.items()) names.push_back(key);
    keys.push_back(names);
  }
  for (const auto& names : keys) EXPECT_EQ(names, keys.front());
}

TEST(JsonLog, SaysWhatTheReplySaysOfTheGateway) {
  LlmCall call = streamed_call();
  call.sdk_retry_count = 1;
  call.gateway.overhead_ms = 2.5;
  call.gateway.cache_hit = false;
  const auto line = nlohmann::json::parse(call_json(call));
  EXPECT_EQ(line["attempt"], 2);
  EXPECT_EQ(line["overhead_ms"], 2.5);
  EXPECT_EQ(line["cache"], "miss");
  call.gateway.cache_hit = true;
  EXPECT_EQ(nlohmann::json::parse(call_json(call))["cache"], "hit");
}

TEST(JsonLog, HostileTextStaysOneValidLine) {
  LlmCall call = streamed_call();
  call.requested_model =
      "\xc3\xa9"
      "a\"b\\c\n\x01\x7f\xff\xed\xa0\x80";
  call.cost_usd = std::numeric_limits<double>::infinity();
  const std::string line = call_json(call);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const auto parsed = nlohmann::json::parse(line);
  EXPECT_EQ(parsed["requested_model"],
            "\xc3\xa9"
            "a\"b\\c\n\x01\x7f\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_TRUE(parsed["cost_usd"].is_null());
}

TEST(JsonLog, FollowsARotatedFile) {
  TempDir dir;
  Log log(dir.file("calls.log"));
  log.write(streamed_call());
  ASSERT_EQ(rename(dir.file("calls.log").c_str(), dir.file("calls.log.1").c_str()), 0);
  log.write(refused_call());
  EXPECT_EQ(read_file(dir.file("calls.log.1")), call_json(streamed_call()) + "\n");
  EXPECT_EQ(read_file(dir.file("calls.log")), call_json(refused_call()) + "\n");
}

TEST(JsonLog, OpensThePathAgainWhenAsked) {
  TempDir dir;
  Log log(dir.file("calls.log"));
  ASSERT_TRUE(log.log);
  ASSERT_EQ(rename(dir.file("calls.log").c_str(), dir.file("calls.log.1").c_str()), 0);
  log.log->reopen();
  ASSERT_TRUE(log.log->flush(20s));
  EXPECT_EQ(access(dir.file("calls.log").c_str(), F_OK), 0);
}

TEST(JsonLog, AFullDiskIsCountedAndSaidOnceUntilItRecovers) {
  TempDir dir;
  ASSERT_EQ(symlink("/dev/full", dir.file("calls.log").c_str()), 0);
  Log log(dir.file("calls.log"));
  log.write(streamed_call());
  log.write(streamed_call());
  EXPECT_EQ(log.log->counters().error, 2u);
  ASSERT_EQ(unlink(dir.file("calls.log").c_str()), 0);
  log.write(refused_call());
  EXPECT_EQ(log.log->counters().ok, 1u);
  EXPECT_EQ(read_file(dir.file("calls.log")), call_json(refused_call()) + "\n");
  EXPECT_THAT(log.messages, ElementsAre(HasSubstr("No space left on device"), HasSubstr("works again")));
}

TEST(JsonLog, AStalledReaderCostsLinesNotTime) {
  TempDir dir;
  ASSERT_EQ(mkfifo(dir.file("pipe").c_str(), 0600), 0);
  // Both ends: opening does not wait, and nobody reads.
  const int pipe = open(dir.file("pipe").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(pipe, 0);
  Log log(dir.file("pipe"), 10);
  ASSERT_TRUE(log.log);
  constexpr uint64_t kCalls = 1000;
  for (uint64_t i = 0; i < kCalls; ++i) log.log->on_call_finished(streamed_call());
  const ExportCounters now = log.log->counters();
  EXPECT_GT(now.dropped, 0u);
  EXPECT_EQ(now.ok + now.error + now.dropped + now.queued, kCalls);
  log.log.reset();  // comes back although nobody reads
  close(pipe);
}

// Standard output whose reader has gone, as behind `| head`.
TEST(JsonLog, AClosedPipeIsCounted) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  Log log("/proc/self/fd/" + std::to_string(ends[1]));
  ASSERT_TRUE(log.log);
  close(ends[0]);
  log.write(streamed_call());
  log.write(streamed_call());
  EXPECT_EQ(log.log->counters().error, 2u);
  EXPECT_EQ(log.log->counters().ok, 0u);
  EXPECT_THAT(log.messages, ElementsAre(HasSubstr("Broken pipe; lines are lost until it works again")));
  close(ends[1]);
}

TEST(JsonLog, APathThatCannotBeOpenedIsAnError) {
  const auto log = JsonLog::open({.path = "/nonexistent/calls.log"});
  ASSERT_FALSE(log.has_value());
  EXPECT_EQ(log.error().message,
            "cannot write the call log /nonexistent/calls.log: No such file or directory");
}

TEST(RecentCalls, KeepsTheLastOnesNewestFirst) {
  Limits limits;
  limits.recent_calls = 2;
  RecentCalls recent(limits);
  EXPECT_EQ(recent.to_json(), "{\"calls\":[]}\n");
  for (const LlmCall& call : sample_calls()) recent.on_call_finished(call);
  EXPECT_EQ(recent.to_json(),
            "{\"calls\":[" + call_json(broken_call()) + "," + call_json(refused_call()) + "]}\n");
  EXPECT_EQ(recent.to_json(1), "{\"calls\":[" + call_json(broken_call()) + "]}\n");
}

}  // namespace
}  // namespace llmtap
