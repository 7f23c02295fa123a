// SPDX-License-Identifier: Apache-2.0
// Many streams, hostile peers, and connections without an LLM call.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "http2_wire.h"
#include "recorder.h"

namespace llmtap::test::h2 {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

constexpr uint8_t kLast = kEndHeaders | kEndStream;

TEST(Http2Limits, ThousandsOfStreamsAtOnce) {
  constexpr uint32_t kStreams = 5000;
  Encoder client, server;
  Script script = {ask(kPreface + kSettings), reply(kSettings)};
  std::string requests, heads, bodies;
  for (uint32_t i = 0; i < kStreams; ++i) requests += client.headers(2 * i + 1, post("/v1/x"), kLast);
  for (uint32_t i = 0; i < kStreams; ++i) heads += server.headers(2 * i + 1, ok("text/event-stream"));
  for (uint32_t i = kStreams; i-- > 0;)
    bodies += data(2 * i + 1, "data: " + std::to_string(i) + "\n\n", kEndStream);
  script.push_back(ask(requests));
  script.push_back(reply(heads));
  script.push_back(reply(bodies));
  const Outcome got = run(script, client_facts(), [](size_t, size_t size) {
    std::vector<size_t> cuts;
    for (size_t at = 4000; at < size; at += 4000) cuts.push_back(at);
    return cuts;
  });
  EXPECT_EQ(got.counters.exchanges_begun, kStreams);
  EXPECT_EQ(std::count_if(got.lines.begin(), got.lines.end(),
                          [](const std::string& line) { return line.ends_with(" complete ok"); }),
            kStreams);
  EXPECT_THAT(got.lines, Contains("4999 < data 4999"));
}

TEST(Http2Limits, BeyondTheBoundTheOldestStreamGoes) {
  Limits limits;
  limits.http2_streams = 4;
  Encoder client;
  Script script = {ask(kPreface + kSettings)};
  for (uint32_t i = 0; i < 10; ++i) script.push_back(ask(client.headers(2 * i + 1, post("/v1/x"))));
  script.push_back(close_by(EndReason::kClosed));
  const Outcome got = run(script, client_facts(), no_cut, limits);
  EXPECT_EQ(got.counters.http2_streams_evicted, 6U);
  EXPECT_EQ(got.counters.exchanges_ended, 10U);
  EXPECT_THAT(got.lines, Contains("0 lost parse"));
  EXPECT_THAT(got.lines, Contains("9 client_aborted truncated"));
}

// CVE-2024-27316 and its kin: a header block that never ends.
TEST(Http2Limits, AFloodOfContinuations) {
  Limits limits;
  limits.head_bytes = 4096;
  Encoder client;
  const std::string field = client.block({{"x-flood", std::string(1000, '~')}}, false);
  Script script = {ask(kPreface + kSettings),
                   ask(frame(FrameType::kHeaders, kEndStream, 1, client.block(post("/v1/x"))))};
  for (int i = 0; i < 3000; ++i)
    script.push_back(ask(frame(FrameType::kContinuation, 0, 1, i % 3 ? field : "")));
  script.push_back(ask(frame(FrameType::kContinuation, kEndHeaders, 1, "")));
  script.push_back(ask(client.headers(3, get("/b"), kLast)));
  script.push_back(close_by(EndReason::kClosed));
  const Outcome got = run(script, client_facts(), no_cut, limits, true);
  EXPECT_EQ(got.counters.oversized_heads, 1U);
  EXPECT_THAT(got.lines.front(), HasSubstr("0 > head POST /v1/x api.example"));
  EXPECT_LT(got.lines.front().size(), 5000U);
  EXPECT_THAT(got.lines, Contains("0 client_aborted parse"));
  EXPECT_THAT(got.lines, Contains(HasSubstr("1 > head GET /b api.example")));
}

// One byte per field, each four thousand bytes long.
TEST(Http2Limits, ABombOfReferences) {
  Encoder client;
  std::string block = join({client.block(post("/v1/x")), client.block({{"x-bomb", std::string(3900, 'z')}})});
  block += std::string(16000, '\xbe');
  Script script = {ask(kPreface + kSettings)};
  std::string bytes = frame(FrameType::kHeaders, kEndStream, 1, block.substr(0, 16384));
  for (size_t at = 16384; at < block.size(); at += 16384)
    bytes += frame(FrameType::kContinuation, 0, 1, block.substr(at, 16384));
  for (int i = 0; i < 50; ++i) bytes += frame(FrameType::kContinuation, 0, 1, std::string(16384, '\xbe'));
  script.push_back(ask(bytes + frame(FrameType::kContinuation, kEndHeaders, 1, "")));
  script.push_back(close_by(EndReason::kClosed));
  const Limits limits;
  const Outcome got = run(script, client_facts(), no_cut, limits, true);
  EXPECT_EQ(got.counters.oversized_heads, 1U);
  EXPECT_THAT(got.lines.front(), HasSubstr("0 > head POST /v1/x api.example"));
  EXPECT_LT(got.lines.front().size(), limits.head_bytes + 10 * limits.header_fields);
  EXPECT_EQ(got.counters.exchanges_ended, 1U);
}

TEST(Http2Limits, AFrameWithinAHeaderBlockIsNoHttp2) {
  Encoder client;
  const Script script = {ask(kPreface + kSettings),
                         ask(frame(FrameType::kHeaders, 0, 1, client.block(post("/a"))) + data(1, "x")),
                         ask(client.headers(3, get("/b"), kLast)), close_by(EndReason::kClosed)};
  const Outcome got = run(script);
  EXPECT_EQ(got.counters.http2_frame_errors, 1U);
  EXPECT_THAT(got.lines, Contains(HasSubstr("head GET /b")));
}

// Answers every exchange with what llm/ would say of it.
class Answering : public Recorder {
 public:
  ConnectionReaders* readers = nullptr;
  std::function<Verdict(std::string_view path)> judge;
  void on_request_head(const ConnectionFacts& facts, ExchangeId id, const RequestHead& head) override {
    Recorder::on_request_head(facts, id, head);
    readers->exchange_verdict(facts.id, judge(head.target));
  }
};

struct Shared {
  Limits limits;
  Answering sink;
  ConnectionReaders readers{limits, sink, sink};
  ConnectionFacts facts = client_facts();
  Encoder client;
  uint32_t next = 1;
  uint64_t now = 1000;

