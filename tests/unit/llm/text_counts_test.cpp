// SPDX-License-Identifier: Apache-2.0
// Lengths and hashes of long texts, against the plainest reading of them.
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "llm/byte_search.h"
#include "llm/json_scanner.h"
#include "llm/text_hash.h"

namespace llmtap {
namespace {

uint64_t hash_of(const std::vector<std::string_view>& pieces) {
  TextHash hash;
  for (const std::string_view piece : pieces) hash.add(piece.data(), piece.size());
  return hash.value();
}

std::string random_bytes(size_t n) {
  std::mt19937 random(7);
  std::string bytes(n, 0);
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

TEST(TextHash, DoesNotDependOnTheCuts) {
  const std::string bytes = random_bytes(150);
  const std::string_view all = bytes;
  const uint64_t whole = hash_of({all});
  for (size_t first = 0; first <= all.size(); ++first)
    for (size_t second = first; second <= all.size(); second += 7)
      ASSERT_EQ(hash_of({all.substr(0, first), all.substr(first, second - first), all.substr(second)}), whole)
          << first << " " << second;
}

TEST(TextHash, DependsOnEveryByteOnTheOrderAndOnTheLength) {
  const std::string bytes = random_bytes(150);
  const uint64_t whole = hash_of({bytes});
  for (size_t at = 0; at < bytes.size(); ++at) {
    std::string other = bytes;
    other[at] = static_cast<char>(other[at] ^ 1);
    ASSERT_NE(hash_of({other}), whole) << at;
    ASSERT_NE(hash_of({std::string_view(bytes).substr(0, at)}), whole) << at;
  }
  for (size_t block = 0; block + 16 <= bytes.size(); block += 8) {
    std::string swapped = bytes;
    std::swap_ranges(&swapped[block], &swapped[block + 8], &swapped[block + 8]);
    ASSERT_NE(hash_of({swapped}), whole) << block;
  }
  EXPECT_NE(hash_of({std::string(32, '\0')}), hash_of({std::string(64, '\0')}));
}

// One character: as JSON has it, and its UTF-8.
struct Piece {
  std::string json, utf8;
};
const std::vector<Piece>& alphabet() {
  static const std::vector<Piece> all = {
      {"a", "a"},
      {"\xc3\xa9", "\xc3\xa9"},
      {"\xe4\xb8\xad", "\xe4\xb8\xad"},
      {"\xf0\x9f\x8c\x8a", "\xf0\x9f\x8c\x8a"},
      {"\\n", "\n"},
      {"\\\"", "\""},
      {"\\\\", "\\"},
      {"\\/", "/"},
      {"\\u0041", "A"},
      {"\\u4e2d", "\xe4\xb8\xad"},
      {"\\ud83c\\udf0a", "\xf0\x9f\x8c\x8a"},
  };
  return all;
}

struct Counts {
  uint64_t characters = 0, wide = 0, bytes = 0, hash = 0;
  bool operator==(const Counts&) const = default;
};

Counts plainly(const std::string& utf8) {
  Counts counts{.bytes = utf8.size(), .hash = hash_of({utf8})};
  for (const char c : utf8) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & 0xc0) != 0x80) ++counts.characters;
    if (byte >= 0xe0) ++counts.wide;
  }
  return counts;
}

class TextHandler final : public JsonHandler {
 public:
  std::vector<Counts> texts;
  void on_json_string(uint16_t, const JsonPlace&, std::string_view, bool) override {}
  void on_json_number(uint16_t, const JsonPlace&, const JsonNumber&) override {}
  void on_json_bool(uint16_t, const JsonPlace&, bool) override {}
  void on_json_text(uint16_t, const JsonPlace&, const JsonText& text) override {
    texts.push_back({text.characters, text.wide, text.bytes, text.hash});
  }
};

std::vector<Counts> scan(const std::string& inside) {
  static constexpr JsonRule kRules[] = {{"text", 1, JsonWant::kText}};
  static const JsonPaths paths(kRules);
  TextHandler handler;
  JsonScanner scanner(paths, handler, 64);
  // Its own allocation, so that reading past it is seen by the sanitizer.
  const std::string document = R"({"text":")" + inside + "\"}";
  const std::unique_ptr<char[]> copy(new char[document.size()]);
  std::ranges::copy(document, copy.get());
  scanner.feed({copy.get(), document.size()});
  EXPECT_EQ(scanner.finish(), JsonState::kOk);
  return handler.texts;
}

// Every kind of character at every place near the ends of vectors and of the decoder's buffer.
TEST(TextCounts, AreThoseOfThePlainReadingWhereverTheEscapesLie) {
  for (const size_t around : {size_t{0}, size_t{16}, size_t{4080}, size_t{4096}, size_t{8192}})
    for (size_t before = around < 20 ? 0 : around - 20; before < around + 20; ++before)
      for (const Piece& piece : alphabet()) {
        const std::string left(before, 'x'), right(before % 37, 'y');
        const auto texts = scan(left + piece.json + right);
        ASSERT_EQ(texts.size(), 1u);
        ASSERT_EQ(texts.front(), plainly(left + piece.utf8 + right)) << before << " " << piece.json;
      }
}

TEST(TextCounts, AreThoseOfThePlainReadingOfMixedTexts) {
  std::mt19937 random(11);
  for (int round = 0; round < 200; ++round) {
    std::string json, utf8;
    for (size_t n = random() % 3000; n > 0; --n) {
      const Piece& piece = random() % 4 ? alphabet().front() : alphabet()[random() % alphabet().size()];
      json += piece.json;
      utf8 += piece.utf8;
    }
    const auto texts = scan(json);
    ASSERT_EQ(texts.size(), 1u);
    ASSERT_EQ(texts.front(), plainly(utf8)) << round;
  }
}

// More than the counters of one vector hold.
TEST(TextCounts, OfManyWideCharacters) {
  std::string utf8;
  for (int i = 0; i < 20'000; ++i) utf8 += "\xe4\xb8\xad";
  uint64_t characters = 0, wide = 0;
  count_characters(utf8.data(), utf8.size(), characters, wide);
  EXPECT_EQ(characters, 20'000u);
  EXPECT_EQ(wide, 20'000u);
  EXPECT_EQ(scan(utf8), std::vector<Counts>{plainly(utf8)});
}

}  // namespace
}  // namespace llmtap
