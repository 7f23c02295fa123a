// SPDX-License-Identifier: Apache-2.0
#include "redaction/http2_redactor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "protocols/http2/hpack_decoder.h"
#include "redaction/plaintext_redactor.h"
#include "unit/core/redacted.h"
#include "unit/protocols/http2_wire.h"
#include "unit/protocols/websocket_wire.h"

namespace llmtap::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

struct Fields : http2::HpackFieldSink {
  void on_field(const http2::HpackField& field) override {
    list.emplace_back(field.name_known ? field.name : "?", field.value_known ? field.value : "?");
  }
  std::vector<std::pair<std::string, std::string>> list;
};

// One encoder, one redactor, one decoder of what it left: as many blocks as a test wants.
class Blocks {
 public:
  std::vector<std::pair<std::string, std::string>> operator()(std::string block,
                                                              std::vector<size_t> cuts = {}) {
    Fields seen, fields;
    redactor_.begin_block();
    size_t begin = 0;
    cuts.push_back(block.size());
    for (const size_t cut : cuts) {
      EXPECT_EQ(redactor_.redact({reinterpret_cast<uint8_t*>(block.data()) + begin, cut - begin}, seen),
                cut - begin);
      begin = cut;
    }
    EXPECT_TRUE(redactor_.between_fields());
    decoder_.begin_block();
    EXPECT_TRUE(decoder_.feed(bytes_of(block), fields));
    EXPECT_TRUE(decoder_.end_block());
    EXPECT_EQ(seen.list.size(), fields.list.size());
    for (size_t i = 0; i < std::min(seen.list.size(), fields.list.size()); ++i) {
      EXPECT_EQ(seen.list[i].first, fields.list[i].first);
      if (seen.list[i].second != "?") {
        EXPECT_EQ(seen.list[i].second, fields.list[i].second);
      }
    }
    bytes = block;
    return fields.list;
  }
  h2::Encoder encoder;
  std::string bytes;

 private:
  HpackRedactor redactor_{64 * 1024};
  http2::HpackDecoder decoder_{64 * 1024, 256 * 1024};
};

std::string literal(std::string_view name, std::string_view value, char kind = 0x40) {
  const auto text = [](std::string_view s) { return static_cast<char>(s.size()) + std::string(s); };
  return kind + text(name) + text(value);
}

TEST(HpackRedactor, KeepsWhatIsNoSecretAndTheTable) {
  Blocks blocks;
  const h2::Fields request = {{":method", "POST"},
                              {":scheme", "https"},
                              {":authority", "api.openai.com"},
                              {":path", "/v1/chat/completions?api-version=2024-10-21"},
                              {"authorization", "Bearer CaNaRy42CaNaRy42"},
                              {"content-type", "application/json"},
                              {"user-agent", "OpenAI/Python 1.99"},
                              {"x-my-thing", "who I am"}};
  for (int repeat = 0; repeat < 3; ++repeat) {
    const auto fields = blocks(blocks.encoder.block(request));
    ASSERT_EQ(fields.size(), request.size());
    for (size_t i = 0; i < fields.size(); ++i) {
      EXPECT_EQ(fields[i].first, request[i].first);
      const bool secret = fields[i].first == "authorization" || fields[i].first == "x-my-thing";
      if (!secret) {
        EXPECT_EQ(fields[i].second, request[i].second);
      } else {
        EXPECT_THAT(fields[i].second, ::testing::MatchesRegex("X+"));
      }
    }
    EXPECT_FALSE(tells(blocks.bytes, "CaNaRy42"));
  }
}

// Of a value that stays in part: every place and length of the secret, so every phase of its bits.
TEST(HpackRedactor, HidesInsideACodedValue) {
  for (size_t before = 0; before < 9; ++before)
    for (size_t length = 1; length < 20; ++length) {
      Blocks blocks;
      const std::string path = "/v1/" + std::string(before, 'm') +
                               ":go?key=" + std::string("CaNaRy42_Zq9-KwXy7{~").substr(0, length) +
                               "&alt=sse";
      const auto fields = blocks(blocks.encoder.block({{":path", path}}));
      ASSERT_EQ(fields.size(), 1u);
      const std::string& kept = fields[0].second;
      const std::string begin = "/v1/" + std::string(before, 'm') + ":go?key=";
      ASSERT_TRUE(kept.starts_with(begin) && kept.ends_with("&alt=sse")) << kept;
      const std::string filler = kept.substr(begin.size(), kept.size() - begin.size() - 8);
      EXPECT_FALSE(filler.empty());
      EXPECT_LE(filler.size(), length);
      EXPECT_EQ(filler.find_first_not_of("anxX"), std::string::npos) << kept;
    }
}

TEST(HpackRedactor, EndsACodedValueWithFiller) {
  for (size_t length = 1; length < 40; ++length) {
    Blocks blocks;
    const auto fields =
        blocks(blocks.encoder.block({{"user-agent", "a/1 sk-" + std::string(length, 'q')}, {"x", "1"}}));
    ASSERT_EQ(fields.size(), 2u);
    EXPECT_THAT(fields[0].second, ::testing::MatchesRegex("a/1 sk-X*")) << length;
  }
}

