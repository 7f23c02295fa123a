// SPDX-License-Identifier: Apache-2.0
// Frames, compression and losses; what becomes of messages: websocket_test.cpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "protocols/websocket/message_inflater.h"
#include "recorder.h"
#include "websocket_wire.h"

namespace llmtap::test {
namespace {

const std::string kAsk = R"({"type":"response.create","model":"m"})";
const std::string kCreated = R"({"type":"response.created","response":{"id":"r"}})";
const std::string kDelta = R"({"type":"response.output_text.delta","delta":"hi"})";
const std::string kDone = R"({"type":"response.completed","response":{"id":"r"}})";

Script on_socket(std::vector<Step> steps, const std::string& extensions = "") {
  Script script{ask(upgrade_request("/v1/responses")), reply(upgrade_reply(extensions))};
  script.insert(script.end(), steps.begin(), steps.end());
  script.push_back(close_by(EndReason::kClosed));
  return script;
}

// The texts of the events of one side, those that are whole.
std::vector<std::string> texts_of(const Outcome& outcome, std::string_view side) {
  std::vector<std::string> texts;
  for (size_t i = 0; i + 1 < outcome.lines.size(); ++i) {
    const std::string& line = outcome.lines[i];
    const size_t at = line.find(std::string(" ") + std::string(side) + " data ");
    if (at != std::string::npos && !outcome.lines[i + 1].ends_with("incomplete"))
      texts.push_back(line.substr(at + 8));
  }
  return texts;
}

std::string from_hex(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  return bytes;
}

struct Recorded {
  std::string name, extensions;
  struct Turn {
    char side;
    std::string hex;
    std::vector<std::string> texts;  // as the peer's parser read them
  };
  std::vector<Turn> turns;
};
void PrintTo(const Recorded& row, std::ostream* out) { *out << row.name; }

class RecordedFrames : public ::testing::TestWithParam<Recorded> {};

TEST_P(RecordedFrames, AreReadAsPythonsParserReadsThem) {
  std::vector<Step> steps;
  std::vector<std::string> asked, answered;
  for (const Recorded::Turn& turn : GetParam().turns) {
    steps.push_back(turn.side == '>' ? ask(from_hex(turn.hex)) : reply(from_hex(turn.hex)));
    std::vector<std::string>& texts = turn.side == '>' ? asked : answered;
    texts.insert(texts.end(), turn.texts.begin(), turn.texts.end());
  }
  const Script script = on_socket(steps, GetParam().extensions);
  const Outcome whole = run(script);
  EXPECT_EQ(texts_of(whole, ">"), asked);
  EXPECT_EQ(texts_of(whole, "<"), answered);
  EXPECT_EQ(whole.lines.back(), "3 complete ok");
  EXPECT_EQ(whole.counters.websocket_frame_errors, 0U);
  EXPECT_EQ(whole.decoder_bytes, 0U);
  EXPECT_EQ(run(script, client_facts(), every_byte).lines, whole.lines);
  for (unsigned seed = 0; seed < 30; ++seed) {
    std::mt19937 random(seed);
    const auto cutter = [&random](size_t, size_t size) {
      std::vector<size_t> cuts;
      for (size_t at = 1 + random() % 90; at < size; at += 1 + random() % 90) cuts.push_back(at);
      return cuts;
    };
    ASSERT_EQ(run(script, client_facts(), cutter).lines, whole.lines) << "seed " << seed;
  }
}

const Recorded kRecorded[] = {
#include "websockets_recorded.inc"
};
INSTANTIATE_TEST_SUITE_P(Python, RecordedFrames, ::testing::ValuesIn(kRecorded),
                         [](const auto& row) { return row.param.name; });

// RFC 7692 7.2.3.1 to 7.2.3.5.
TEST(MessageInflater, ReadsTheStandardsExamples) {
  const Limits limits;
  using namespace std::string_literals;
  struct Row {
    bool keeps_context;
    std::vector<std::string> messages;
  };
  for (const Row& row : {Row{false, {"\xf2\x48\xcd\xc9\xc9\x07\x00"s, "\xf2\x48\xcd\xc9\xc9\x07\x00"s}},
                         Row{true, {"\xf2\x48\xcd\xc9\xc9\x07\x00"s, "\xf2\x00\x11\x00\x00"s}},
                         Row{true, {"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"s}},
                         Row{true, {"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"s}},
                         Row{true, {"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"s}}}) {
    DecoderBudget budget(1 << 20);
    websocket::MessageInflater inflater(row.keeps_context, limits, budget);
    for (const std::string& message : row.messages) {
      std::string text;
      const auto add = [&](std::span<const uint8_t> bytes) { text.append(bytes.begin(), bytes.end()); };
      for (const char byte : message) EXPECT_TRUE(inflater.feed(bytes_of({&byte, 1}), add));
      EXPECT_TRUE(inflater.end_message(add));
      EXPECT_EQ(text, "Hello");
    }
  }
}

TEST(MessageInflater, HasNoMoreThanItsBudget) {
  const Limits limits;
  DecoderBudget budget(1024);
  websocket::MessageInflater inflater(true, limits, budget);
  EXPECT_FALSE(inflater.feed(bytes_of("\xf2\x48"), [](std::span<const uint8_t>) {}));
  EXPECT_EQ(budget.used(), 0U);
}

TEST(WebSocketFrames, EveryWayToWriteALength) {
  for (const size_t size : {125, 126, 127, 65535, 65536, 70000}) {
    const std::string text = kAsk + std::string(size - kAsk.size(), ' ');
    const std::string done = kDone + std::string(size - kDone.size(), ' ');
    const Script script = on_socket({ask(sent(text)), reply(got(kCreated) + got(done))});
    const Outcome outcome = run(script);
    EXPECT_THAT(texts_of(outcome, ">"), ::testing::ElementsAre(text));
    EXPECT_THAT(texts_of(outcome, "<"), ::testing::ElementsAre(kCreated, done));
    EXPECT_EQ(run(script, client_facts(), every_byte).lines, outcome.lines);
  }
}

std::string long_frame(uint64_t length) {
  std::string bytes = "\x81\x7f";
  for (int shift = 56; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(length >> shift & 0xff));
  return bytes;
}

TEST(WebSocketFrames, WhatTheStandardForbidsEndsTheReading) {
  using namespace std::string_literals;
  const std::string kBad[] = {
      long_frame(uint64_t{1} << 63),        // 5.2: the most significant bit must be 0
      long_frame((uint64_t{1} << 63) - 1),  // nobody sends as much
      long_frame(65535),                    // the shortest form that holds it
      "\x81\x7e\x00\x7d"s,
      got(std::string(126, 'p'), kFin | kPing),  // 5.5: control frames are short
      got("x", 0xa0 | kText),
      got("x", 0x90 | kText),
      got("x", 0x0b | kFin),
      sent("x"),  // 5.1: a server does not mask
  };
  for (const std::string& bad : kBad)
    for (const bool bytewise : {false, true}) {
      const Outcome outcome = run(on_socket({ask(sent(kAsk)), reply(got(kCreated) + bad), reply(got(kDone))}),
                                  client_facts(), bytewise ? Cutter(every_byte) : Cutter(no_cut));
      EXPECT_TRUE(outcome.lines.back().starts_with("1 lost parse")) << outcome.lines.back();
      EXPECT_EQ(outcome.counters.websocket_frame_errors, 1U);
      EXPECT_EQ(outcome.books.bytes_in, outcome.books.bytes_out + outcome.books.bytes_lost);
    }
  const Outcome unmasked = run(on_socket({ask(got(kAsk)), reply(got(kCreated))}));
  EXPECT_EQ(unmasked.counters.websocket_frame_errors, 1U);
}

TEST(WebSocketFrames, AnEndlessMessageTakesNoMemory) {
  // A known connection: it flows. An unknown one: given up.
  const std::string part(60000, 'x');
  std::vector<Step> steps{ask(sent(kAsk)), reply(got(kCreated)),
                          reply(got(R"({"type":"response.output_text.delta","delta":")", kText))};
  for (int i = 0; i < 200; ++i) steps.push_back(reply(got(part, 0)));
  steps.push_back(reply(got("\"}", kFin)));
  steps.push_back(reply(got(kDone)));
  EXPECT_EQ(run(on_socket(steps)).lines.back(), "1 complete ok");
  steps.erase(steps.begin(), steps.begin() + 2);
  steps[0] = reply(got(R"({"text":")", kText));
  const Outcome unknown = run(on_socket(steps));
  EXPECT_EQ(unknown.counters.websocket_not_read, 1U);
  EXPECT_EQ(unknown.verdict, Verdict::kMuted);
}

TEST(WebSocketFrames, CloseSaysWhoEndedIt) {
  struct Row {
    Step close;
    bool begun;
    std::string want;
  };
  for (const Row& row : {Row{ask(sent("\3\350", kFin | kClose)), true, "1 client_aborted truncated"},
                         Row{ask(sent("", kFin | kClose)), false, "1 client_aborted truncated"},
                         Row{reply(got("\3\363gone", kFin | kClose)), true, "1 server_aborted truncated"},
                         Row{reply(got("\3\361", kFin | kClose)), false, "1 no_response truncated"}}) {
    std::vector<Step> steps{ask(sent(kAsk))};
    if (row.begun) steps.push_back(reply(got(kCreated)));
    steps.push_back(row.close);
    steps.push_back(reply(got(kDone)));  // of no use to anybody
    const Outcome outcome = run(on_socket(steps));
    EXPECT_TRUE(outcome.lines.back().starts_with(row.want)) << outcome.lines.back();
    EXPECT_EQ(outcome.verdict, Verdict::kMuted);
    EXPECT_EQ(outcome.books.bytes_in, outcome.books.bytes_out + outcome.books.bytes_lost);
  }
}

// Gaps at every place and of many lengths, known and unknown: no text that was not sent, every exchange
// ends, the books balance, and the next response is whole again.
void check_gaps(bool of_client, const std::string& extensions, bool again_whole) {
  const bool deflate = !extensions.empty();
  const unsigned first = kFin | (deflate ? kCompressed : 0u) | kText;
  Deflater client(!again_whole), server(!again_whole);
  const auto pack = [&](Deflater& deflater, const std::string& text) {
    return deflate ? deflater(text) : text;
  };
  const std::vector<std::string> texts{kAsk, kCreated, kDelta, kDone};
  const std::string asks = sent(pack(client, kAsk), first) + sent("", kFin | kPing);
  std::string replies;
  for (const std::string& text : {kCreated, kDelta, kDone}) replies += got(pack(server, text), first);
  const std::string asks_again = sent(pack(client, kAsk), first);
  const std::string created_again = got(pack(server, kCreated), first),
                    done_again = got(pack(server, kDone), first);
  const std::string& body = of_client ? asks : replies;
  const auto step = of_client ? ask : reply;
  const auto lose = of_client ? ask_gap : reply_gap;
  for (const bool known : {true, false})
    for (size_t begin = 0; begin < body.size(); ++begin)
      for (size_t end = begin + 1; end <= body.size(); end += 5) {
        std::vector<Step> steps;
        if (!of_client) steps.push_back(ask(asks));
        steps.push_back(step(body.substr(0, begin)));
        steps.push_back(lose(known ? end - begin : 0));
        steps.push_back(step(body.substr(end)));
        if (of_client) steps.push_back(reply(replies));
        for (const Step& next : {ask(asks_again), reply(created_again), reply(done_again)})
          steps.push_back(next);
        const Outcome outcome = run(on_socket(steps, extensions));
        const std::string where = std::to_string(begin) + " to " + std::to_string(end);
        ASSERT_EQ(outcome.counters.exchanges_begun, outcome.counters.exchanges_ended) << where;
        ASSERT_EQ(outcome.books.bytes_in, outcome.books.bytes_out + outcome.books.bytes_lost) << where;
        ASSERT_EQ(outcome.decoder_bytes, 0U);
        for (const std::string_view side : {"<", ">"})
          for (const std::string& text : texts_of(outcome, side))
            ASSERT_THAT(texts, ::testing::Contains(text)) << where;
        if (again_whole) {
          ASSERT_TRUE(outcome.lines.back().ends_with("complete ok")) << where << ": " << outcome.lines.back();
        } else {
          // Nothing can be read behind a loss: no call is whole but those before it.
          ASSERT_FALSE(outcome.lines.back().ends_with("complete ok"))
              << where << ": " << outcome.lines.back();
        }
      }
}
constexpr const char* kForgetful =
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

TEST(WebSocketGaps, OfTheServer) { check_gaps(false, "", true); }
TEST(WebSocketGaps, OfTheClient) { check_gaps(true, "", true); }
TEST(WebSocketGaps, OfTheServerDeflatedEachForItself) { check_gaps(false, kForgetful, true); }
TEST(WebSocketGaps, OfTheClientDeflatedEachForItself) { check_gaps(true, kForgetful, true); }
TEST(WebSocketGaps, OfTheServerWithAWindow) { check_gaps(false, "permessage-deflate", false); }
TEST(WebSocketGaps, OfTheClientWithAWindow) { check_gaps(true, "permessage-deflate", false); }

}  // namespace
}  // namespace llmtap::test
