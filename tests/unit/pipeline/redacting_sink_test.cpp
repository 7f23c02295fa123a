// SPDX-License-Identifier: Apache-2.0
#include "pipeline/redacting_sink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <string>

#include "pipeline/core.h"
#include "pipeline/event_file.h"
#include "sinks/call_json.h"
#include "unit/protocols/heap.h"

namespace llmtap {
namespace {

using ::testing::HasSubstr;

// Puts the records together again: what was captured, '_' where nothing was.
class Reassembler : public EventSink {
 public:
  void on_event(const llmtap_event_hdr& event) override {
    EXPECT_EQ(record_defect(event, event.size), std::nullopt);
    ++records;
    if (event.type != LLMTAP_EVENT_DATA) return;
    const auto& data = reinterpret_cast<const llmtap_data_event&>(event);
    EXPECT_EQ(data.offset, next_offset) << "every byte is accounted for";
    EXPECT_EQ(data.captured_bytes == data.original_bytes, data.loss == LLMTAP_LOST_NONE);
    next_offset = data.offset + data.original_bytes;
    text.append(reinterpret_cast<const char*>(&data + 1), data.captured_bytes);
    text.append(data.original_bytes - data.captured_bytes, '_');
    flags.push_back(data.hdr.flags);
  }
  std::string text;
  std::vector<uint16_t> flags;
  uint64_t next_offset = 0;
  size_t records = 0;
};

class Feeder {
 public:
  explicit Feeder(EventSink& sink, uint8_t direction = LLMTAP_WRITE) : sink_(sink), direction_(direction) {}
  void data(std::string_view payload, uint64_t lost = 0, uint16_t flags = 0) {
    llmtap_data_event event{};
    event.hdr.type = LLMTAP_EVENT_DATA;
    event.hdr.conn_id = connection;
    event.hdr.flags = flags;
    event.offset = offset_;
    event.captured_bytes = static_cast<uint32_t>(payload.size());
    event.original_bytes = static_cast<uint32_t>(payload.size() + lost);
    event.loss = lost ? LLMTAP_LOST_FAULT : LLMTAP_LOST_NONE;
    event.direction = direction_;
    event.hdr.size = static_cast<uint32_t>(sizeof(event) + payload.size());
    offset_ += event.original_bytes;
    std::vector<uint64_t> words((event.hdr.size + 7) / 8);
    std::memcpy(words.data(), &event, sizeof(event));
    if (!payload.empty())
      std::memcpy(reinterpret_cast<char*>(words.data()) + sizeof(event), payload.data(), payload.size());
    sink_.on_event(*reinterpret_cast<const llmtap_event_hdr*>(words.data()));
  }
  uint64_t connection = 1;

