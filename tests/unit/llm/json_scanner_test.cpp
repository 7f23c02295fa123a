// SPDX-License-Identifier: Apache-2.0
#include "llm/json_scanner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

namespace llmtap {
namespace {

enum Field : uint16_t {
  kModel,
  kFinish,
  kContent,
  kCached,
  kCachedOpen,
  kFlag,
  kIndex,
  kRoot,
  kPart,
  kDelta,
  kDeltaText
};

const JsonPaths& paths() {
  static constexpr JsonRule kRules[] = {
      {"model", kModel},
      {"choices[].finish_reason", kFinish},
      {"choices[].delta.content", kContent, JsonWant::kText},
      {"choices[].index", kIndex},
      {"usage.prompt_tokens_details.cached_tokens", kCached},
      {"usage.prompt_tokens_details", kCachedOpen, JsonWant::kOpen},
      {"stream", kFlag},
      {"parts[].list[]", kPart},
      {"delta", kDelta, JsonWant::kText},
      {"delta.text", kDeltaText},
  };
  static const JsonPaths compiled(kRules);
  return compiled;
}

class Recorder : public JsonHandler {
 public:
  std::vector<std::string> seen;
  void on_json_string(uint16_t f, const JsonPlace& at, std::string_view v, bool cut) override {
    add(f, at, "\"" + std::string(v) + "\"" + (cut ? "+" : ""));
  }
  void on_json_number(uint16_t f, const JsonPlace& at, const JsonNumber& n) override {
    add(f, at, n.integer ? std::to_string(n.whole) : "f" + std::to_string(n.value));
  }
  void on_json_bool(uint16_t f, const JsonPlace& at, bool v) override { add(f, at, v ? "true" : "false"); }
  void on_json_null(uint16_t f, const JsonPlace& at) override { add(f, at, "null"); }
  void on_json_text(uint16_t f, const JsonPlace& at, const JsonText& t) override {
    add(f, at,
        std::to_string(t.characters) + "ch/" + std::to_string(t.wide) + "w/" + std::to_string(t.bytes) + "B" +
            (t.complete ? "" : "?"));
    hashes.push_back(t.hash);
  }
  void on_json_open(uint16_t f, const JsonPlace& at) override { add(f, at, "open"); }
  void on_json_record_begin() override { seen.push_back("<"); }
  void on_json_record_end() override { seen.push_back(">"); }
  std::vector<uint64_t> hashes;

