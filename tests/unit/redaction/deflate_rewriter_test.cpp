// SPDX-License-Identifier: Apache-2.0
#include "redaction/deflate_rewriter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "redaction/shortest_deflate.h"
#include "unit/protocols/websocket_wire.h"

namespace llmtap {
namespace {

using test::Deflater;

RecordingBudgets budgets;

// A receiver of permessage-deflate (RFC 7692 7.2.2), which is zlib alone.
class Receiver {
 public:
  explicit Receiver(bool keeps) : keeps_(keeps) { inflateInit2(&stream_, -15); }
  ~Receiver() { inflateEnd(&stream_); }
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;
  std::string operator()(std::string coded) {
    coded.append("\0\0\xff\xff", 4);
    std::string out(1 << 20, '\0');
    stream_.next_in = reinterpret_cast<Bytef*>(coded.data());
    stream_.avail_in = static_cast<uInt>(coded.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(out.size());
    const int status = inflate(&stream_, Z_SYNC_FLUSH);
    if (status != Z_OK || stream_.avail_in != 0) return "damaged";
    out.resize(out.size() - stream_.avail_out);
    if (!keeps_) inflateReset(&stream_);
    return out;
  }

 private:
  z_stream stream_{};
  bool keeps_;
};

std::string redacted(const std::string& text) {
  MessageRedactor redactor;
  redactor.begin();
  std::string out;
  for (const char c : text) out.push_back(static_cast<char>(redactor.push(static_cast<uint8_t>(c))));
  return out;
}

// A stream of events as models send them: ids that repeat, words that do not.
std::vector<std::string> session(std::mt19937& random, size_t events) {
  static constexpr std::string_view kWords[] = {"the ",   "and ", "a",     "secret ", "diary, ",
                                                "of\\n",  "42 ",  "zinc",  "x",       "über ",
                                                "fjord ", "\\\"", "quiz ", "WALL "};
  const auto words = [&](size_t count) {
    std::string text;
    while (count-- > 0) text += kWords[random() % std::size(kWords)];
    return text;
  };
  const std::string id = "resp_" + std::to_string(random()) + std::to_string(random());
  std::vector<std::string> all = {R"({"type":"response.created","response":{"id":")" + id + R"("}})"};
  for (size_t i = 0; i < events; ++i)
    all.push_back(R"({"type":"response.output_text.delta","event_id":"event_)" + std::to_string(random()) +
                  R"(","response_id":")" + id + R"(","delta":")" + words(random() % 12) + "\"}");
  all.push_back(R"({"type":"response.output_text.done","response_id":")" + id + R"(","text":")" + words(300) +
                "\"}");
  all.push_back(R"({"type":"response.done","response":{"id":")" + id +
                R"(","status":"completed","usage":{"input_tokens":12,"output_tokens":)" +
                std::to_string(random() % 1000) + "}}}");
  return all;
}

// As it is where nothing else made room.
std::string without_event_id(std::string text) {
  const std::string key = R"("event_id":")";
  const size_t begin = text.find(key);
  if (begin == std::string::npos) return text;
  const size_t end = text.find('"', begin + key.size());
  return text.replace(begin + key.size(), end - begin - key.size(), end - begin - key.size(), 'x');
}

struct Setting {
  int level, window_bits;
  bool keeps;
};
void PrintTo(const Setting& s, std::ostream* out) {
  *out << "level " << s.level << ", window " << s.window_bits << (s.keeps ? ", kept" : ", of each message");
}

class Deflate : public ::testing::TestWithParam<Setting> {};

