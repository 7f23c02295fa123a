// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "recorder.h"
#include "websocket_wire.h"

namespace llmtap::test {
namespace {

const std::string kPath = "/v1/responses";
const std::string kAsk = R"({"type":"response.create","model":"m"})";
const std::string kCreated = R"({"type":"response.created","response":{"id":"r"}})";
const std::string kDelta = R"({"type":"response.output_text.delta","delta":"hi"})";
const std::string kDone = R"({"type":"response.completed","response":{"id":"r"}})";

struct Case {
  std::string name;
  Script script;
  std::vector<std::string> want;  // behind the upgrade's own exchange
};
void PrintTo(const Case& row, std::ostream* out) { *out << row.name; }
std::string case_name(const ::testing::TestParamInfo<Case>& row) { return row.param.name; }

Script on_socket(std::vector<Step> steps, const std::string& extensions = "") {
  Script script{ask(upgrade_request(kPath)), reply(upgrade_reply(extensions))};
  script.insert(script.end(), steps.begin(), steps.end());
  script.push_back(close_by(EndReason::kClosed));
  return script;
}

std::string number(size_t n) { return std::to_string(n); }

std::vector<std::string> one_response(size_t sent_bytes, size_t got_bytes, const std::string& id = "1") {
  const size_t body = kCreated.size() + kDelta.size() + kDone.size();
  return {id + " > head GET /v1/responses api.openai.com",
          id + " > data " + kAsk,
          id + " > event [] " + number(kAsk.size()),
          id + " > end " + number(sent_bytes) + "/" + number(kAsk.size()) + " ok",
          id + " < head 200",
          id + " < data " + kCreated,
          id + " < event [] " + number(kCreated.size()),
          id + " < data " + kDelta,
          id + " < event [] " + number(kDelta.size()),
          id + " < data " + kDone,
          id + " < event [] " + number(kDone.size()),
          id + " < end " + number(got_bytes) + "/" + number(body) + " ok",
          id + " complete ok"};
}
const size_t kGotBytes = kCreated.size() + kDelta.size() + kDone.size();

std::vector<std::string> twice(std::vector<std::string> first, const std::vector<std::string>& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

Case compressed(const std::string& name, bool keeps_context, const std::string& extensions) {
  Deflater client(keeps_context), server(keeps_context);
  const unsigned first = kFin | kCompressed | kText;
  std::vector<Step> steps;
  std::vector<std::string> want;
  for (const char* id : {"1", "2"}) {
    const std::string asked = client(kAsk);
    std::string answer;
    size_t bytes = 0;
    for (const std::string& text : {kCreated, kDelta, kDone}) {
      const std::string small = server(text);
      bytes += small.size();
      answer += got(small, first);
    }
    steps.push_back(ask(sent(asked, first)));
    steps.push_back(reply(answer));
    want = twice(want, one_response(asked.size(), bytes, id));
  }
  return {name, on_socket(steps, extensions), want};
}

Case uncompressed_amid_compressed() {
  Deflater server(true);
  const std::string small = server(kDelta);
  return {
      "UncompressedAmidCompressed",
      on_socket({ask(sent(kAsk)), reply(got(kCreated) + got(small, kFin | kCompressed | kText) + got(kDone))},
                "permessage-deflate; client_max_window_bits=15"),
      one_response(kAsk.size(), kCreated.size() + small.size() + kDone.size())};
}

class WebSocketTest : public ::testing::TestWithParam<Case> {};

TEST_P(WebSocketTest, ReadsTheSameHoweverItIsSplit) {
  const Case& row = GetParam();
  const Outcome whole = run(row.script);
  ASSERT_GE(whole.lines.size(), 4U);
  EXPECT_EQ(std::vector<std::string>(whole.lines.begin() + 4, whole.lines.end()), row.want);
  EXPECT_EQ(whole.books.bytes_in, whole.books.bytes_out + whole.books.bytes_lost);
  EXPECT_EQ(whole.decoder_bytes, 0U);
  // Who closed is another matter there.
  if (whole.lines.back().ends_with("complete ok")) {
    EXPECT_EQ(run(server_side(row.script), client_facts(Role::kServer)).lines, whole.lines);
  }
  for_each_split(
      row.script,
      [&](const Cutter& cutter, const std::string& where) {
        ASSERT_EQ(run(row.script, client_facts(), cutter).lines, whole.lines) << where;
      },
      30);
}

INSTANTIATE_TEST_SUITE_P(
    Cases, WebSocketTest,
    ::testing::Values(
        Case{"One", on_socket({ask(sent(kAsk)), reply(got(kCreated) + got(kDelta) + got(kDone))}),
             one_response(kAsk.size(), kGotBytes)},
        Case{"FramesBehindTheHead",
             {ask(upgrade_request(kPath)), reply(upgrade_reply() + got(R"({"type":"session.created"})")),
              ask(sent(kAsk)), reply(got(kCreated) + got(kDelta) + got(kDone)), close_by(EndReason::kClosed)},
             one_response(kAsk.size(), kGotBytes)},
        Case{"FragmentsWithPingsBetween",
             on_socket({ask(sent(kAsk.substr(0, 5), kText) + sent("p", kFin | kPing) +
                            sent(kAsk.substr(5, 9), 0) + sent(kAsk.substr(14), kFin)),
                        reply(got(kCreated) + got("{\"type\"", kText) + got("", kFin | kPing) +
                              got(kDelta.substr(7), kFin) + got(kDone) + got("\3\350", kFin | kClose))}),
             one_response(kAsk.size(), kGotBytes)},
        compressed("DeflateKeepsItsWindow", true, "permessage-deflate"),
        compressed("DeflateWithoutContextTakeover", false,
                   "permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
        uncompressed_amid_compressed(),
        Case{
            "OtherMessagesAreNone",
            on_socket({ask(sent(R"({"type":"session.update","session":{"x":[{"type":"response.create"}]}})")),
                       reply(got(R"({"type":"rate_limits.updated"})")), ask(sent(kAsk)),
                       reply(got(kCreated) + got(kDelta) + got(kDone))}),
            one_response(kAsk.size(), kGotBytes)},
        Case{"ErrorEndsARequest",
             on_socket({ask(sent(kAsk)), reply(got(R"({"type":"error","error":{}})"))}),
             {"1 > head GET /v1/responses api.openai.com", "1 > data " + kAsk,
              "1 > event [] " + number(kAsk.size()),
              "1 > end " + number(kAsk.size()) + "/" + number(kAsk.size()) + " ok", "1 < head 200",
              R"(1 < data {"type":"error","error":{}})", "1 < event [] 27", "1 < end 27/27 ok",
              "1 complete ok"}},
        Case{"ClientLeaves",
             on_socket({ask(sent(kAsk)), reply(got(kCreated))}),
             {"1 > head GET /v1/responses api.openai.com", "1 > data " + kAsk,
              "1 > event [] " + number(kAsk.size()),
              "1 > end " + number(kAsk.size()) + "/" + number(kAsk.size()) + " ok", "1 < head 200",
              "1 < data " + kCreated, "1 < event [] " + number(kCreated.size()),
              "1 client_aborted truncated after " + number(kCreated.size())}}),
    case_name);

TEST(WebSocket, WhatIsNoLlmApiIsCountedAndMuted) {
  std::vector<Step> steps(9, reply(got(R"({"chat":"hello"})")));
  const Outcome outcome = run(on_socket(steps));
  EXPECT_EQ(outcome.lines.size(), 4U);
  EXPECT_EQ(outcome.verdict, Verdict::kMuted);
  EXPECT_EQ(outcome.counters.websocket_not_read, 1U);
  EXPECT_EQ(outcome.counters.websocket_connections, 1U);
}

TEST(WebSocket, DamagedFramesEndTheReading) {
  for (const std::string& bad : {got("x", 0xf1), got("x", 3 | kFin), got("x", kPing), sent(kDelta),
                                 got("x", kFin | kCompressed | kText)}) {
    const Outcome outcome = run(on_socket({ask(sent(kAsk)), reply(got(kCreated) + bad), reply(got(kDone))}));
    EXPECT_EQ(outcome.lines.back(), "1 lost parse after " + number(kCreated.size()));
    EXPECT_EQ(outcome.counters.websocket_frame_errors, 1U);
  }
}

TEST(WebSocket, AGapAnywhereNeverMakesATextThatWasNotSent) {
  const std::string body = got(kCreated) + got(kDelta) + got(kDone);
  const std::string again = got(R"({"type":"response.created","n":2})") + got(kDone);
  for (const bool known : {true, false})
    for (size_t begin = 0; begin < body.size(); ++begin)
      for (size_t end = begin + 1; end <= body.size(); end += 3) {
        const Outcome outcome =
            run(on_socket({ask(sent(kAsk)), reply(body.substr(0, begin)), reply_gap(known ? end - begin : 0),
                           reply(body.substr(end)), ask(sent(kAsk)), reply(again)}));
        ASSERT_EQ(outcome.counters.exchanges_begun, outcome.counters.exchanges_ended);
        ASSERT_EQ(outcome.books.bytes_in, outcome.books.bytes_out + outcome.books.bytes_lost);
        ASSERT_EQ(outcome.counters.websocket_frame_errors, 0U) << begin << ", " << end;
        for (size_t i = 0; i + 1 < outcome.lines.size(); ++i)
          if (outcome.lines[i].find(" < data ") != std::string::npos &&
              !outcome.lines[i + 1].ends_with("incomplete")) {
            ASSERT_THAT(
                (std::vector<std::string>{kCreated, kDelta, kDone, R"({"type":"response.created","n":2})"}),
                ::testing::Contains(outcome.lines[i].substr(9)))
                << begin << ", " << end;
          }
        ASSERT_THAT(outcome.lines, ::testing::Contains("2 complete ok")) << begin << ", " << end;
      }
}

TEST(WebSocket, ALossEndsWhatDependsOnTheWindow) {
  Deflater server(true);
  const unsigned first = kFin | kCompressed | kText;
  const std::string a = got(server(kCreated), first), b = got(server(kDelta), first),
                    c = got(server(kDone), first);
  const Outcome outcome = run(on_socket(
      {ask(sent(kAsk)), reply(a + b.substr(0, 4)), reply_gap(b.size() - 4), reply(c)}, "permessage-deflate"));
  EXPECT_THAT(outcome.lines, ::testing::Not(::testing::Contains("1 complete ok")));
  EXPECT_EQ(outcome.counters.exchanges_begun, outcome.counters.exchanges_ended);
}

std::vector<std::string> ends_of(const Outcome& outcome) {
  std::vector<std::string> ends;
  for (const std::string& line : outcome.lines)
    if (line.find(" complete ") != std::string::npos || line.find(" lost ") != std::string::npos)
      ends.push_back(line);
  return ends;
}

std::string event(const std::string& type, const std::string& more) {
  return got(R"({"type":")" + type + "\"," + more + "}");
}

// The Responses API's lanes: one after the other in each, all at once.
TEST(WebSocket, LanesAreReadSideBySide) {
  const auto create = [](const std::string& lane) {
    return sent(R"({"type":"response.create","model":"m","input":"x","stream_id":")" + lane + "\"}");
  };
  const auto in = [](const std::string& lane, const std::string& rest) {
    return rest + R"(,"stream_id":")" + lane + "\"";
  };
  const Outcome outcome = run(
      on_socket({ask(create("a") + create("b") + create("a")),
                 reply(event("response.created", in("b", R"("response":{"id":"rb"})")) +
                       event("response.created", in("a", R"("response":{"id":"ra"})")) +
                       event("response.output_text.delta", in("a", R"("delta":"A")")) +
                       event("response.output_text.delta", in("b", R"("delta":"B")")) +
                       event("response.completed", R"("response":{"id":"rb"})") +
                       event("response.completed", R"("response":{"id":"ra"})") +
                       event("error", in("a", R"("status":429,"error":{"code":"rate_limit_exceeded"})")))}));
  EXPECT_THAT(
      outcome.lines,
      ::testing::IsSupersetOf(
          {R"(2 < data {"type":"response.output_text.delta","delta":"B","stream_id":"b"})",
           R"(1 < data {"type":"response.output_text.delta","delta":"A","stream_id":"a"})", "3 < head 429"}));
  EXPECT_EQ(ends_of(outcome), (std::vector<std::string>{"2 complete ok", "1 complete ok", "3 complete ok"}));
}

// Realtime: a response outside the conversation beside the one that the server began.
TEST(WebSocket, ResponsesAreToldApartByTheirIds) {
  const auto of = [](const std::string& id, const std::string& type) {
    return event(type, R"("response_id":")" + id + R"(","delta":")" + id + "\"");
  };
  Script script = on_socket(
      {reply(got(R"({"type":"session.created","session":{"model":"m"}})") +
             event("response.created", R"("response":{"id":"r1"})")),
       ask(sent(R"({"type":"response.create","event_id":"mine","response":{"conversation":"none"}})")),
       reply(event("error", R"("event_id":"e1","error":{"event_id":"other"})") +
             event("response.created", R"("response":{"id":"r2"})") + of("r2", "response.output_text.delta") +
             of("r1", "response.output_text.delta") + of("r0", "response.output_text.delta") +
             event("response.done", R"("response":{"id":"r2"})") +
             event("response.done", R"("response":{"id":"r1"})"))});
  script[0] = ask(upgrade_request("/v1/realtime"));
  const Outcome outcome = run(script);
  EXPECT_EQ(ends_of(outcome), (std::vector<std::string>{"2 complete ok", "1 complete ok"}));
  for (const std::string& line : outcome.lines) {
    if (line.starts_with("1 < data")) {
      EXPECT_EQ(line.find("r2"), std::string::npos) << line;
    }
    EXPECT_EQ(line.find("r0"), std::string::npos) << line;
  }
}