 private:
  void add(uint16_t field, const JsonPlace& at, const std::string& value) {
    std::string where = std::to_string(field);
    for (size_t i = 0; i < std::min<size_t>(at.levels, JsonPlace::kLevels); ++i)
      where += "[" + std::to_string(at.at[i]) + "]";
    seen.push_back(where + "=" + value);
  }
};

struct Scan {
  std::vector<std::string> seen;
  std::vector<uint64_t> hashes;
  JsonState state = JsonState::kOk;
  bool operator==(const Scan&) const = default;
};

Scan scan(const std::vector<std::string_view>& pieces, size_t max_string = 64) {
  Recorder recorder;
  JsonScanner scanner(paths(), recorder, max_string);
  for (const std::string_view piece : pieces) {
    // A copy of its own, so that reading past a piece is seen by the sanitizer.
    const std::vector<char> copy(piece.begin(), piece.end());
    scanner.feed({copy.data(), copy.size()});
  }
  const JsonState state = scanner.finish();
  return {recorder.seen, recorder.hashes, state};
}

struct Case {
  std::string name, json;
  std::vector<std::string> want;
  JsonState state = JsonState::kOk;
};

class JsonScannerTest : public ::testing::TestWithParam<Case> {};

TEST_P(JsonScannerTest, DeliversTheSameHoweverItIsSplit) {
  const Case& c = GetParam();
  const Scan whole = scan({c.json});
  EXPECT_THAT(whole.seen, ::testing::ElementsAreArray(c.want));
  EXPECT_EQ(whole.state, c.state);
  for (size_t cut = 0; cut <= c.json.size(); ++cut)
    ASSERT_EQ(scan({std::string_view(c.json).substr(0, cut), std::string_view(c.json).substr(cut)}), whole)
        << cut;
  std::vector<std::string_view> bytes;
  for (size_t i = 0; i < c.json.size(); ++i) bytes.push_back(std::string_view(c.json).substr(i, 1));
  EXPECT_EQ(scan(bytes), whole);
}

INSTANTIATE_TEST_SUITE_P(
    Cases, JsonScannerTest,
    ::testing::Values(
        Case{"Empty", "", {}}, Case{"EmptyObject", "{}", {"<", ">"}},
        Case{"BlankLinesFirst", "\n\n\r\n {\"model\":\"m\"}\n", {"<", "0=\"m\"", ">"}},
        Case{
            "Nested",
            R"({"id":"x","usage":{"total":[1,{"a":2}],"prompt_tokens_details":{"audio":0,"cached_tokens":12}}})",
            {"<", "4=open", "3=12", ">"}},
        Case{
            "Indices",
            R"({"choices":[{"index":4,"finish_reason":null},{"finish_reason":"stop","delta":{"content":"ab"}}]})",
            {"<", "6[0]=4", "1[0]=null", "1[1]=\"stop\"", "2[1]=2ch/0w/2B", ">"}},
        Case{"UsageInAString",
             R"({"prompt":"{\"usage\":{\"prompt_tokens_details\":{\"cached_tokens\":9}}}","model":"m"})",
             {"<", "0=\"m\"", ">"}},
        Case{"Escapes",
             R"({"model":"a\n\"\\\/\u0041\u00e9\u4e2d\ud83d\ude00\t"})",
             {"<", "0=\"a\n\"\\/A\u00e9\u4e2d\U0001F600\t\"", ">"}},
        Case{"LoneSurrogates", R"({"model":"\ud83dx\ude00\ud800"})", {"<", "0=\"\ufffdx\ufffd\ufffd\"", ">"}},
        Case{"EscapedName", R"({"mod\u0065l":"m"})", {"<", "0=\"m\"", ">"}},
        Case{"TextIsCounted",
             "{\"choices\":[{\"delta\":{\"content\":\"h\u00e9\u4e2d\U0001F600\\n\\u4e2d\"}}]}",
             {"<", "2[0]=6ch/3w/14B", ">"}},
        Case{"SameNameTwoShapes",
             R"({"delta":"abc"}{"delta":{"text":"x"}})",
             {"<", "9=3ch/0w/3B", ">", "<", "10=\"x\"", ">"}},
        Case{"DuplicateNames",
             R"({"model":"a","model":"b","model":null})",
             {"<", "0=\"a\"", "0=\"b\"", "0=null", ">"}},
        Case{"OtherTypeIsNothing",
             R"({"choices":{"finish_reason":"x"},"usage":[{"prompt_tokens_details":1}],"stream":{"a":1}})",
             {"<", ">"}},
        Case{
            "Numbers",
            R"([{"choices":[{"index":-0.5e1},{"index":28.0},{"index":9223372036854775807},{"index":1e999}]}])",
            {"<", "6[0]=f-5.000000", "6[1]=f28.000000", "6[2]=9223372036854775807", ">"}},
        Case{"ArrayStream",
             "[{\"model\":\"a\"}\r\n,\r\n{\"stream\":true}\r\n]",
             {"<", "0=\"a\"", ">", "<", "5=true", ">"}},
        Case{"Lines", "{\"model\":\"a\"}\n{\"model\":\"b\"}\n", {"<", "0=\"a\"", ">", "<", "0=\"b\"", ">"}},
        Case{"ArraysInArrays",
             R"({"parts":[{"list":["a",["b"],"c"]},{"list":[1]}],"x":[[[]]]})",
             {"<", "8[0][0]=\"a\"", "8[0][2]=\"c\"", "8[1][0]=1", ">"}},
        Case{"CutInText", "{\"delta\":\"abc", {"<", "9=3ch/0w/3B?"}, JsonState::kIncomplete},
        Case{"CutInNumber", "{\"choices\":[{\"index\":12", {"<", "6[0]=12"}, JsonState::kIncomplete},
        Case{"CutInValue", "{\"model\":\"abc", {"<"}, JsonState::kIncomplete},
        Case{"Done", "[DONE]", {}, JsonState::kMalformed},
        Case{"Html", "<html>{\"model\":\"a\"}</html>", {}, JsonState::kMalformed},
        Case{"NoComma", R"({"model":"a" "model":"b"})", {"<", "0=\"a\""}, JsonState::kMalformed},
        Case{"BadEscape", R"({"model":"\x"})", {"<"}, JsonState::kMalformed}),
    [](const auto& test) { return test.param.name; });

TEST(JsonScannerBounds, LongValueIsCutAtACharacter) {
  EXPECT_THAT(scan({R"({"model":"abc中"})"}, 5).seen, ::testing::ElementsAre("<", "0=\"abc\"+", ">"));
  EXPECT_THAT(scan({R"({"model":"abc)", R"(def"})"}, 5).seen,
              ::testing::ElementsAre("<", "0=\"abcde\"+", ">"));
}

