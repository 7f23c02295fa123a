// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "recorder.h"

namespace llmtap::test {
namespace {

using ::testing::ElementsAre;

const std::string kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

TEST(Recognition, Http1IsWanted) {
  const Outcome result = run({ask("GET / HTTP/1.1\r\n\r\n")});
  EXPECT_EQ(result.verdict, Verdict::kWanted);
  EXPECT_EQ(result.counters.http1_connections, 1U);
}

TEST(Recognition, Http2IsWantedHoweverItIsSplit) {
  const std::string settings("\0\0\0\4\0\0\0\0\0", 9);
  const Script script = {ask(kPreface + settings), reply(settings)};
  const auto check = [&](const Cutter& cutter, const std::string& what) {
    const Outcome result = run(script, client_facts(), cutter);
    ASSERT_EQ(result.verdict, Verdict::kWanted) << what;
    ASSERT_EQ(result.counters.http2_connections, 1U) << what;
    ASSERT_EQ(result.books.bytes_in, result.books.bytes_out) << what;
    ASSERT_TRUE(result.lines.empty()) << what;
  };
  check(no_cut, "whole");
  for_each_split(script, check);
}

TEST(Recognition, Http2ByTheServersSettings) {
  EXPECT_EQ(run({reply(std::string("\0\0\x12\4\0\0\0\0\0\0", 10))}).counters.http2_connections, 1U);
  EXPECT_EQ(run({reply(std::string("\0\0\x13\4\0\0\0\0\0\0", 10))}).counters.http2_connections, 0U);
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

TEST(Recognition, OpenConnectionsAreCountedByVerdictAndProtocol) {
  using Key = std::pair<Verdict, std::string_view>;
  Recorder recorder;
  ConnectionReaders readers({}, recorder, recorder);
  const auto open = [&](Verdict verdict, std::string_view protocol) {
    const auto found = readers.open_counts().find(Key{verdict, protocol});
    return found == readers.open_counts().end() ? 0 : found->second;
  };
  ConnectionFacts http = client_facts(), other = client_facts(), upgraded = client_facts();
  other.id = 8;
  upgraded.id = 9;
  for (const ConnectionFacts& facts : {http, other, upgraded}) readers.on_open(facts);
  EXPECT_EQ(open(Verdict::kUndecided, "unknown"), 3u);
  readers.on_chunk(http, Direction::kWrite, {bytes_of("GET / HTTP/1.1\r\n\r\n"), 0, 1});
  readers.on_chunk(other, Direction::kWrite, {bytes_of("SSH-2.0-x\r\n"), 0, 1});
  readers.on_chunk(upgraded, Direction::kWrite, {bytes_of("GET /ws HTTP/1.1\r\nUpgrade: x\r\n\r\n"), 0, 1});
  readers.on_chunk(upgraded, Direction::kRead, {bytes_of("HTTP/1.1 101 X\r\nUpgrade: x\r\n\r\n"), 0, 2});
  EXPECT_EQ(open(Verdict::kUndecided, "unknown"), 0u);
  EXPECT_EQ(open(Verdict::kWanted, "http1"), 1u);
  EXPECT_EQ(open(Verdict::kMuted, "other"), 1u);
  EXPECT_EQ(open(Verdict::kMuted, "upgraded"), 1u);
  readers.exchange_verdict(http.id, Verdict::kTimes);
  readers.exchange_verdict(12345, Verdict::kTimes);
  EXPECT_EQ(open(Verdict::kWanted, "http1"), 0u);
  EXPECT_EQ(open(Verdict::kTimes, "http1"), 1u);
  for (const ConnectionFacts& facts : {http, other, upgraded}) readers.on_end(facts, EndReason::kClosed, 3);
  for (const auto& [key, count] : readers.open_counts()) EXPECT_EQ(count, 0u) << key.second;
}

TEST(Recognition, PlainConnectionsOnOtherPortsAreNotRead) {
  Recorder recorder;
  ConnectionReaders readers({}, recorder, recorder);
  readers.set_plain_ports({80, 11434});
  ConnectionFacts facts = client_facts();
  const auto first_line = [&](uint64_t id, bool tls, bool known, uint16_t local, uint16_t remote) {
    facts.id = id;
    facts.source = tls ? Source::kOpenSsl : Source::kSocket;
    facts.has_addresses = known;
    facts.local.port = local;
    facts.remote.port = remote;
    recorder.lines.clear();
    readers.on_open(facts);
    readers.on_chunk(facts, Direction::kWrite, {bytes_of("GET / HTTP/1.1\r\n\r\n"), 0, 1});
    return recorder.lines.empty() ? "muted " + std::to_string(recorder.verdict == Verdict::kMuted)
                                  : recorder.lines[0];
  };
  EXPECT_EQ(first_line(1, false, true, 40000, 8080), "muted 1");
  EXPECT_EQ(first_line(2, false, true, 40000, 11434), "0 > head GET / ");
  EXPECT_EQ(first_line(3, false, true, 80, 40000), "0 > head GET / ");
  EXPECT_EQ(first_line(4, true, true, 40000, 8080), "0 > head GET / ");
  EXPECT_EQ(first_line(5, false, false, 0, 0), "0 > head GET / ");
  EXPECT_EQ(readers.books().bytes_in, readers.books().bytes_out + readers.books().bytes_lost);
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

// Ports say nothing of who serves: both ends may be ephemeral.
TEST(Recognition, TheBytesSayWhoServesWhenNobodySawTheConnectionBegin) {
  struct Roles : Recorder {
    std::vector<Role> seen;
    void on_request_head(const ConnectionFacts& facts, ExchangeId, const RequestHead&) override {
      seen.push_back(facts.role);
    }
  };
  // An indexed :method of the static table begins a head, in the middle of an HTTP/2 connection.
  const std::string http2("\0\0\2\1\5\0\0\0\7\x83\x84", 11);
  for (const std::string& request : {std::string("GET / HTTP/1.1\r\n\r\n"), http2})
    for (const Role role : {Role::kUnknown, Role::kServer})
      for (const Direction asks : {Direction::kRead, Direction::kWrite}) {
        Roles recorder;
        ConnectionReaders readers({}, recorder, recorder);
        ConnectionFacts facts = client_facts();
        facts.role = role;
        facts.first_byte_seen = false;
        readers.on_open(facts);
        readers.on_chunk(facts, asks, {bytes_of(request), 0, 1});
        const Role by_bytes = asks == Direction::kRead ? Role::kServer : Role::kClient;
        EXPECT_THAT(recorder.seen, ElementsAre(role == Role::kUnknown ? by_bytes : role));
      }
}

TEST(Recognition, MidConnectionBytesOfAnythingStayUndecided) {
  const Outcome result =
      run({reply("random bytes"), ask("more of them")}, client_facts(Role::kClient, false));
  EXPECT_EQ(result.verdict, Verdict::kUndecided);
  EXPECT_EQ(result.counters.http1_connections, 0U);
}

}  // namespace
}  // namespace llmtap::test