// One thread reads the answer before the write of the request has returned in another.
TEST(WebSocket, AnAnswerMayBeReadFirst) {
  Recorder recorder;
  ConnectionReaders readers({}, recorder, recorder);
  const ConnectionFacts facts = client_facts();
  readers.on_open(facts);
  const auto chunk = [&](Direction direction, const std::string& bytes, uint64_t time_ns) {
    readers.on_chunk(facts, direction, {bytes_of(bytes), 0, time_ns});
  };
  chunk(Direction::kWrite, upgrade_request(kPath), 10);
  chunk(Direction::kRead, upgrade_reply(), 20);
  chunk(Direction::kRead, got(kCreated), 40);
  chunk(Direction::kWrite, sent(kAsk), 30);
  chunk(Direction::kRead, got(kDone), 50);
  chunk(Direction::kWrite, sent(kAsk), 60);
  chunk(Direction::kRead, got(kCreated) + got(kDone), 70);
  readers.on_end(facts, EndReason::kClosed, 80);
  EXPECT_THAT(recorder.lines, ::testing::IsSupersetOf({"1 > data " + kAsk, std::string("1 complete ok"),
                                                       "2 > data " + kAsk, std::string("2 complete ok")}));
  EXPECT_EQ(recorder.lines.back(), "2 complete ok");
}

