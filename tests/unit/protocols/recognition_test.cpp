// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "recorder.h"

namespace llmtap::test {
namespace {

const std::string kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

TEST(Recognition, Http1IsWanted) {
  const Outcome result = run({ask("GET / HTTP/1.1\r\n\r\n")});
  EXPECT_EQ(result.verdict, Verdict::kWanted);
  EXPECT_EQ(result.counters.http1_connections, 1U);
}

TEST(Recognition, Http2IsCountedAndMutedHoweverItIsSplit) {
  const Script script = {ask(kPreface + std::string("\0\0\0\4\0\0\0\0\0", 9)), reply("anything")};
  const auto check = [&](const Cutter& cutter, const std::string& what) {
    const Outcome result = run(script, client_facts(), cutter);
    ASSERT_EQ(result.verdict, Verdict::kMuted) << what;
    ASSERT_EQ(result.counters.http2_not_read, 1U) << what;
    ASSERT_EQ(result.books.bytes_in, result.books.bytes_lost) << what;
    ASSERT_TRUE(result.lines.empty()) << what;
  };
  check(no_cut, "whole");
  for_each_split(script, check);
}

TEST(Recognition, Http2ByTheServersSettings) {
  EXPECT_EQ(run({reply(std::string("\0\0\x12\4\0\0\0\0\0\0", 10))}).counters.http2_not_read, 1U);
  EXPECT_EQ(run({reply(std::string("\0\0\x13\4\0\0\0\0\0\0", 10))}).counters.http2_not_read, 0U);
}

TEST(Recognition, AnythingElseIsMuted) {
  for (const char* text :
       {"SSH-2.0-OpenSSH_9\r\n", "*1\r\n$4\r\nPING\r\n", "GETX", "HTTP/2 200", "G ET / HTTP/1.1"}) {
    const Outcome result = run({ask(text)});
    EXPECT_EQ(result.verdict, Verdict::kMuted) << text;
    EXPECT_EQ(result.counters.other_connections, 1U) << text;
  }
}

TEST(Recognition, WebSocketIsCountedAndMuted) {
  const Outcome result = run({ask("GET /ws HTTP/1.1\r\nUpgrade: WebSocket\r\n\r\n"),
                              reply("HTTP/1.1 101 X\r\nUpgrade: WebSocket\r\n\r\n"), ask("frames")});
  EXPECT_EQ(result.counters.websocket_not_read, 1U);
  EXPECT_EQ(result.verdict, Verdict::kMuted);
}

TEST(Recognition, AMutedConnectionIsMutedAgainAtEachTurn) {
  Recorder recorder;
  ConnectionReaders readers({}, recorder, recorder);
  const ConnectionFacts facts = client_facts();
  readers.on_open(facts);
  readers.on_chunk(facts, Direction::kWrite, {bytes_of("SSH-2.0-x\r\n"), 0, 1});
  ASSERT_EQ(recorder.verdict, Verdict::kMuted);
  recorder.verdict = Verdict::kUndecided;
  readers.on_chunk(facts, Direction::kWrite, {bytes_of("more"), 11, 2});
  EXPECT_EQ(recorder.verdict, Verdict::kUndecided);
  readers.on_chunk(facts, Direction::kRead, {bytes_of("SSH-2.0-y\r\n"), 0, 3});
  EXPECT_EQ(recorder.verdict, Verdict::kMuted);
  EXPECT_EQ(readers.counters().verdicts_muted, 1U);
}

TEST(Recognition, MidConnectionBytesOfAnythingStayUndecided) {
  const Outcome result =
      run({reply("random bytes"), ask("more of them")}, client_facts(Role::kClient, false));
  EXPECT_EQ(result.verdict, Verdict::kUndecided);
  EXPECT_EQ(result.counters.http1_connections, 0U);
}

}  // namespace
}  // namespace llmtap::test
