// SPDX-License-Identifier: Apache-2.0
// What the readers of bodies keep of hostile JSON that never ends: bytes of the heap, counted by the
// allocator.
#include <gtest/gtest.h>

#include "llm/request_reader.h"
#include "unit/llm/reply_text.h"
#include "unit/protocols/heap.h"

namespace llmtap {
namespace {

constexpr size_t kKiB = 1024, kMiB = 1024 * kKiB;

struct Case {
  std::string name, begin, repeated;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }
std::string case_name(const ::testing::TestParamInfo<Case>& info) { return info.param.name; }

std::string block_of(const std::string& repeated) {
  std::string block;
  while (block.size() < 64 * kKiB) block += repeated;
  return block;
}

class BodyBounds : public ::testing::TestWithParam<Case> {
 protected:
  const std::string block = block_of(GetParam().repeated);
  const Limits limits;

  // Grown at most while 2 MiB were fed behind the first four blocks.
  template <typename Feed>
  size_t grown(const Feed& feed) {
    feed(GetParam().begin);
    for (int i = 0; i < 4; ++i) feed(block);
    const size_t before = test::heap_bytes();
    size_t peak = before;
    for (size_t sent = 0; sent < 2 * kMiB; sent += block.size()) {
      feed(block);
      peak = std::max(peak, test::heap_bytes());
    }
    return peak - before;
  }
};

TEST_P(BodyBounds, OfAReply) {
  const size_t before = test::heap_bytes();
  RecordPool pool(limits.json_string_bytes);
  ReplyReader reader(limits, pool);
  const size_t grew = grown([&](const std::string& bytes) { reader.feed_body(bytes, 1); });
  EXPECT_LT(grew, 16 * kKiB);
  EXPECT_LT(test::heap_bytes() - before, 256 * kKiB);
  reader.finish();
}

TEST_P(BodyBounds, OfAnEvent) {
  const size_t before = test::heap_bytes();
  RecordPool pool(limits.json_string_bytes);
  ReplyReader reader(limits, pool);
  const size_t grew = grown([&](const std::string& bytes) { reader.feed_event(bytes); });
  EXPECT_LT(grew, 16 * kKiB);
  EXPECT_LT(test::heap_bytes() - before, 256 * kKiB);
  reader.end_event("", 1, false);
}

TEST_P(BodyBounds, OfARequest) {
  const size_t before = test::heap_bytes();
  RequestReader reader(limits.json_string_bytes);
  const size_t grew = grown([&](const std::string& bytes) { reader.feed(bytes); });
  EXPECT_LT(grew, 16 * kKiB);
  EXPECT_LT(test::heap_bytes() - before, 256 * kKiB);
  reader.finish();
}

INSTANTIATE_TEST_SUITE_P(
    Endless, BodyBounds,
    ::testing::Values(
        Case{"Value", R"({"model":")", "x"}, Case{"ValueWithEscapes", R"({"model":")", R"(\u00e9)"},
        Case{"Name", R"({")", "x"}, Case{"NameWithEscapes", R"({"\n)", R"(\n)"},
        Case{"Number", R"({"usage":{"prompt_tokens":1)", "0"}, Case{"Text", R"({"choices":[{"text":")", "x"},
        Case{"Depth", "", R"([{"a":)"}, Case{"Blanks", "{", " "}, Case{"Records", "", R"({"model":"m"})"},
        Case{"Choices", R"({"choices":[)", R"({"index":7,"delta":{"content":"x"},"finish_reason":"stop"},)"},
        Case{"Tools", R"({"choices":[{"delta":{"tool_calls":[)",
             R"({"index":1,"id":"c","function":{"name":"look","arguments":"{}"}},)"},
        Case{"Output", R"({"output":[)", R"({"type":"function_call","name":"look","call_id":"c"},)"},
        Case{"Content", R"({"content":[)", R"({"type":"tool_use","name":"look","id":"c","text":"x"},)"},
        Case{"Parts", R"({"candidates":[{"content":{"parts":[)",
             R"({"text":"x","thought":true,"functionCall":{"name":"look"}},)"},
        Case{"Candidates", R"({"candidates":[)", R"({"finishReason":"STOP","index":3},)"},
        Case{"Details", R"({"usageMetadata":{"promptTokensDetails":[)",
             R"({"modality":"AUDIO","tokenCount":1},)"},
        Case{"CacheDetails", R"({"usage":{"cacheDetails":[)", R"({"ttl":"1h","inputTokens":12},)"},
        Case{"Messages", R"({"messages":[)", R"({"role":"user","content":[{"type":"text","text":"hi"}]},)"}),
    case_name);

TEST(MultipartBounds, AnEndlessLine) {
  RequestReader reader(Limits().json_string_bytes);
  reader.set_multipart();
  const std::string block(64 * kKiB, '-');
  const size_t before = test::heap_bytes();
  for (int i = 0; i < 64; ++i) reader.feed(block);
  EXPECT_LT(test::heap_bytes() - before, 16 * kKiB);
}

}  // namespace
}  // namespace llmtap
