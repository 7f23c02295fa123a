// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocols/ndjson_decoder.h"
#include "protocols/sse_decoder.h"
#include "recorder.h"
#include "split.h"

namespace llmtap::test {
namespace {

struct Event {
  std::string name, data;
  bool complete = true;
  bool operator==(const Event&) const = default;
};

void PrintTo(const Event& event, std::ostream* out) {
  *out << "[" << event.name << "] '" << event.data << "'" << (event.complete ? "" : " incomplete");
}

class EventRecorder : public Recorder {
 public:
  std::vector<Event> events;
  void on_event_data(ExchangeId, Side, std::span<const uint8_t> bytes, uint64_t) override {
    data_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  void on_event_end(ExchangeId, Side, const EventEnd& end) override {
    EXPECT_EQ(end.data_bytes, data_.size());
    events.push_back({std::string(end.name), std::exchange(data_, {}), end.complete});
  }

 private:
  std::string data_;
};

std::vector<Event> decode_sse(const std::vector<std::string>& pieces) {
  EventRecorder recorder;
  EventOutput out(recorder, {}, Side::kResponse);
  SseDecoder decoder(4096);
  for (const std::string& piece : pieces) {
    const std::vector<uint8_t> exact(piece.begin(), piece.end());
    decoder.feed(exact, 1, out);
  }
  decoder.finish(2, out);
  return recorder.events;
}

std::vector<Event> decode_ndjson(const std::vector<std::string>& pieces) {
  EventRecorder recorder;
  EventOutput out(recorder, {}, Side::kResponse);
  NdjsonDecoder decoder;
  for (const std::string& piece : pieces) {
    const std::vector<uint8_t> exact(piece.begin(), piece.end());
    decoder.feed(exact, 1, out);
  }
  decoder.finish(true, 2, out);
  return recorder.events;
}

struct Case {
  std::string name;
  std::string body;
  std::vector<Event> want;
};

std::string case_name(const ::testing::TestParamInfo<Case>& info) { return info.param.name; }

class SseDecoderTest : public ::testing::TestWithParam<Case> {};
TEST_P(SseDecoderTest, DecodesTheSameHoweverItIsSplit) {
  expect_same_however_split(decode_sse, GetParam().body, GetParam().want);
}

// The first seven by WHATWG HTML 9.2.6; the rest as servers send them.
INSTANTIATE_TEST_SUITE_P(
    Cases, SseDecoderTest,
    ::testing::Values(
        Case{"Comment",
             ": keep-alive\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
             {{"", "first event"}, {"", "second event"}, {"", " third event"}}},
        Case{"EmptyDataFields", "data\n\ndata\ndata\n\ndata:", {{"", ""}, {"", "\n"}, {"", "", false}}},
        Case{"OptionalSpace", "data:test\n\ndata: test\n\n", {{"", "test"}, {"", "test"}}},
        Case{"LineEnds",
             "data: a\r\n\r\ndata: b\r\rdata: c\n\ndata: d\r\n\n",
             {{"", "a"}, {"", "b"}, {"", "c"}, {"", "d"}}},
        Case{"ByteOrderMark",
             "\xef\xbb\xbf"
             "data: x\n\n",
             {{"", "x"}}},
        Case{"HalfAMark",
             "\xef\xbb"
             "data: x\n\ndata: y\n\n",
             {{"", "y"}}},
        Case{"TwoDataLines", "data: a\ndata: b\ndata:\n\n", {{"", "a\nb\n"}}},
        Case{"EventBeforeData", "event: ping\r\ndata: {}\r\n\r\n", {{"ping", "{}"}}},
        Case{"EventBehindData", "data: {}\nevent: response.created\n\n", {{"response.created", "{}"}}},
        Case{"EventAloneIsNone", "event: ping\n\ndata: x\n\n", {{"", "x"}}},
        Case{"LastEventNameCounts", "event: a\nevent: b\nevent:c\ndata:\n\n", {{"c", ""}}},
        Case{"OtherFields", "retry: 10\nid: 7\nstatus:200\ndatax: no\ndat: no\ndata: yes\n\n", {{"", "yes"}}},
        Case{"ColonInData", "data: a: b\n\n", {{"", "a: b"}}},
        Case{"Unfinished", "data: a\n\ndata: hi\n", {{"", "a"}, {"", "hi", false}}},
        Case{"UnfinishedLine", "data: a\n\nevent: x\ndata: h", {{"", "a"}, {"x", "h", false}}},
        Case{"Nothing", "", {}}, Case{"BlankLines", "\n\r\n\r\r\n", {}}),
    case_name);

class NdjsonDecoderTest : public ::testing::TestWithParam<Case> {};
TEST_P(NdjsonDecoderTest, DecodesTheSameHoweverItIsSplit) {
  expect_same_however_split(decode_ndjson, GetParam().body, GetParam().want);
}
INSTANTIATE_TEST_SUITE_P(
    Cases, NdjsonDecoderTest,
    ::testing::Values(Case{"Lines", "{\"a\":1}\n{\"b\":2}\n", {{"", "{\"a\":1}"}, {"", "{\"b\":2}"}}},
                      Case{"CrLf", "{}\r\n[]\r\n", {{"", "{}"}, {"", "[]"}}},
                      Case{"CrInside", "a\rb\n\rc\r\r\n", {{"", "a\rb"}, {"", "\rc\r"}}},
                      Case{"EmptyLines", "\n\r\n{}\n\n", {{"", "{}"}}},
                      Case{"LastLineWithoutEnd", "{}\n{\"x\":1}", {{"", "{}"}, {"", "{\"x\":1}"}}}),
    case_name);

TEST(NdjsonDecoder, AGapCostsTheLineItIsIn) {
  EventRecorder recorder;
  EventOutput out(recorder, {}, Side::kResponse);
  NdjsonDecoder decoder;
  decoder.feed(bytes_of("{\"a\":1}\n{\"b\""), 1, out);
  decoder.gap(2, out);
  decoder.feed(bytes_of(":3}\n{\"c\":4}\n"), 3, out);
  decoder.finish(true, 4, out);
  EXPECT_THAT(recorder.events, ::testing::ElementsAre(Event{"", "{\"a\":1}"}, Event{"", "{\"b\"", false},
                                                      Event{"", "{\"c\":4}"}));
}

TEST(SseDecoder, AGapAnywhereNeverMakesAnEventThatWasNotSent) {
  const std::string body = "event: a\ndata: one\n\ndata: two\ndata: 2\n\ndata: three\r\n\r\ndata: four\n\n";
  const std::vector<Event> sent = decode_sse({body});
  for (size_t begin = 0; begin <= body.size(); ++begin)
    for (size_t end = begin + 1; end <= body.size(); ++end) {
      EventRecorder recorder;
      EventOutput out(recorder, {}, Side::kResponse);
      SseDecoder decoder(4096);
      decoder.feed(bytes_of(body.substr(0, begin)), 1, out);
      decoder.gap(1, out);
      decoder.feed(bytes_of(body.substr(end)), 1, out);
      decoder.finish(1, out);
      for (const Event& event : recorder.events)
        if (event.complete) {
          ASSERT_THAT(sent, ::testing::Contains(event)) << "lost [" << begin << ", " << end << ")";
        }
      if (end < body.size() - 30) {
        ASSERT_THAT(recorder.events, ::testing::Contains(sent.back()));
      }
    }
}

TEST(SseDecoder, AnEndlessEventNameIsCut) {
  EventRecorder recorder;
  EventOutput out(recorder, {}, Side::kResponse);
  SseDecoder decoder(16);
  decoder.feed(bytes_of("event: "), 1, out);
  const std::string block(1 << 16, 'n');
  for (int i = 0; i < 100; ++i) decoder.feed(bytes_of(block), 1, out);
  decoder.feed(bytes_of("\ndata: x\n\n"), 1, out);
  ASSERT_EQ(recorder.events.size(), 1U);
  EXPECT_EQ(recorder.events[0].name, std::string(16, 'n'));
}

TEST(SseDecoder, TimesAreThoseOfTheBytes) {
  class Times : public Recorder {
   public:
    std::vector<std::pair<uint64_t, uint64_t>> times;
    void on_event_data(ExchangeId, Side, std::span<const uint8_t>, uint64_t) override {}
    void on_event_end(ExchangeId, Side, const EventEnd& end) override {
      times.emplace_back(end.first_byte_ns, end.time_ns);
    }
  } times;
  EventOutput out(times, {}, Side::kResponse);
  SseDecoder decoder(4096);
  decoder.feed(bytes_of("event: x\n"), 10, out);
  decoder.feed(bytes_of("data: y"), 20, out);
  decoder.feed(bytes_of("z\n"), 30, out);
  decoder.feed(bytes_of("\n"), 40, out);
  EXPECT_THAT(times.times, ::testing::ElementsAre(std::pair<uint64_t, uint64_t>(20, 40)));
}

}  // namespace
}  // namespace llmtap::test