// Letters that look like filler do not show where in a secret they stood.
TEST(HpackRedactor, ACodedSecretsOwnLettersAreNoneOfIt) {
  const auto stored = [](std::string_view secret) {
    Blocks blocks;
    blocks(blocks.encoder.block({{":path", "/v1/m?key=" + std::string(secret) + "&alt=sse"}}));
    return blocks.bytes;
  };
  EXPECT_EQ(stored("abxcd"), stored("abcdx"));
  EXPECT_EQ(stored("QxxZx7"), stored("QZ7xxx"));
}

// RFC 7541 6.2: into the table, not into it, never into any; a name of the table; a field of it.
TEST(HpackRedactor, OverwritesEveryForm) {
  Blocks blocks;
  EXPECT_THAT(blocks("\x3f\xe1\x1f" + literal("x-mine", "secret") + literal("retry-after", "7", 0x00) +
                     literal("cookie", "id=1", 0x10) + std::string("\x7e\x05other", 7) + '\xbe'),
              ElementsAre(Pair("x-mine", "xxxxxx"), Pair("retry-after", "7"), Pair("cookie", "xxxx"),
                          Pair("x-mine", "xxxxx"), Pair("x-mine", "xxxxx")));
}

// What is left behind a cut is filler or what stood there, and the block goes on.
TEST(HpackRedactor, WhereverItIsCutNothingIsTold) {
  h2::Fields request = {{":path", "/v1/models/m:go?key=CaNaRy42&alt=sse"},
                        {"user-agent", "openai sk-CaNaRy42 end"},
                        {"authorization", "Bearer CaNaRy42"},
                        {"retry-after", "7"}};
  const std::string block = h2::Encoder().block(request);
  ASSERT_TRUE(tells(block, "CaNaRy42"));
  for (size_t cut = 0; cut <= block.size(); ++cut) {
    Blocks blocks;
    const auto fields = blocks(block, {cut});
    ASSERT_EQ(fields.size(), request.size()) << cut;
    EXPECT_THAT(fields[3], Pair("retry-after", ::testing::AnyOf("7", ""))) << cut;
    EXPECT_FALSE(tells(blocks.bytes, "CaNaRy42")) << cut;
  }
}

TEST(HpackRedactor, ASecretBehindAByteThatGoesIsOne) {
  Blocks blocks;
  EXPECT_THAT(blocks(literal("via", "a\x80sk-abc")), ElementsAre(Pair("via", "axsk-xxx")));
}

TEST(HpackRedactor, StopsAtDamage) {
  Fields fields;
  for (std::string block :
       {std::string("\x80", 1), std::string("\xff\x80\x80\x80\x80\x80\x01", 7), std::string("\x40\x00", 2),
        literal("a name", "v"), std::string("\xc5", 1), "\x40\x03via\x86" + std::string(6, '\xff')}) {
    HpackRedactor redactor(4096);
    redactor.begin_block();
    EXPECT_LT(redactor.redact({reinterpret_cast<uint8_t*>(block.data()), block.size()}, fields),
              block.size());
  }
}

struct Written {
  std::string bytes;
  size_t opaque = 0;
};
Written write(PlaintextRedactor& redactor, std::string bytes) {
  Written out;
  for (const ByteRange& range : redactor.redact({reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()}))
    out.opaque += range.length;
  out.bytes = bytes;
  return out;
}

TEST(Http2Redactor, KeepsFramesAndOverwritesTheirText) {
  PlaintextRedactor redactor;
  h2::Encoder encoder;
  const std::string head = h2::kPreface + h2::kSettings;
  EXPECT_EQ(write(redactor, head).bytes, head);
  const std::string request = encoder.headers(1, h2::post("/v1/x"));
  EXPECT_EQ(write(redactor, request).bytes, request);
  const Written data = write(redactor, h2::data(1, R"({"model":"m","input":"mine"})"));
  EXPECT_EQ(data.bytes.substr(9), R"({"model":"m","input":"xxxx"})");
  EXPECT_EQ(data.opaque, 0u);
  EXPECT_EQ(write(redactor, h2::frame(http2::FrameType::kPing, 0, 0, "12345678")).bytes.substr(9),
            "xxxxxxxx");
  EXPECT_EQ(write(redactor, h2::goaway(1)).bytes.substr(9 + 8), "xxx");
  EXPECT_EQ(write(redactor, h2::reset(1)).bytes, h2::reset(1));
  EXPECT_EQ(write(redactor, h2::frame(static_cast<http2::FrameType>(10), 0, 0, "origin")).bytes.substr(9),
            "xxxxxx");
  // Of a stream that is over, or never began, nothing is known.
  EXPECT_EQ(write(redactor, h2::data(1, "{\"a\":1}")).opaque, 7u);
  EXPECT_EQ(write(redactor, h2::frame(http2::FrameType::kData, h2::kPadded, 3, h2::padded("ab", 3))).opaque,
            2u);
}

