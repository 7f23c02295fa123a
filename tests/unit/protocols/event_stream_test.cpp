// SPDX-License-Identifier: Apache-2.0
#include "protocols/eventstream/event_stream_decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "event_stream_wire.h"
#include "recorder.h"
#include "split.h"

namespace llmtap::test {
namespace {

// What came out, one line per event: "[name] data", with what is wrong with it.
class Events : public Recorder {
 public:
  std::vector<std::string> events;
  void on_event_data(ExchangeId, Side, std::span<const uint8_t> bytes, uint64_t) override {
    data_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  void on_event_end(ExchangeId, Side, const EventEnd& end) override {
    EXPECT_EQ(end.data_bytes, data_.size());
    events.push_back("[" + std::string(end.name) + "] " + std::exchange(data_, {}) +
                     (end.error ? " (error)" : "") + (end.complete ? "" : " (incomplete)"));
  }

 private:
  std::string data_;
};

std::vector<std::string> decode(const std::vector<std::string>& pieces) {
  Events recorder;
  EventOutput out(recorder, {}, Side::kResponse);
  EventStreamDecoder decoder(4096);
  for (const std::string& piece : pieces) {
    const std::vector<uint8_t> exact(piece.begin(), piece.end());
    if (!decoder.feed(exact, 1, out)) {
      recorder.events.push_back("damaged");
      break;
    }
  }
  decoder.finish(2, out);
  return recorder.events;
}

// As Bedrock sent it: wire formats, 2.4.
std::string recorded_message_stop() {
  static constexpr std::string_view kHex =
      "0000007a00000051ca2c46650b3a6576656e742d7479706507000b6d65737361"
      "676553746f700d3a636f6e74656e742d747970650700106170706c6963617469"
      "6f6e2f6a736f6e0d3a6d6573736167652d747970650700056576656e747b2273"
      "746f70526561736f6e223a22656e645f7475726e227d5fbf09fc";
  std::string bytes;
  for (size_t i = 0; i < kHex.size(); i += 2)
    bytes.push_back(static_cast<char>(std::stoi(std::string(kHex.substr(i, 2)), nullptr, 16)));
  return bytes;
}

std::string flipped(std::string bytes, size_t at) {
  bytes[at] = static_cast<char>(bytes[at] ^ 1);
  return bytes;
}

struct Case {
  std::string name;
  std::string body;
  std::vector<std::string> want;
};
void PrintTo(const Case& row, std::ostream* out) { *out << row.name; }

std::string case_name(const ::testing::TestParamInfo<Case>& row) { return row.param.name; }

class EventStreamTest : public ::testing::TestWithParam<Case> {};

TEST_P(EventStreamTest, DecodesTheSameHoweverItIsSplit) {
  expect_same_however_split(decode, GetParam().body, GetParam().want);
}

std::string all_header_types() {
  std::string headers = std::string("\1a\0\1b\1", 6);                          // true, false
  headers += std::string("\1c\2x\1d\3xx\1e\4xxxx\1f\5", 19) + "12345678";      // i8 to i64
  headers += std::string("\1g\6\0\3\7\0\1", 8) + string_header("h", "");       // bytes, empty string
  headers += "\1i\10" + std::string(8, '\3') + "\1j\11" + std::string(16, 7);  // timestamp, uuid
  return headers + string_header(":event-type", "e");
}

INSTANTIATE_TEST_SUITE_P(
    Cases, EventStreamTest,
    ::testing::Values(
        Case{"Recorded", recorded_message_stop(), {"[messageStop] {\"stopReason\":\"end_turn\"}"}},
        Case{"Two",
             event_message("messageStart", R"({"role":"assistant"})") + event_message("x", ""),
             {R"([messageStart] {"role":"assistant"})", "[x] "}},
        Case{"AllHeaderTypes", message(all_header_types(), "p"), {"[e] p"}},
        Case{"NoHeaders", message("", "p"), {"[] p"}},
        Case{"Exception",
             exception_message("throttlingException", R"({"message":"slow down"})"),
             {R"([throttlingException] {"message":"slow down"} (error))"}},
        Case{"Error",
             message(string_header(":message-type", "error") + string_header(":error-code", "InternalError") +
                         string_header(":error-message", "no"),
                     ""),
             {"[InternalError]  (error)"}},
        Case{
            "Chunks",
            chunk_message(R"({"type":"a"})") + chunk_message("ab") + chunk_message("abc") + chunk_message(""),
            {R"([chunk] {"type":"a"})", "[chunk] ab", "[chunk] abc", "[chunk] "}},
        Case{"LongChunk", chunk_message(std::string(2000, 'v')), {"[chunk] " + std::string(2000, 'v')}},
        Case{
            "ChunkWithOtherNames",
            event_message(
                "chunk",
                R"( {"p":"}\"\\","n":{"bytes":"eHg=","a":["]"]},"bytesx":"eHg=","i":[1,2],"t":true,"bytes" : "YS\/i"} )"),
            {"[chunk] a/\xe2"}},
        Case{"ChunkWithoutBytes", event_message("chunk", R"({"p":1})"), {"[chunk] "}},
        Case{"ChunkThatIsNone",
             event_message("chunk", "text") + event_message("e", "p"),
             {"[chunk]  (incomplete)", "[e] p"}},
        Case{"ChunkOfNoBase64",
             event_message("chunk", R"({"bytes":"YWJj*"})") + event_message("e", "p"),
             {"[chunk] abc (incomplete)", "[e] p"}},
        Case{"ChunkCutShort", event_message("chunk", R"({"bytes":"YWJj)"), {"[chunk] abc (incomplete)"}},
        Case{"BodyEndsInPayload",
             event_message("e", "payload").substr(0, event_message("e", "payload").size() - 7),
             {"[e] payl (incomplete)"}},
        Case{"PreludeDamaged",
             event_message("e", "p") + flipped(event_message("f", "q"), 3),
             {"[e] p", "damaged"}},
        Case{"HeadersDamaged", flipped(event_message("e", "p"), 20), {"[] p (incomplete)", "damaged"}},
        Case{"PayloadDamaged",
             flipped(event_message("e", "p"), event_message("e", "p").size() - 5),
             {"[e] q (incomplete)", "damaged"}},
        Case{"LengthTooSmall", with_sum(be32(15) + be32(0)) + "xxxx", {"damaged"}},
        Case{"LengthTooLarge", with_sum(be32((24 << 20) + 1) + be32(0)) + "xxxx", {"damaged"}},
        Case{"HeadersLongerThanMessage", with_sum(be32(20) + be32(5)) + "xxxxxxxx", {"damaged"}},
        Case{"HeaderOfUnknownType", message("\1a\12", "p"), {"damaged"}},
        Case{"HeaderCutShort", message(std::string("\1a\7\0\5x", 6), "p"), {"damaged"}}),
    case_name);

TEST(EventStream, OurMessagesAreTheProviders) {
  EXPECT_EQ(event_message("messageStop", R"({"stopReason":"end_turn"})"), recorded_message_stop());
}

TEST(EventStream, AGapAnywhereNeverMakesAnEventThatWasNotSent) {
  const std::string body = event_message("a", "{\"one\":1}") + chunk_message("{\"two\":2}") +
                           event_message("c", "{\"three\":3}") + event_message("d", "{\"four\":4}");
  const std::vector<std::string> sent = decode({body});
  const size_t last = body.size() - event_message("d", "{\"four\":4}").size();
  for (const bool known : {true, false})
    for (size_t begin = 0; begin <= body.size(); ++begin)
      for (size_t end = begin + 1; end <= body.size(); ++end) {
        Events recorder;
        EventOutput out(recorder, {}, Side::kResponse);
        EventStreamDecoder decoder(4096);
        bool good = decoder.feed(bytes_of(body.substr(0, begin)), 1, out);
        decoder.gap(known ? end - begin : 0, 1, out);
        good = decoder.feed(bytes_of(body.substr(end)), 1, out) && good;
        decoder.finish(1, out);
        ASSERT_TRUE(good) << "lost [" << begin << ", " << end << ")";
        for (const std::string& event : recorder.events)
          if (!event.ends_with("(incomplete)")) {
            ASSERT_THAT(sent, ::testing::Contains(event));
          }
        if (end <= last) {
          ASSERT_THAT(recorder.events, ::testing::Contains(sent.back()))
              << "lost [" << begin << ", " << end << ")";
        }
      }
}

TEST(EventStream, ALossInsideAPayloadCostsThatEventAlone) {
  const std::string first = event_message("a", "0123456789"), second = event_message("b", "p");
  Events recorder;
  EventOutput out(recorder, {}, Side::kResponse);
  EventStreamDecoder decoder(4096);
  const size_t payload = first.size() - 14;
  decoder.feed(bytes_of(first.substr(0, payload + 2)), 1, out);
  decoder.gap(8, 1, out);
  decoder.feed(bytes_of(first.substr(payload + 10) + second), 1, out);
  EXPECT_THAT(recorder.events, ::testing::ElementsAre("[a] 01 (incomplete)", "[b] p"));
}

TEST(EventStream, AnEndlessNameIsCut) {
  Events recorder;
  EventOutput out(recorder, {}, Side::kResponse);
  EventStreamDecoder decoder(16);
  decoder.feed(bytes_of(event_message(std::string(60'000, 'n'), "p")), 1, out);
  EXPECT_THAT(recorder.events, ::testing::ElementsAre("[" + std::string(16, 'n') + "] p"));
}

TEST(EventStream, IsTheBodyOfAReply) {
  const std::string head =
      "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\nContent-Length: ";
  const std::string good = event_message("e", "p"), bad = flipped(event_message("f", "q"), 3);
  const auto read = [&](const std::string& body) {
    return run({ask("POST /model/m/converse-stream HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"),
                reply(head + std::to_string(body.size()) + "\r\n\r\n" + body)});
  };
  EXPECT_THAT(read(good).lines, ::testing::IsSupersetOf({"0 < data p", "0 < event [e] 1", "0 complete ok"}));
  const Outcome damaged = read(good + bad);
  EXPECT_THAT(damaged.lines, ::testing::IsSupersetOf({"0 < event [e] 1", "0 complete parse"}));
  EXPECT_EQ(damaged.counters.decode_errors, 1U);
}

}  // namespace
}  // namespace llmtap::test