TEST_P(Deflate, EveryMessageFitsIntoItsBytes) {
  const Setting setting = GetParam();
  std::mt19937 random(3);
  size_t blanks = 0, ids = 0, messages = 0;
  for (int round = 0; round < 20; ++round) {
    Deflater sender(setting.keeps, setting.level, setting.window_bits);
    Receiver receiver(setting.keeps);
    DeflateRewriter rewriter(budgets);
    for (const std::string& message : session(random, 30)) {
      std::string coded = sender(message);
      const size_t size = coded.size();
      rewriter.begin_message();
      ASSERT_TRUE(rewriter.rewrite({reinterpret_cast<uint8_t*>(coded.data()), size}, true, setting.keeps))
          << message;
      std::string text = receiver(coded);
      const std::string want = redacted(message);
      ++messages;
      for (; text.size() > want.size() && text.ends_with(' '); text.pop_back()) ++blanks;
      ids += text != want;
      if (text != want) {
        ASSERT_EQ(text, without_event_id(want));
      }
    }
  }
  EXPECT_LT(blanks, messages / 4);
  EXPECT_LT(ids, messages / 50);
}

// A record of the kernel may end anywhere in a message: a piece that ends early is compressed for itself, and
// many small ones no longer fit where no window helps.
TEST_P(Deflate, WhateverItsPiecesItIsReadOrLost) {
  const Setting setting = GetParam();
  std::mt19937 random(5);
  size_t read = 0, lost = 0;
  for (int round = 0; round < 20; ++round) {
    Deflater sender(setting.keeps, setting.level, setting.window_bits);
    Receiver receiver(setting.keeps);
    DeflateRewriter rewriter(budgets);
    for (const std::string& message : session(random, 30)) {
      std::string coded = sender(message);
      rewriter.begin_message();
      bool kept = true;
      const size_t largest = round % 2 ? 16 : 1024;
      for (size_t at = 0; at < coded.size();) {
        const size_t piece = std::min(coded.size() - at, 1 + random() % largest);
        kept &= rewriter.rewrite({reinterpret_cast<uint8_t*>(coded.data()) + at, piece},
                                 at + piece == coded.size(), setting.keeps);
        at += piece;
      }
      if (largest > 16 || setting.keeps) ++(kept ? read : lost);
      if (!kept && setting.keeps) break;
      if (!kept) continue;
      std::string text = receiver(coded);
      const std::string want = redacted(message);
      while (text.size() > want.size() && text.ends_with(' ')) text.pop_back();
      if (text != want) {
        ASSERT_EQ(text, without_event_id(want));
      }
    }
  }
  EXPECT_GT(read, 5 * lost);
}

INSTANTIATE_TEST_SUITE_P(Senders, Deflate,
                         ::testing::Values(Setting{6, 15, true}, Setting{6, 15, false}, Setting{9, 15, true},
                                           Setting{1, 15, true}, Setting{9, 15, false}, Setting{6, 9, true},
                                           Setting{8, 12, false}));

// Against zlib's own block with the same codes.
TEST(DeflateRewriter, TheShortestBlockIsReadAndNoLonger) {
  std::mt19937 random(9);
  std::string window;
  for (const std::string& message : session(random, 60)) {
    const std::string text = redacted(message);
    BitQueue bits;
    deflate_shortest(window, text, bits);
    z_stream zlib{};
    ASSERT_EQ(deflateInit2(&zlib, 9, Z_DEFLATED, -15, 9, Z_FIXED), Z_OK);
    if (!window.empty())
      deflateSetDictionary(&zlib, reinterpret_cast<const Bytef*>(window.data()),
                           static_cast<uInt>(window.size()));
    std::string its(8192, '\0');
    zlib.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    zlib.avail_in = static_cast<uInt>(text.size());
    zlib.next_out = reinterpret_cast<Bytef*>(its.data());
    zlib.avail_out = static_cast<uInt>(its.size());
    ASSERT_EQ(deflate(&zlib, Z_SYNC_FLUSH), Z_OK);
    deflateEnd(&zlib);
    EXPECT_LE((bits.bits() + 3 + 7) / 8 + 4, zlib.total_out);

    bits.put(0, 3);
    std::vector<uint8_t> coded((bits.bits() + 7) / 8);
    bits.take(coded);
    coded.insert(coded.end(), {0, 0, 0xff, 0xff});
    z_stream back{};
    ASSERT_EQ(inflateInit2(&back, -15), Z_OK);
    if (!window.empty())
      inflateSetDictionary(&back, reinterpret_cast<const Bytef*>(window.data()),
                           static_cast<uInt>(window.size()));
    std::string out(16384, '\0');
    back.next_in = coded.data();
    back.avail_in = static_cast<uInt>(coded.size());
    back.next_out = reinterpret_cast<Bytef*>(out.data());
    back.avail_out = static_cast<uInt>(out.size());
    EXPECT_EQ(inflate(&back, Z_SYNC_FLUSH), Z_OK);
    inflateEnd(&back);
    out.resize(out.size() - back.avail_out);
    ASSERT_EQ(out, text);
    window += text;
  }
}

