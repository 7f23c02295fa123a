// SPDX-License-Identifier: Apache-2.0
// An event that equals the last one is not read again (event_shape.h). What comes out must be what the
// scanner alone finds: a reader that gets every event in pieces never takes that way.
#include "llm/reply_reader.h"

#include <gtest/gtest.h>

#include <random>

#include "llm/event_shape.h"
#include "unit/llm/reply_text.h"

namespace llmtap::test {
namespace {

struct Event {
  std::string data, name;
  bool complete = true;
};

class Both {
 public:
  // The two readers' facts after each event; false as soon as they differ.
  ::testing::AssertionResult same(const Event& event, std::mt19937& random) {
    now_ += 1'000'000 + random() % 30'000'000;
    whole_.event(event.data, event.name, now_, event.complete);
    for (size_t at = 0; at < event.data.size();) {
      const size_t n = std::min<size_t>(event.data.size() - at, 1 + random() % 40);
      pieces_.feed_event(std::string_view(event.data).substr(at, n));
      at += n;
    }
    pieces_.end_event(event.name, now_, event.complete);
    const std::string got = reply_text(whole_), want = reply_text(pieces_);
    if (got == want) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << event.name << ": " << event.data << "\nwhole:\n"
                                         << got << "\nin pieces:\n"
                                         << want;
  }
  const ReplyFacts& facts() const { return whole_.facts(); }

 private:
  Limits limits_;
  RecordPool pool_{limits_.json_string_bytes};
  ReplyReader whole_{limits_, pool_}, pieces_{limits_, pool_};
  uint64_t now_ = 1;
};

// T: a text, N: a number, S: spaces, W: a word that nobody asks for.
constexpr const char* kEvents[][2] = {
    {"",
     R"({"id":"c-1","object":"chat.completion.chunk","created":17,"model":"m","choices":[{"index":0,"delta":{"content":"T"},"finish_reason":null}],"usage":null,"obfuscation":"W"})"},
    {"",
     R"({"id":"c-1","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"reasoning_content":"T","content":"T"}}],"usage":{"prompt_tokens":N,"completion_tokens":N,"total_tokens":N}})"},
    {"",
     R"({"id":"c-1","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"T"}}]}}]})"},
    {"",
     R"({"id":"c-1","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":N,"id":"W","function":{"name":"W","arguments":""}}]}}]})"},
    {"",
     R"({"id":"c-1","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})"},
    {"",
     R"({"id":"t-1","object":"text_completion","model":"m","choices":[{"index":0,"text":"T","logprobs":{"tokens":["T"],"top":[N,{"W":N}]}}]})"},
    {"content_block_delta",
     R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"T"}S})"},
    {"content_block_delta",
     R"({"type":"content_block_delta","index":N,"delta":{"type":"input_json_delta","partial_json":"T"}})"},
    {"content_block_delta",
     R"({"type":"content_block_delta","index":1,"delta":{"type":"thinking_delta","thinking":"T"}})"},
    {"message_delta",
     R"({"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":N}})"},
    {"ping", R"({"type": "ping"})"},
    {"error", R"({"type":"error","error":{"type":"overloaded_error","message":"T"}})"},
    {"response.output_text.delta",
     R"({"type":"response.output_text.delta","sequence_number":N,"item_id":"msg_1","delta":"T","logprobs":[],"obfuscation":"W"})"},
    {"response.output_text.delta", R"({"sequence_number":N,"delta":"T"})"},
    {"response.reasoning_summary_text.delta", R"({"sequence_number":N,"delta":"T"})"},
    {"response.completed",
     R"({"type":"response.completed","response":{"id":"resp_1","status":"completed","usage":{"input_tokens":N,"output_tokens":N}}})"},
    {"",
     R"({"candidates": [{"content": {"parts": [{"text": "T"}],"role": "model"},"index": 0}],"usageMetadata": {"promptTokenCount": N,"candidatesTokenCount": N,"totalTokenCount": N,"promptTokensDetails": [{"modality": "W","tokenCount": N}]},"modelVersion": "g"})"},
    {"",
     R"({"candidates": [{"content": {"parts": [{"text": "T"}]}}],"usageMetadata": {"promptTokenCount": N,"candidatesTokenCount": N,"promptTokensDetails": [{"modality": "TEXT","tokenCount": N},{"modality": "AUDIO","tokenCount": N}],"candidatesTokensDetails": [{"modality": "TEXT","tokenCount": N}]}})"},
    {"",
     R"({"candidates": [{"content": {"parts": [{"text": "T"}]}}],"usageMetadata": {"promptTokenCount": N,"promptTokensDetails": [{"modality": "TEXT","tokenCount": N},{"modality": "TEXT","tokenCount": N}],"candidatesTokensDetails": [{"modality": "TEXT","tokenCount": N}]}})"},
    {"",
     R"({"candidates": [{"content": {"parts": [{"text": "T"}]}}],"usage": {"input_tokens_details": {"audio_tokens": N}},"usageMetadata": {"promptTokensDetails": [{"modality": "AUDIO","tokenCount": N}]}})"},
    {"", R"({"candidates": [{"content": {"parts": [{"text": "T","thought": true},{"text": "T"}]}}]})"},
    {"", R"({"model":"l","created_at":"W","message":{"role":"assistant","content":"T"},"done":false})"},
    {"", R"({"usage":{"output_tokens":N},"usage":{"output_tokens":7},"choices":[{"text":"T"}]})"},
    {"", R"({"model_name":"m","model_version":"1","text_output":"T"})"},
    {"", "[DONE]"},
};