TEST(JsonScannerBounds, DepthCostsNothing) {
  std::string deep =
      R"({"x":)" + std::string(300'000, '[') + "\"]\\\"]\"" + std::string(300'000, ']') + R"(,"model":"m"})";
  EXPECT_THAT(scan({deep}).seen, ::testing::ElementsAre("<", "0=\"m\"", ">"));
  const std::string open = std::string(300'000, '[') + std::string(300'000, '{');
  EXPECT_EQ(scan({open}).state, JsonState::kIncomplete);
}

TEST(JsonScannerBounds, TextHashDoesNotDependOnEscapes) {
  const Scan raw = scan({R"({"delta":"a中b"})"});
  const Scan escaped = scan({R"({"delta":"\u0061\u4e2db"})"});
  const Scan other = scan({R"({"delta":"a中c"})"});
  EXPECT_EQ(raw.hashes, escaped.hashes);
  EXPECT_NE(raw.hashes, other.hashes);
}

// The same paths, read from a document that nlohmann::json built.
void expect_at(const nlohmann::json& doc, std::vector<std::string>& out, const std::string& key,
               uint16_t field) {
  if (!doc.is_object() || !doc.contains(key)) return;
  const auto& v = doc[key];
  const std::string where = std::to_string(field) + "=";
  if (v.is_string()) out.push_back(where + "\"" + v.get<std::string>() + "\"");
  if (v.is_number_integer()) out.push_back(where + std::to_string(v.get<int64_t>()));
  if (v.is_number_float()) out.push_back(where + "f" + std::to_string(v.get<double>()));
  if (v.is_boolean()) out.push_back(where + (v.get<bool>() ? "true" : "false"));
  if (v.is_null()) out.push_back(where + "null");
}

nlohmann::json random_value(std::mt19937& rng, int depth) {
  static const std::vector<std::string> kNames{"model",         "usage", "stream", "prompt_tokens_details",
                                               "cached_tokens", "x",     "\"\\q"};
  const int kind = static_cast<int>(rng() % (depth > 0 ? 9 : 7));
  switch (kind) {
    case 0: return nullptr;
    case 1: return rng() % 2 == 0;
    case 2: return static_cast<int64_t>(rng()) - 2'000'000'000;
    case 3: return static_cast<double>(rng() % 1000) / 8 + 0.0625;
    case 4:
    case 5:
    case 6: {
      std::string s;
      static const std::vector<std::string> kPieces{
          "a",      "\"",     "\\",         "{",     "}",
          "[",      "]",      ",",          ":",     "\n",
          "\u00e9", "\u4e2d", "\U0001F600", "model", "0123456789abcdef"};
      for (size_t i = rng() % 8; i > 0; --i) s += kPieces[rng() % kPieces.size()];
      return s;
    }
    case 7: {
      nlohmann::json array = nlohmann::json::array();
      for (size_t i = rng() % 4; i > 0; --i) array.push_back(random_value(rng, depth - 1));
      return array;
    }
    default: {
      nlohmann::json object = nlohmann::json::object();
      for (size_t i = rng() % 6; i > 0; --i)
        object[kNames[rng() % kNames.size()]] = random_value(rng, depth - 1);
      return object;
    }
  }
}

TEST(JsonScannerDifferential, AgreesWithADocumentParser) {
  std::mt19937 rng(20261121);
  for (int round = 0; round < 3000; ++round) {
    nlohmann::json doc = nlohmann::json::object();
    for (const char* name : {"model", "usage", "stream", "other"})
      if (rng() % 4 != 0) doc[name] = random_value(rng, 4);
    std::vector<std::string> want;
    expect_at(doc, want, "model", kModel);
    expect_at(doc, want, "stream", kFlag);
    if (doc.contains("usage") && doc["usage"].is_object() && doc["usage"].contains("prompt_tokens_details"))
      expect_at(doc["usage"]["prompt_tokens_details"], want, "cached_tokens", kCached);
    const std::string text = doc.dump(static_cast<int>(rng() % 3) - 1, ' ', rng() % 2 == 0);
    std::vector<std::string_view> pieces;
    for (size_t at = 0; at < text.size();) {
      const size_t n = std::min<size_t>(text.size() - at, 1 + rng() % 40);
      pieces.push_back(std::string_view(text).substr(at, n));
      at += n;
    }
    Scan got = scan(pieces, 4096);
    std::erase_if(got.seen,
                  [](const std::string& s) { return s == "<" || s == ">" || s.ends_with("=open"); });
    ASSERT_THAT(got.seen, ::testing::UnorderedElementsAreArray(want)) << text;
    ASSERT_EQ(got.state, JsonState::kOk) << text;
  }
}

}  // namespace
}  // namespace llmtap
