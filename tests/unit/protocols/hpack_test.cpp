// SPDX-License-Identifier: Apache-2.0
#include "protocols/http2/hpack_decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "http2_wire.h"
#include "protocols/http2/hpack_huffman.h"
#include "recorder.h"

namespace llmtap::test::h2 {
namespace {

using http2::HpackDecoder;
using http2::HpackField;
using ::testing::ElementsAre;

struct Lines : http2::HpackFieldSink {
  std::vector<std::string> lines;
  void on_field(const HpackField& field) override {
    lines.push_back((field.name_known ? std::string(field.name) : "?") + "|" +
                    (field.value_known ? std::string(field.value) : "?"));
  }
};

std::vector<std::string> decode(HpackDecoder& decoder, const std::string& block, size_t step = SIZE_MAX) {
  Lines out;
  decoder.begin_block();
  for (size_t at = 0; at < block.size(); at += std::min(step, block.size() - at))
    if (!decoder.feed(bytes_of(std::string_view(block).substr(at, step)), out)) return {"damaged"};
  if (!decoder.end_block()) return {"cut"};
  return out.lines;
}

std::string hex(std::string_view text) {
  std::string out;
  for (size_t i = 0; i + 1 < text.size(); i += 2)
    out.push_back(static_cast<char>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
  return out;
}

HpackDecoder fresh() { return {65536, 65536}; }

// RFC 7541 appendix C.4: requests with Huffman coding on one connection.
TEST(Hpack, TheStandardsRequests) {
  HpackDecoder decoder = fresh();
  EXPECT_THAT(decode(decoder, hex("828684418cf1e3c2e5f23a6ba0ab90f4ff")),
              ElementsAre(":method|GET", ":scheme|http", ":path|/", ":authority|www.example.com"));
  EXPECT_THAT(decode(decoder, hex("828684be5886a8eb10649cbf")),
              ElementsAre(":method|GET", ":scheme|http", ":path|/", ":authority|www.example.com",
                          "cache-control|no-cache"));
  EXPECT_THAT(decode(decoder, hex("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf")),
              ElementsAre(":method|GET", ":scheme|https", ":path|/index.html", ":authority|www.example.com",
                          "custom-key|custom-value"));
  EXPECT_EQ(decoder.table_bytes(), 164U);
}

TEST(Hpack, DamagedBlocks) {
  for (const char* block : {"80",               // index 0
                            "be",               // not in the table
                            "7f00",             // name not in the table
                            "823f00",           // the size changes behind a field
                            "ffffffffffff0f",   // index beyond every bound
                            "4181ff",           // padding of a byte
                            "418100",           // padding that is not ones
                            "4184ffffffff"}) {  // the end-of-string symbol
    HpackDecoder decoder = fresh();
    EXPECT_THAT(decode(decoder, hex(block)), ElementsAre("damaged")) << block;
  }
  HpackDecoder decoder = fresh();
  EXPECT_THAT(decode(decoder, hex("418cf1e3")), ElementsAre("cut"));
}

TEST(Hpack, HuffmanDecodesEverySymbolAsNghttp2CodesIt) {
  for (int symbol = 0; symbol < 256; ++symbol) {
    Encoder encoder;
    HpackDecoder decoder = fresh();
    const std::string value = std::string(8, static_cast<char>(symbol)) + std::string(80, 'a');
    EXPECT_THAT(decode(decoder, encoder.block({{"x", value}})), ElementsAre("x|" + value)) << symbol;
  }
}

// Seeded blocks of one connection, cut anywhere, against nghttp2's encoder.
TEST(Hpack, DecodesWhatNghttp2Encodes) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    Encoder encoder;
    HpackDecoder decoder = fresh();
    for (int block = 0; block < 20; ++block) {
      Fields fields;
      std::vector<std::string> want;
      for (unsigned i = 0; i < 1 + random() % 12; ++i) {
        std::string value;
        for (unsigned n = random() % (random() % 8 == 0 ? 2000 : 20); n > 0; --n)
          value.push_back(static_cast<char>(random()));
        fields.push_back(
            {"name-" + std::to_string(random() % 30), random() % 2 ? std::to_string(random() % 5) : value});
        want.push_back(fields.back().first + "|" + fields.back().second);
      }
      if (random() % 10 == 0) encoder.resize(random() % 4097);
      const std::string bytes = encoder.block(fields, random() % 4 != 0);
      ASSERT_EQ(decode(decoder, bytes, 1 + random() % 50), want) << "seed " << seed << " block " << block;
    }
  }
}

TEST(Hpack, MetInTheMiddleItKnowsWhatItSawInserted) {
  Encoder encoder;
  const std::string unseen = encoder.block({{"old-a", "1"}, {"old-b", "2"}});
  HpackDecoder decoder = fresh();
  decoder.forget();
  EXPECT_THAT(decode(decoder, encoder.block({{":method", "POST"}, {"old-a", "1"}, {"new-c", "3"}})),
              ElementsAre(":method|POST", "?|?", "new-c|3"));
  EXPECT_THAT(decode(decoder, encoder.block({{"old-b", "2"}, {"new-c", "3"}, {"old-a", "9"}})),
              ElementsAre("?|?", "new-c|3", "?|9"));
  EXPECT_THAT(decode(decoder, encoder.block({{"old-a", "9"}, {"new-c", "3"}})),
              ElementsAre("?|9", "new-c|3"));
  EXPECT_THAT(decode(decoder, encoder.block({{"old-a", "1"}, {"new-d", "4"}})),
              ElementsAre("?|?", "new-d|4"));
}

// The decoder that forgot must say "unknown" or what the whole one says, at every place where it may
// forget, and in the end know everything again.
TEST(Hpack, ForgettingNeverMakesAWrongField) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    std::mt19937 random(seed);
    Encoder encoder;
    std::vector<std::string> blocks;
    std::vector<std::vector<std::string>> want;
    HpackDecoder whole = fresh();
    for (int block = 0; block < 60; ++block) {
      Fields fields;
      for (unsigned i = 0; i < 1 + random() % 6; ++i)
        fields.push_back({"n" + std::to_string(random() % 40),
                          std::string(random() % 120, static_cast<char>('a' + random() % 3))});
      blocks.push_back(encoder.block(fields));
      want.push_back(decode(whole, blocks.back()));
    }
    const size_t lost = random() % 30;
    HpackDecoder decoder = fresh();
    for (size_t i = 0; i < blocks.size(); ++i) {
      if (i == lost) {
        decoder.forget();
        continue;  // and this block was not seen
      }
      const auto got = decode(decoder, blocks[i]);
      ASSERT_EQ(got.size(), want[i].size()) << "seed " << seed << " block " << i;
      for (size_t k = 0; k < got.size(); ++k) {
        const std::string& field = want[i][k];
        const bool unknown = got[k] == "?|?" || got[k] == "?" + field.substr(field.find('|'));
        ASSERT_TRUE(got[k] == field || (i > lost && unknown)) << got[k] << " is not " << field;
      }
    }
  }
}

TEST(Hpack, TheTableIsBounded) {
  Encoder encoder(1 << 20);
  encoder.resize(1 << 20);
  HpackDecoder decoder(8192, 65536);
  for (int i = 0; i < 100; ++i)
    decode(decoder, encoder.block({{"name-" + std::to_string(i), std::string(1000, 'x')}}));
  EXPECT_LE(decoder.table_bytes(), 8192U);
  // The encoder still has it.
  EXPECT_THAT(decode(decoder, encoder.block({{"name-5", std::string(1000, 'x')}})), ElementsAre("?|?"));
}

TEST(Hpack, AStringBeyondItsBoundIsUnknown) {
  Encoder encoder;
  HpackDecoder decoder(4096, 100);
  EXPECT_THAT(decode(decoder, encoder.block({{"a", std::string(400, '~')}, {"b", "2"}})),
              ElementsAre("a|?", "b|2"));
}

}  // namespace
}  // namespace llmtap::test::h2