 private:
  EventSink& sink_;
  uint8_t direction_;
  uint64_t offset_ = 0;
};

const std::string kBody = R"({"model":"gpt-4o","messages":[{"role":"user","content":"my secret diary"}]})";
const std::string kRequest =
    "POST /v1/chat/completions HTTP/1.1\r\nHost: api.openai.com\r\nAuthorization: Bearer sk-abc123\r\n"
    "Content-Type: application/json\r\nContent-Length: " +
    std::to_string(kBody.size()) + "\r\n\r\n" + kBody;

TEST(RedactingSink, KeepsTheShapeAndNoSecretHoweverItIsCut) {
  for (size_t cut = 0; cut <= kRequest.size(); ++cut) {
    Reassembler out;
    RedactingSink sink(out);
    Feeder feeder(sink);
    feeder.data(kRequest.substr(0, cut));
    feeder.data(kRequest.substr(cut));
    ASSERT_EQ(out.text.size(), kRequest.size()) << cut;
    EXPECT_THAT(out.text, HasSubstr("Host: api.openai.com\r\n"));
    EXPECT_THAT(out.text, HasSubstr("\"model\":\"gpt-4o\""));
    EXPECT_EQ(out.text.find("abc123"), std::string::npos) << cut;
    EXPECT_EQ(out.text.find("secret"), std::string::npos) << cut;
    EXPECT_EQ(sink.bytes_dropped(), 0u);
  }
}

TEST(RedactingSink, WhatItCannotReadBecomesAGapOfTheSameLength) {
  const std::string head =
      "POST /v1/x HTTP/1.1\r\nHost: a.example\r\nContent-Type: application/json\r\n"
      "Content-Encoding: gzip\r\nContent-Length: 20\r\n\r\n";
  Reassembler out;
  RedactingSink sink(out);
  Feeder feeder(sink);
  feeder.data(head + std::string(20, 'Z'), 0, LLMTAP_FLAG_TURN);
  EXPECT_EQ(out.text, head + std::string(20, '_'));
  EXPECT_EQ(sink.bytes_dropped(), 20u);
  ASSERT_EQ(out.flags.size(), 2u);
  EXPECT_EQ(out.flags[0], LLMTAP_FLAG_TURN | LLMTAP_FLAG_MORE);
  EXPECT_EQ(out.flags[1], 0);
}

TEST(RedactingSink, AfterALossNothingPassesUntilItIsSureAgain) {
  Reassembler out;
  RedactingSink sink(out);
  Feeder feeder(sink);
  feeder.data(kRequest.substr(0, kRequest.size() - 40), 10);
  feeder.data("in the middle of a secret diary");
  EXPECT_EQ(out.text.find("diary"), std::string::npos);
  EXPECT_EQ(out.next_offset, kRequest.size() - 40 + 10 + 31);
}

TEST(RedactingSink, BeyondItsBoundBytesAreLostNotLeaked) {
  Reassembler out;
  Limits limits;
  limits.redaction_bytes = 6000;  // of one connection, not of two
  RedactingSink sink(out, limits);
  Feeder first(sink);
  first.data("GET / HTTP/1.1\r\n");
  out.next_offset = 0;
  Feeder second(sink);
  second.connection = 2;
  second.data(kRequest);
  EXPECT_THAT(out.text, HasSubstr(std::string(kRequest.size(), '_')));
  EXPECT_EQ(sink.bytes_dropped(), kRequest.size());
}

// The longest of everything that is kept of a connection: what it is counted for covers it.
TEST(RedactingSink, EveryConnectionKeepsWhatItIsCountedFor) {
  struct Nothing : EventSink {
    void on_event(const llmtap_event_hdr&) override {}
  } nothing;
  const std::string longest(200, 'k');
  const std::string request = "POST /v1/x?" + longest + "&" + longest +
                              " HTTP/1.1\r\nContent-Type: application/json" +
                              "\r\nTransfer-Encoding: chunked\r\n" + longest + ": " + longest +
                              "\r\n\r\n1000\r\n{\"" + longest + "\":" + std::string(255, '[');
  Limits limits;
  limits.redaction_bytes = 1 << 20;
  RedactingSink sink(nothing, limits);
  const size_t before = test::heap_bytes();
  for (uint64_t i = 0; i < 1000; ++i)
    for (const bool write : {false, true}) {
      Feeder feeder(sink, write ? LLMTAP_WRITE : LLMTAP_READ);
      feeder.connection = i;
      feeder.data(request);
    }
  EXPECT_EQ(sink.bytes_dropped(), (1000 - 256) * 2 * request.size());
  EXPECT_LE(test::heap_bytes() - before, limits.redaction_bytes + test::kHeapNoise);
}

TEST(RedactingSink, PassesOtherEventsAsTheyAre) {
  Reassembler out;
  RedactingSink sink(out);
  llmtap_clock_event clock{};
  clock.hdr.type = LLMTAP_EVENT_CLOCK;
  clock.hdr.size = sizeof(clock);
  sink.on_event(clock.hdr);
  Feeder feeder(sink);
  feeder.data("");
  EXPECT_EQ(out.records, 2u);
}

class CallLines : public CallSink {
 public:
  void on_call_open(const LlmCall&) override {}
  void on_call_finished(const LlmCall& call) override { lines.push_back(call_json(call)); }
  std::vector<std::string> lines;
};
class NoVerdicts : public VerdictSink {
 public:
  void set_verdict(uint64_t, Verdict) override {}
};

std::vector<std::string> calls_of(const std::filesystem::path& recording, bool redacted) {
  CallLines calls;
  NoVerdicts verdicts;
  Core core({}, {}, {&calls}, verdicts);
  RedactingSink redacting(core);
  auto events = EventFileReader::open(recording);
  EXPECT_TRUE(events);
  while (!(*events)->at_end())
    EXPECT_TRUE(
        (*events)->poll(redacted ? static_cast<EventSink&>(redacting) : core, std::chrono::milliseconds(0)));
  core.finish();
  EXPECT_FALSE(calls.lines.empty());
  return calls.lines;
}

class Recording : public ::testing::TestWithParam<std::filesystem::path> {};

TEST_P(Recording, GivesTheSameCallsRedacted) {
  const auto recording = GetParam() / "input.events";
  // gRPC is not read: what it carried is a gap.
  if (GetParam().filename() == "xai-grpc") {
    EXPECT_THAT(calls_of(recording, true),
                ::testing::ElementsAre(HasSubstr(R"("incomplete":"lost_segment")")));
    return;
  }
  EXPECT_THAT(calls_of(recording, true), ::testing::ElementsAreArray(calls_of(recording, false)));
}

std::vector<std::filesystem::path> recordings() {
  std::vector<std::filesystem::path> all;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(LLMTAP_SOURCE_DIR) + "/tests/golden"))
    if (entry.is_directory() && std::filesystem::exists(entry.path() / "input.events"))
      all.push_back(entry.path());
  std::ranges::sort(all);
  return all;
}

INSTANTIATE_TEST_SUITE_P(Goldens, Recording, ::testing::ValuesIn(recordings()), [](const auto& recording) {
  std::string name = recording.param.filename();
  std::ranges::replace(name, '-', '_');
  return name;
});

}  // namespace
}  // namespace llmtap