TEST(DeflateRewriter, WhatIsDamagedEndsTheReading) {
  DeflateRewriter rewriter(budgets);
  std::string bad = "abcdef", good = Deflater(true)(R"({"type":"a"})");
  rewriter.begin_message();
  EXPECT_FALSE(rewriter.rewrite({reinterpret_cast<uint8_t*>(bad.data()), bad.size()}, true, true));
  rewriter.begin_message();
  EXPECT_FALSE(rewriter.rewrite({reinterpret_cast<uint8_t*>(good.data()), good.size()}, true, true));
}

// Not a byte more than its sender's may be needed: then it is lost, and others that stand alone are not.
TEST(DeflateRewriter, WhatDoesNotFitIsLostAlone) {
  DeflateRewriter rewriter(budgets);
  Deflater sender(false, 9);
  const std::string said = R"({"type":"a","delta":"hi"})";
  std::string coded = sender(said), next = sender(said);
  // The sender's own window says nearly all of it; whoever reads without one needs more room.
  Deflater with_window(true, 9);
  with_window(said);
  std::string again = with_window(said);
  for (std::string* each : {&coded, &again, &next}) {
    rewriter.begin_message();
    EXPECT_EQ(rewriter.rewrite({reinterpret_cast<uint8_t*>(each->data()), each->size()}, true, false),
              each != &again);
  }
}

// Whatever has to go to make room, it is nothing of another field.
TEST(DeflateRewriter, AnEventWithoutANumberKeepsWhatIsNext) {
  const std::string key = "response.q7w3e9r1t5z8u2i6o4p0a7s3d9f1g5h8j2k6l4y0x7c3v9b1n5m8";
  const std::string said = R"({"event_id":null,")" + key + R"(":[1,2]})";
  size_t kept = 0, lost = 0;
  for (size_t known = 0; known <= key.size(); ++known) {
    Deflater sender(true, 9);
    std::string before = sender(key.substr(0, known)), coded = sender(said);
    DeflateRewriter rewriter(budgets);
    rewriter.begin_message();
    rewriter.rewrite({reinterpret_cast<uint8_t*>(before.data()), before.size()}, true, false);
    rewriter.begin_message();
    if (!rewriter.rewrite({reinterpret_cast<uint8_t*>(coded.data()), coded.size()}, true, false)) {
      ++lost;
      continue;
    }
    ++kept;
    std::string text = Receiver(false)(coded);
    while (text.ends_with(' ')) text.pop_back();
    EXPECT_EQ(text, said);
  }
  EXPECT_GT(kept, 0u);
  EXPECT_GT(lost, 0u);
}

TEST(DeflateRewriter, ABombIsStopped) {
  DeflateRewriter rewriter(budgets);
  std::string coded = Deflater(false, 9)(std::string(100 << 20, '0'));
  rewriter.begin_message();
  EXPECT_FALSE(rewriter.rewrite({reinterpret_cast<uint8_t*>(coded.data()), coded.size()}, true, false));
}

}  // namespace
}  // namespace llmtap