std::string text(std::mt19937& random) {
  static constexpr const char* kPieces[] = {" word",
                                            "a",
                                            "\\n",
                                            "\\\"",
                                            "\\u00e9",
                                            "\\u6d77",
                                            "\\ud83c\\udf0a",
                                            "\\ud83c",
                                            "\xc3\xa9",
                                            "\xe6\xb5\xb7",
                                            "\xf0\x9f\x8c\x8a",
                                            "{\\\"k\\\": [1",
                                            " of the sea and the ships on it",
                                            "\\/",
                                            "]",
                                            "\\x",
                                            "\\u12",
                                            "\xff"};
  std::string out;
  // The last few are rare: they end the reading of an event.
  for (size_t n = random() % 4; n > 0; --n)
    out += kPieces[random() % (random() % 30 == 0 ? std::size(kPieces) : std::size(kPieces) - 3)];
  return out;
}

std::string number(std::mt19937& random) {
  static constexpr const char* kNumbers[] = {
      "0",  "-1", "1.5", "12e2", "null", "99999999999999999999", "\"7\"", "true", "007", "4503599627370497",
      "[1]"};
  return random() % 6 == 0 ? kNumbers[random() % std::size(kNumbers)] : std::to_string(random() % 100'000);
}

Event make(size_t kind, std::mt19937& random) {
  Event event{.name = kEvents[kind][0]};
  for (const char* c = kEvents[kind][1]; *c; ++c) {
    if (*c == 'T')
      event.data += text(random);
    else if (*c == 'N')
      event.data += number(random);
    else if (*c == 'S')
      event.data.append(random() % 9, ' ');
    else if (*c == 'W')
      event.data += "w" + std::to_string(random() % 1000);
    else
      event.data += *c;
  }
  if (kEvents[kind][1][0] == '[') event.data = kEvents[kind][1];
  switch (random() % 200) {
    case 0: event.data[random() % event.data.size()] = static_cast<char>(random()); break;
    case 1: event.data.resize(random() % event.data.size()); break;
    case 2: event.data.insert(random() % event.data.size(), 1, " \t\r\n\"\\{}[],:09x"[random() % 16]); break;
    case 3: event.complete = false; break;
    case 4: event.name = "other"; break;
    case 5: event.data += event.data; break;
    default: break;
  }
  return event;
}

TEST(ReplyReader, FindsTheSameInWholeEventsAsInPieces) {
  for (uint32_t seed = 0; seed < 400; ++seed) {
    std::mt19937 random(seed);
    Both readers;
    size_t kind = random() % std::size(kEvents);
    for (int i = 0; i < 60; ++i) {
      if (random() % 12 == 0) kind = random() % std::size(kEvents);
      ASSERT_TRUE(readers.same(make(kind, random), random)) << "seed " << seed << ", event " << i;
    }
  }
}

TEST(ReplyReader, AlternatingEventsAreReadToo) {
  std::mt19937 random(1);
  Both readers;
  for (size_t i = 0; i < 400; ++i) ASSERT_TRUE(readers.same(make(i % 2 ? 0 : 6, random), random));
}

// What the fast way is for: the values it must take, and those it must not.
TEST(EventShape, KnowsWhatMayDiffer) {
  RecordPool pool(1024);
  struct Quiet final : RecordListener {
    void on_record_begin() override {}
    void on_record_end() override {}
  } listener;
  const std::string first =
      R"({"model":"m","n":1,"skip":"a","usage":{"output_tokens":3},"logprobs":[1,{"a":"]"}], "choices":[{"delta":{"content":"x"}}]})";
  const auto reader = pool.take(listener);
  reader->feed_whole(first);
  EventShape shape;
  shape.learn(first, reader->spans(), {});
  EventShape::Values values;
  ASSERT_TRUE(shape.match(first, values));
  ASSERT_TRUE(shape.match(
      R"({"model":"m","n":22,"skip":"bcd","usage":{"output_tokens":4001},"logprobs":[],   "choices":[{"delta":{"content":"h\u00e9\n\"\u6d77"}}]})",
      values));
  EXPECT_EQ(values.texts.content.characters, 5U);
  EXPECT_EQ(values.texts.content.wide, 1U);
  ASSERT_EQ(values.number_count, 1U);
  EXPECT_EQ(values.numbers[0], (std::pair{Usage::kOutput, uint64_t{4001}}));
  ASSERT_TRUE(shape.match(first, values));
  EXPECT_EQ(values.texts.content.characters, 1U);
  for (
      const char* other :
      {R"({"model":"n","n":1,"skip":"a","usage":{"output_tokens":3},"logprobs":[1,{"a":"]"}], "choices":[{"delta":{"content":"x"}}]})",
       R"({"model":"m","n":1,"skip":"a","usage":{"output_tokens":-3},"logprobs":[], "choices":[{"delta":{"content":"x"}}]})",
       R"({"model":"m","n":1,"skip":"a","usage":{"output_tokens":3},"logprobs":[], "choices":[{"delta":{"content":"\ud83c"}}]})",
       R"({"model":"m","n":1,"skip":"\x","usage":{"output_tokens":3},"logprobs":[], "choices":[{"delta":{"content":"x"}}]})",
       R"({"model":"m","n":1,"skip":"a","usage":{"output_tokens":3},"logprobs":[, "choices":[{"delta":{"content":"x"}}]})",
       R"({"model":"m","n":1,"skip":"a","usage":{"output_tokens":3},"logprobs":[], "choices":[{"delta":{"content":"x"}}])",
       R"({"model":"m","n":1,"skip":"a","usage":{"output_tokens":3},"logprobs":[], "choices":[{"delta":{"content":"x"}}]},)",
       ""})
    EXPECT_FALSE(shape.match(other, values)) << other;
}

}  // namespace
}  // namespace llmtap::test