  explicit Shared(std::function<Verdict(std::string_view)> judge) {
    sink.readers = &readers;
    sink.judge = std::move(judge);
    readers.on_open(facts);
    feed(kPreface + kSettings);
  }
  void feed(const std::string& bytes) {
    readers.on_chunk(facts, Direction::kWrite, {bytes_of(bytes), 0, ++now});
  }
  void ask_for(const std::string& path) {
    feed(client.headers(next, get(path), kLast));
    next += 2;
  }
};

TEST(Http2Verdict, WithoutEvidenceItIsMutedAndLookedAtAgain) {
  Shared c([](std::string_view) { return Verdict::kTimes; });
  for (size_t i = 0; i + 1 < c.limits.mute_after_exchanges; ++i) c.ask_for("/static");
  EXPECT_EQ(c.sink.verdict, Verdict::kWanted);
  c.ask_for("/static");
  EXPECT_EQ(c.sink.verdict, Verdict::kMuted);
  EXPECT_EQ(c.readers.counters().exchanges_ended, c.limits.mute_after_exchanges);
  c.ask_for("/static");  // on its way when the verdict fell
  EXPECT_GT(c.readers.books().lost_bytes_by_reason.at("muted"), 0U);

  c.readers.on_clock(c.now + c.limits.resample_first_ns - 10);
  EXPECT_EQ(c.sink.verdict, Verdict::kMuted);
  c.readers.on_clock(c.now + c.limits.resample_first_ns);
  EXPECT_EQ(c.sink.verdict, Verdict::kWanted);
  // The table is not known any more; frames are found all the same.
  for (size_t i = 0; i < c.limits.mute_after_exchanges; ++i) c.ask_for("/static");
  EXPECT_EQ(c.sink.verdict, Verdict::kMuted);
  c.readers.on_clock(c.now + c.limits.resample_first_ns);
  EXPECT_EQ(c.sink.verdict, Verdict::kMuted) << "the second pause is longer";
  c.readers.on_clock(c.now + 2 * c.limits.resample_first_ns);
  EXPECT_EQ(c.sink.verdict, Verdict::kWanted);
  EXPECT_EQ(c.readers.counters().resamples, 2U);
  c.readers.on_end(c.facts, EndReason::kClosed, c.now);
  const StageBooks& books = c.readers.books();
  EXPECT_EQ(books.bytes_in, books.bytes_out + books.bytes_lost);
}

TEST(Http2Verdict, ToShedLoadItIsMutedSoonerAndLonger) {
  Shared c([](std::string_view) { return Verdict::kTimes; });
  c.readers.mute_sooner(true);
  for (size_t i = 0; i < 2; ++i) c.ask_for("/static");
  EXPECT_EQ(c.sink.verdict, Verdict::kMuted);
  c.readers.on_clock(c.now + c.limits.resample_last_ns - 10);
  EXPECT_EQ(c.sink.verdict, Verdict::kMuted);
  c.readers.mute_sooner(false);
  c.readers.on_clock(c.now + c.limits.resample_last_ns);
  EXPECT_EQ(c.sink.verdict, Verdict::kWanted);
  for (size_t i = 0; i < 3; ++i) c.ask_for("/static");
  EXPECT_EQ(c.sink.verdict, Verdict::kWanted);
}

TEST(Http2Verdict, OneCallKeepsItWanted) {
  Shared c([](std::string_view path) { return path == "/v1/messages" ? Verdict::kWanted : Verdict::kTimes; });
  c.ask_for("/v1/messages");
  for (size_t i = 0; i < 3 * c.limits.mute_after_exchanges; ++i) c.ask_for("/static");
  EXPECT_EQ(c.sink.verdict, Verdict::kWanted);
}

TEST(Http2Verdict, AWatchedWorkloadKeepsItWanted) {
  Shared c([](std::string_view) { return Verdict::kHeads; });
  for (size_t i = 0; i < 3 * c.limits.mute_after_exchanges; ++i) c.ask_for("/metrics");
  EXPECT_EQ(c.sink.verdict, Verdict::kWanted);
}

TEST(Http2Verdict, AMutedConnectionThatEndsIsForgotten) {
  Shared c([](std::string_view) { return Verdict::kTimes; });
  for (size_t i = 0; i < c.limits.mute_after_exchanges; ++i) c.ask_for("/static");
  c.readers.on_end(c.facts, EndReason::kClosed, c.now);
  c.readers.on_clock(c.now + 10 * c.limits.resample_last_ns);
  EXPECT_EQ(c.readers.counters().resamples, 0U);
}

TEST(Http2Verdict, OfHttp1ItIsPassedOn) {
  Recorder recorder;
  ConnectionReaders readers({}, recorder, recorder);
  const ConnectionFacts facts = client_facts();
  readers.on_open(facts);
  readers.on_chunk(facts, Direction::kWrite, {bytes_of("GET / HTTP/1.1\r\n\r\n"), 0, 1});
  readers.exchange_verdict(facts.id, Verdict::kTimes);
  EXPECT_EQ(recorder.verdict, Verdict::kTimes);
}

}  // namespace
}  // namespace llmtap::test::h2