TEST(WebSocket, OneThatWasThereBeforeIsKnownByItsFrames) {
  for (const Role role : {Role::kClient, Role::kUnknown}) {
    const Outcome outcome =
        run({reply(got(R"({"chat":1})")), reply("rest of something"), reply(got(kDelta)), reply(got(kDone)),
             ask(sent(kAsk)), reply(got(kCreated)), reply(got(kDone)), close_by(EndReason::kClosed)},
            client_facts(role, false));
    EXPECT_EQ(outcome.counters.websocket_connections, 1U);
    EXPECT_THAT(outcome.lines, ::testing::Contains("0 complete mid"));
    EXPECT_THAT(outcome.lines, ::testing::Contains("1 > data " + kAsk));
    EXPECT_EQ(outcome.lines.back(), "1 complete ok");
    EXPECT_EQ(outcome.books.bytes_in, outcome.books.bytes_out + outcome.books.bytes_lost);
  }
  const Outcome other = run({ask(sent(R"({"type":"chat"})")), reply(got(R"({"type":"response.text"})")),
                             close_by(EndReason::kClosed)},
                            client_facts(Role::kClient, false));
  EXPECT_EQ(other.counters.websocket_connections, 0U);
}

TEST(WebSocket, TypesThatLookAlikeAreNoCalls) {
  std::vector<Step> steps;
  for (int i = 0; i < 4; ++i) {
    steps.push_back(ask(sent(R"({"type":"session.start","model":"m"})")));
    steps.push_back(reply(got(R"({"type":"response.message","text":"hello"})") + got(R"({"type":"error"})")));
  }
  const Outcome outcome = run(on_socket(steps));
  EXPECT_EQ(outcome.lines.size(), 4U);
  EXPECT_EQ(outcome.verdict, Verdict::kMuted);
}

TEST(WebSocket, ABombIsStopped) {
  Deflater server(true);
  Limits limits;
  limits.decompress_floor_bytes = 1 << 16;
  limits.decompress_ratio = 50;
  const std::string bomb = server(R"({"type":"response.created","x":")" + std::string(4 << 20, 'x') + "\"}");
  const Outcome outcome =
      run(on_socket({ask(sent(kAsk)), reply(got(bomb, kFin | kCompressed | kText))}, "permessage-deflate"),
          client_facts(), no_cut, limits);
  size_t bytes = 0;
  for (const std::string& line : outcome.lines) bytes += line.size();
  EXPECT_LT(bytes, 1U << 18);
  EXPECT_THAT(outcome.lines.back(), ::testing::HasSubstr("1 lost decompress"));
}

}  // namespace
}  // namespace llmtap::test
