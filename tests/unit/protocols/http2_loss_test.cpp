// SPDX-License-Identifier: Apache-2.0
// Lost bytes, and connections met in the middle: what is certain is delivered, nothing wrong is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "http2_wire.h"
#include "recorder.h"

namespace llmtap::test::h2 {
namespace {

using ::testing::Contains;
using ::testing::ElementsAreArray;
using Lines = std::vector<std::string>;

constexpr uint8_t kLast = kEndHeaders | kEndStream;

Script opened() { return {ask(kPreface + kSettings), reply(kSettings)}; }

std::string event(int number) { return "data: {\"n\":" + std::to_string(number) + "}\n\n"; }

// What each exchange delivered, whatever stood between.
std::map<std::string, Lines> by_exchange(const Lines& lines) {
  std::map<std::string, Lines> out;
  for (const std::string& line : lines) out[line.substr(0, line.find(' '))].push_back(line);
  return out;
}

// Two streams of events in turn, one frame per write, then one more exchange.
Script conversation(Encoder& client, Encoder& server) {
  Script script = opened();
  script.push_back(ask(client.headers(1, get("/a"), kLast)));
  script.push_back(ask(client.headers(3, get("/b"), kLast)));
  script.push_back(reply(server.headers(1, ok("text/event-stream"))));
  script.push_back(reply(server.headers(3, ok("text/event-stream"))));
  for (int i = 0; i < 6; ++i) script.push_back(reply(data(i % 2 ? 1 : 3, event(i))));
  script.push_back(reply(data(1, "", kEndStream)));
  script.push_back(reply(data(3, "", kEndStream)));
  script.push_back(ask(client.headers(5, get("/c"), kLast)));
  script.push_back(reply(server.headers(5, ok("text/plain")) + data(5, "done", kEndStream)));
  script.push_back(close_by(EndReason::kClosed));
  return script;
}

Script with_gap(const Script& script, size_t step, size_t begin, size_t length) {
  Script out;
  for (size_t i = 0; i < script.size(); ++i) {
    if (i != step) {
      out.push_back(script[i]);
      continue;
    }
    Step head = script[i], tail = script[i], gap = script[i];
    head.bytes.resize(begin);
    tail.bytes.erase(0, begin + length);
    gap.kind = Step::Kind::kGap;
    gap.bytes.clear();
    gap.gap = length;
    out.insert(out.end(), {head, gap, tail});
  }
  return out;
}

TEST(Http2Loss, AGapOfEveryLengthAtEveryPlace) {
  Encoder client, server;
  const Script script = conversation(client, server);
  const std::map<std::string, Lines> whole = by_exchange(run(script).lines);
  for (size_t step = 2; step + 1 < script.size(); ++step)
    for (size_t begin = 0; begin < script[step].bytes.size(); ++begin)
      for (size_t length = 1; begin + length <= script[step].bytes.size(); length += length < 12 ? 1 : 7) {
        const Outcome got = run(with_gap(script, step, begin, length));
        const std::string where = "step " + std::to_string(step) + ", " + std::to_string(length) +
                                  " bytes at " + std::to_string(begin);
        ASSERT_EQ(got.books.bytes_in, got.books.bytes_out + got.books.bytes_lost) << where;
        ASSERT_EQ(got.counters.exchanges_begun, got.counters.exchanges_ended) << where;
        // An exchange that says it is whole is what it was; a number in it is.
        for (const auto& [number, lines] : by_exchange(got.lines)) {
          const bool clean = lines.back().ends_with(" ok");
          if (!clean) continue;
          ASSERT_TRUE(std::any_of(whole.begin(), whole.end(),
                                  [&](const auto& one) {
                                    return std::equal(lines.begin(), lines.end(), one.second.begin(),
                                                      one.second.end(),
                                                      [](const std::string& a, const std::string& b) {
                                                        return a.substr(1) == b.substr(1);
                                                      });
                                  }))
              << where << ": " << ::testing::PrintToString(lines);
        }
        // An event that says it is complete was sent.
        for (const std::string& line : got.lines) {
          if (line.find(" < data ") == std::string::npos || line.find("{\"n\":") != std::string::npos)
            continue;
          ASSERT_THAT(got.lines, Contains(::testing::HasSubstr("incomplete"))) << where << ": " << line;
        }
      }
}

TEST(Http2Loss, AGapInsideAFrameTouchesItsStreamAlone) {
  Encoder client, server;
  const Script script = conversation(client, server);
  const Outcome got = run(with_gap(script, 7, 9 + 4, 5));
  const auto lines = by_exchange(got.lines);
  EXPECT_EQ(got.counters.http2_resyncs, 0U);
  EXPECT_EQ(lines.at("0").back(), "0 complete lost");
  EXPECT_EQ(lines.at("1").back(), "1 complete ok");
  EXPECT_EQ(lines.at("2").back(), "2 complete ok");
}

TEST(Http2Loss, WholeFramesLostTouchTheStreamsThatWereOpen) {
  Encoder client, server;
  Script script = conversation(client, server);
  Step& lost = script[7];
  lost.kind = Step::Kind::kGap;
  lost.gap = lost.bytes.size();
  lost.bytes.clear();
  const Outcome got = run(script);
  const auto lines = by_exchange(got.lines);
  EXPECT_EQ(got.counters.http2_resyncs, 1U);
  EXPECT_EQ(lines.at("0").back(), "0 complete lost");
  EXPECT_EQ(lines.at("1").back(), "1 complete lost");
  // Its head refers to what was inserted before the gap, and says so; its body is whole.
  EXPECT_THAT(lines.at("2"),
              ElementsAreArray(Lines{"2 > head GET /c api.example", "2 > end 0/0 ok", "2 < head 200",
                                     "2 < body done", "2 < end 4/4 ok", "2 complete ok"}));
}

TEST(Http2Loss, AnUnknownNumberOfBytes) {
  Encoder client, server;
  Script script = conversation(client, server);
  script.insert(script.begin() + 8, reply_gap(0));
  const auto lines = by_exchange(run(script).lines);
  EXPECT_EQ(lines.at("0").back(), "0 complete lost");
  EXPECT_EQ(lines.at("2").back(), "2 complete ok");
}

TEST(Http2Loss, FramesAreFoundInTheMiddleOfAPiece) {
  Encoder client, server;
  Script script = opened();
  script.push_back(ask(client.headers(1, get("/a"), kLast)));
  script.push_back(reply(server.headers(1, ok("text/event-stream"))));
  script.push_back(reply_gap(500));
  script.push_back(reply("\"rest of a frame\"}\n\n" + data(1, event(1)) + data(1, event(2)) +
                         data(1, event(3), kEndStream)));
  const Outcome got = run(script);
  EXPECT_THAT(got.lines, Contains("0 < data {\"n\":3}"));
  EXPECT_THAT(got.lines, Contains("0 complete lost"));
  EXPECT_EQ(got.books.lost_bytes_by_reason.at("resync"), 20U);
}

// Whatever the cut, the events that are delivered as complete were sent.
TEST(Http2Loss, FindsFramesHoweverTheBytesAreCut) {
  Encoder client, server;
  Script script = opened();
  script.push_back(ask(client.headers(1, get("/a"), kLast)));
  script.push_back(reply(server.headers(1, ok("text/event-stream"))));
  script.push_back(reply_gap(500));
  std::string rest = "junk\0\0 of a frame\n\n";
  for (int i = 0; i < 8; ++i) rest += data(1, event(i), i == 7 ? kEndStream : 0);
  script.push_back(reply(rest));
  script.push_back(close_by(EndReason::kClosed));
  for_each_split(script, [&](const Cutter& cutter, const std::string& what) {
    const Outcome got = run(script, client_facts(), cutter);
    ASSERT_THAT(got.lines, Contains("0 < data {\"n\":7}")) << what;
    ASSERT_EQ(got.lines.back(), "0 complete lost") << what;
    ASSERT_EQ(got.books.bytes_in, got.books.bytes_out + got.books.bytes_lost) << what;
  });
}

TEST(Http2Loss, AStreamWhoseEndWasLostIsEndedInTheEnd) {
  Encoder client, server;
  Limits limits;
  limits.http2_doubt_ns = 25;
  Script script = opened();
  script.push_back(ask(client.headers(1, get("/a"), kLast)));
  script.push_back(reply(server.headers(1, ok()) + data(1, "{\"a\":")));
  script.push_back(reply_gap(100));
  for (const uint32_t stream : {3, 5, 7}) script.push_back(ask(client.headers(stream, get("/b"), kLast)));
  const Outcome got = run(script, client_facts(), no_cut, limits);
  EXPECT_THAT(got.lines, Contains("0 lost lost after 5"));
}

// A pooled connection that was there before us: its tables are full of what we never saw.
struct Pooled {
  Encoder client, server;
  Fields request = post("/v1/chat/completions", {{"content-type", "application/json"}, {"x-key", "k"}});
  Fields events = ok("text/event-stream", {{"x-served-by", "s"}});
  Pooled() {
    (void)client.block(request);
    (void)server.block(events);
  }
};

TEST(Http2MidConnection, ACallIsMadeOfUnknownFields) {
  Pooled p;
  const Script script = {ask(p.client.headers(31, p.request) + data(31, "{\"model\":\"m\"}", kEndStream)),
                         reply(p.server.headers(31, p.events) + data(31, event(1))),
                         reply(data(31, event(2), kEndStream)), close_by(EndReason::kClosed)};
  const Outcome got = run(script, client_facts(Role::kClient, false), no_cut, {}, true);
  EXPECT_THAT(got.lines, ElementsAreArray(Lines{
                             "0 > head POST /v1/chat/completions  unknown {content-type|application/json}",
                             "0 > body {\"model\":\"m\"}", "0 > end 13/13 ok",
                             "0 < head 200 unknown {content-type|text/event-stream}", "0 < data {\"n\":1}",
                             "0 < event [] 7", "0 < data {\"n\":2}", "0 < event [] 7", "0 < end 30/30 ok",
                             "0 complete mid"}));
  EXPECT_EQ(got.verdict, Verdict::kWanted);
  EXPECT_EQ(got.counters.http2_connections, 1U);
  EXPECT_GT(got.counters.http2_unknown_fields, 0U);
}

TEST(Http2MidConnection, TheTableFillsAgain) {
  Pooled p;
  Fields other = post("/v1/messages", {{"content-type", "application/json"}, {"x-key", "k"}});
  const Script script = {ask(p.client.headers(31, p.request, kLast)),
                         ask(p.client.headers(33, other, kLast)),
                         ask(p.client.headers(35, other, kLast)),
                         reply(join({p.server.headers(31, ok("text/plain"), kLast),
                                     p.server.headers(33, ok("text/plain"), kLast)})),
                         reply(p.server.headers(35, ok("text/plain"), kLast)),
                         close_by(EndReason::kClosed)};
  const Outcome got = run(script, client_facts(Role::kClient, false));
  EXPECT_THAT(got.lines, Contains("2 > head POST /v1/messages  unknown"));
  EXPECT_THAT(got.lines, Contains("2 < head 200"));
}

TEST(Http2MidConnection, EventsThatWereUnderWayAreRead) {
  Pooled p;
  const Script script = {reply(data(31, event(4))),
                         reply(data(31, event(5)) + data(31, event(6), kEndStream)),
                         close_by(EndReason::kClosed)};
  const Outcome got = run(script, client_facts(Role::kClient, false), no_cut, {}, true);
  EXPECT_EQ(got.lines.front(), "0 < head 0 unknown {content-type|text/event-stream}");
  EXPECT_EQ(got.lines.back(), "0 complete mid");
  EXPECT_EQ(std::count(got.lines.begin(), got.lines.end(), "0 < event [] 7"), 3);
}

TEST(Http2MidConnection, WithoutARoleAHeadSaysWhoAsks) {
  Pooled p;
  const Script script = {reply(data(31, "{}")), reply(p.server.headers(33, ok(), kLast)),
                         ask(p.client.headers(35, get("/a"), kLast)),
                         reply(p.server.headers(35, ok(), kLast))};
  const Outcome got = run(script, client_facts(Role::kUnknown, false));
  EXPECT_THAT(got.lines, Contains(::testing::HasSubstr("head GET /a")));
}

TEST(Http2MidConnection, OtherBytesAreNotTakenForFrames) {
  for (const std::string& text : {std::string("HTTP/1.1 200 OK\r\n\r\n"), std::string(64, '\0'),
                                  std::string(64, '\x01'), std::string("\0\0\1\0", 4)})
    EXPECT_EQ(run({reply(text)}, client_facts(Role::kClient, false)).counters.http2_connections, 0U);
}

TEST(Http2MidConnection, AGuessAtHttp1GivesWay) {
  Pooled p;
  const Script script = {reply(std::string(40, 'x')), ask(p.client.headers(31, get("/a"), kLast)),
                         reply(p.server.headers(31, ok(), kLast))};
  const Outcome got = run(script, client_facts(Role::kClient, false));
  EXPECT_EQ(got.counters.http2_connections, 1U);
  EXPECT_THAT(got.lines, Contains(::testing::HasSubstr("0 complete")));
}

}  // namespace
}  // namespace llmtap::test::h2