TEST(Http2Redactor, ReadsEachStreamByItsType) {
  PlaintextRedactor redactor;
  h2::Encoder encoder;
  const h2::Fields gzip = h2::ok("application/json", {{"content-encoding", "gzip"}});
  write(redactor, h2::join({h2::kSettings, encoder.headers(1, h2::ok()),
                            encoder.headers(3, h2::ok("text/event-stream")), encoder.headers(5, gzip),
                            encoder.headers(7, h2::ok("application/grpc"))}));
  const std::string grpc("\0\0\0\0\1a", 6);
  const Written out = write(redactor, h2::data(1, "{\"a\":\"hi") + h2::data(3, "data: {\"b\":\"hi\"}\n\n") +
                                          h2::data(5, "zzz") + h2::data(1, "you\"}") + h2::data(7, grpc));
  EXPECT_THAT(out.bytes, HasSubstr("{\"a\":\"xx"));
  EXPECT_THAT(out.bytes, HasSubstr("data: {\"b\":\"xx\"}\n\n"));
  EXPECT_THAT(out.bytes, HasSubstr("xxx\"}"));
  EXPECT_EQ(out.opaque, 3u + grpc.size());
}

// Cut inside its coded value, a coding is not known: its body is no text.
TEST(Http2Redactor, ABodyInACodingThatWasCutIsAGap) {
  const std::string head =
      h2::kSettings + h2::Encoder().headers(1, h2::ok("application/json", {{"content-encoding", "gzip"}}));
  const std::string body = "\x1f\x8b\x08\x20\x0a";
  for (size_t cut = h2::kSettings.size(); cut <= head.size(); ++cut) {
    PlaintextRedactor redactor;
    write(redactor, head.substr(0, cut));
    write(redactor, head.substr(cut));
    EXPECT_EQ(write(redactor, h2::data(1, body)).opaque, body.size()) << cut;
  }
}

TEST(Http2Redactor, ALossInDataCostsThatBodyAlone) {
  PlaintextRedactor redactor;
  h2::Encoder encoder;
  write(redactor, h2::join({h2::kSettings, encoder.headers(1, h2::ok()), encoder.headers(3, h2::ok())}));
  const std::string frame = h2::data(1, "{\"a\":\"secret\"}");
  write(redactor, frame.substr(0, 9 + 4));
  redactor.gap(6);
  const Written rest = write(redactor, frame.substr(9 + 10) + h2::data(1, "{}") + h2::data(3, "{\"b\":1}"));
  EXPECT_EQ(rest.opaque, frame.size() - 19 + 2);
  EXPECT_THAT(rest.bytes, HasSubstr("{\"b\":1}"));
  redactor.gap(6);
  EXPECT_EQ(write(redactor, h2::data(3, "{}")).opaque, 11u);
}

TEST(Http2Redactor, WhatIsNoHttp2IsNotKept) {
  for (const std::string& bytes :
       {std::string("\0\0\0\x20secret of another", 20), std::string("\0\0\6\4\1\0\0\0\0", 9),
        h2::kSettings + h2::frame(http2::FrameType::kContinuation, 4, 1, "secret")}) {
    PlaintextRedactor redactor;
    const Written out = write(redactor, bytes);
    EXPECT_GT(out.opaque, 0u);
    EXPECT_EQ(out.bytes.find("secret"), std::string::npos);
  }
}

// Whatever the bytes: same length, and nothing is read beyond them.
TEST(Http2Redactor, DamageDoesNoHarm) {
  h2::Encoder encoder;
  std::string good = h2::kPreface + h2::kSettings + encoder.headers(1, h2::post("/v1/x?key=abc"));
  good += h2::data(1, R"({"model":"m","messages":[{"content":"hi"}]})", h2::kEndStream);
  good += encoder.headers(3, {{":method", "CONNECT"}, {":protocol", "websocket"}, {":path", "/"}});
  Deflater deflate(true);
  good += h2::data(3, sent(deflate(R"({"type":"a"})"), kFin | kCompressed | kText));
  std::mt19937 random(11);
  for (int round = 0; round < 5'000; ++round) {
    std::string text = good;
    for (unsigned hits = 1 + random() % 3; hits > 0; --hits)
      text[24 + random() % (text.size() - 24)] = static_cast<char>(random());
    PlaintextRedactor redactor;
    for (size_t at = 0; at < text.size();) {
      const size_t piece = std::min(text.size() - at, 1 + random() % text.size());
      const auto ranges = redactor.redact({reinterpret_cast<uint8_t*>(text.data()) + at, piece});
      size_t end = 0;
      for (const ByteRange& range : ranges) {
        ASSERT_GE(range.offset, end);
        end = range.offset + range.length;
        ASSERT_LE(end, piece);
      }
      at += piece;
    }
  }
}

}  // namespace
}  // namespace llmtap::test
