// SPDX-License-Identifier: Apache-2.0
#include "protocols/content_decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include "recorder.h"

namespace llmtap::test {
namespace {

// window_bits as zlib has them: 31 gzip, 15 zlib, -15 raw.
std::string deflated(std::string_view text, int window_bits, int flush_at = -1) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(text.size() + 1000, 0);
  std::string in(text);
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  if (flush_at >= 0) {
    stream.avail_in = static_cast<uInt>(flush_at);
    EXPECT_EQ(deflate(&stream, Z_SYNC_FLUSH), Z_OK);
  }
  stream.avail_in = static_cast<uInt>(text.size()) - static_cast<uInt>(std::max(flush_at, 0));
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zstd(std::string_view text) {
  std::string out(ZSTD_compressBound(text.size()), 0);
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

const std::string kText = [] {
  std::string text;
  for (int i = 0; i < 40; ++i) text += "{\"id\": " + std::to_string(i * 7919) + "}\n";
  return text;
}();

// An uncompressed meta-block and the last, empty one (RFC 7932 9.2): what an encoder makes of bytes
// that it cannot compress. 16 bits window, MLEN - 1 in 4 nibbles.
std::string brotli(std::string_view text) {
  std::string out;
  // WBITS "0" (1 bit), ISLAST 0 (1), MNIBBLES 00 (2), MLEN-1 (16), ISUNCOMPRESSED 1 (1), pad.
  const uint32_t header = static_cast<uint32_t>(text.size() - 1) << 4 | 1U << 20;
  for (int i = 0; i < 3; ++i) out.push_back(static_cast<char>(header >> (8 * i)));
  out += text;
  out.push_back(3);  // ISLAST 1, ISLASTEMPTY 1
  return out;
}

Script reply_with(const std::string& coding, const std::string& body,
                  const std::string& type = "text/plain") {
  return {ask("GET /a HTTP/1.1\r\n\r\n"),
          reply("HTTP/1.1 200 OK\r\nContent-Type: " + type + "\r\nContent-Encoding: " + coding +
                "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body)};
}

struct Case {
  std::string name, coding, body;
};

class ContentDecoderTest : public ::testing::TestWithParam<Case> {};

TEST_P(ContentDecoderTest, DecodesTheSameHoweverItIsSplit) {
  const Case& row = GetParam();
  const Script script = reply_with(row.coding, row.body);
  const std::vector<std::string> want = {
      "0 > head GET /a ",
      "0 > end 0/0 ok",
      "0 < head 200",
      "0 < body " + kText,
      "0 < end " + std::to_string(row.body.size()) + "/" + std::to_string(kText.size()) + " ok",
      "0 complete ok"};
  ASSERT_EQ(run(script).lines, want);
  for_each_split(script, [&](const Cutter& cutter, const std::string& what) {
    const Outcome result = run(script, client_facts(), cutter);
    ASSERT_EQ(result.lines, want) << what;
    ASSERT_EQ(result.decoder_bytes, 0U) << what;
  });
}

std::string case_name(const ::testing::TestParamInfo<Case>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(
    Cases, ContentDecoderTest,
    ::testing::Values(Case{"Gzip", "gzip", deflated(kText, 31)}, Case{"XGzip", "X-GZIP", deflated(kText, 31)},
                      Case{"GzipMembers", "gzip",
                           deflated(kText.substr(0, 99), 31) + deflated(kText.substr(99), 31)},
                      Case{"GzipPadded", "gzip", deflated(kText, 31) + std::string(7, '\0')},
                      Case{"DeflateZlib", "deflate", deflated(kText, 15)},
                      Case{"DeflateRaw", "deflate", deflated(kText, -15)},
                      Case{"Brotli", "br", brotli(kText)}, Case{"Zstd", "zstd", zstd(kText)},
                      Case{"ZstdFrames", "zstd", zstd(kText.substr(0, 50)) + zstd(kText.substr(50))},
                      Case{"Identity", "identity", kText},
                      Case{"Stacked", "zstd, gzip", deflated(zstd(kText), 31)},
                      Case{"Flushed", "gzip", deflated(kText, 31, 300)}),
    case_name);

TEST(ContentDecoder, GivesOutWhatWasFlushedAtOnce) {
  DecoderBudget budget(1 << 20);
  const auto decoder = ContentDecoder::make(Coding::kGzip, budget);
  const std::string whole = deflated("data: first\n\ndata: second\n\n", 31, 13);
  const std::string flush("\x00\x00\xff\xff", 4);
  const size_t flushed = whole.find(flush) + flush.size();
  std::string out;
  ASSERT_TRUE(decoder->decode(bytes_of(whole.substr(0, flushed)), [&](std::span<const uint8_t> bytes) {
    out.append(bytes.begin(), bytes.end());
    return true;
  }));
  EXPECT_EQ(out, "data: first\n\n");
}

TEST(ContentDecoder, DamageShowsAndIsCounted) {
  for (const auto& [coding, body] : {std::pair<std::string, std::string>{"gzip", deflated(kText, 31)},
                                     {"zstd", zstd(kText)},
                                     {"deflate", deflated(kText, 15)}}) {
    std::string damaged = body;
    damaged[damaged.size() / 2] ^= 0x55;
    damaged[damaged.size() - 3] ^= 0x55;
    const Outcome result = run(reply_with(coding, damaged));
    EXPECT_EQ(result.lines.back(), "0 complete decompress") << coding;
    EXPECT_EQ(result.counters.decode_errors, 1U) << coding;
    EXPECT_THAT(result.lines,
                ::testing::Contains(::testing::HasSubstr("< end " + std::to_string(body.size()) + "/")))
        << coding;
    EXPECT_EQ(run(reply_with(coding, body.substr(0, body.size() - 9))).lines.back(), "0 complete decompress")
        << coding;
  }
}

TEST(ContentDecoder, UnknownAndTooManyCodingsAreNotDecoded) {
  for (const char* coding : {"compress", "gzip, zstd, br", "gzip, aws-chunked"}) {
    const Outcome result = run(reply_with(coding, "abc"));
    EXPECT_EQ(result.lines.back(), "0 complete decompress") << coding;
    EXPECT_THAT(result.lines, ::testing::Contains("0 < end 3/0 decompress")) << coding;
  }
}

TEST(ContentDecoder, ABombIsStopped) {
  Limits limits;
  limits.decompress_floor_bytes = 1 << 20;
  limits.decompress_ratio = 100;
  const std::string bomb = deflated(std::string(8 << 20, 'x'), 31);
  const Outcome result = run(reply_with("gzip", bomb), client_facts(), no_cut, limits);
  EXPECT_EQ(result.lines.back(), "0 complete decompress");
  size_t delivered = 0;
  for (const std::string& line : result.lines) delivered += line.size();
  EXPECT_LT(delivered, size_t{2} << 20);
  EXPECT_EQ(result.decoder_bytes, 0U);
}

// The least hostile coding cannot exceed 1032:1, so the default ratio must lie below.
TEST(ContentDecoder, ADeflateBombIsStoppedByTheDefaults) {
  const std::string zeros(96 << 20, '\0');
  const std::string bomb = deflated(zeros, 31);
  const Outcome result = run(reply_with("gzip", bomb), client_facts(), no_cut, Limits{});
  EXPECT_EQ(result.lines.back(), "0 complete decompress");
  EXPECT_EQ(result.decoder_bytes, 0U);
}

TEST(ContentDecoder, TheBudgetOfAllDecodersHolds) {
  Limits limits;
  limits.decoder_bytes = 1024;
  for (const auto& [coding, body] : {std::pair<std::string, std::string>{"gzip", deflated(kText, 31)},
                                     {"zstd", zstd(kText)},
                                     {"br", brotli(kText)}}) {
    const Outcome result = run(reply_with(coding, body), client_facts(), no_cut, limits);
    EXPECT_EQ(result.lines.back(), "0 complete decompress") << coding;
    EXPECT_EQ(result.decoder_bytes, 0U) << coding;
  }
}

// Their decoders would allocate past the budget.
TEST(ContentDecoder, ZstdFormatsBeforeTheStandardAreRefused) {
  for (const char first : {'\x1e', '\x22', '\x23', '\x24', '\x25', '\x26', '\x27'}) {
    const std::string old = first + std::string("\xb5\x2f\xfd\x00\x00\x01\x00\xc1\x00\x00\x08", 11);
    for (const std::string& body : {old, zstd(kText) + old}) {
      DecoderBudget budget(1 << 20);
      const auto decoder = ContentDecoder::make(Coding::kZstd, budget);
      EXPECT_FALSE(decoder->decode(bytes_of(body), [](std::span<const uint8_t>) { return true; }));
    }
  }
}

TEST(ContentDecoder, AGapEndsTheDecodingAndNotTheFraming) {
  const std::string body = deflated(kText, 31);
  Script script = reply_with("gzip", body);
  const std::string whole = script[1].bytes;
  script[1].bytes = whole.substr(0, whole.size() - 50);
  script.push_back(reply_gap(20));
  script.push_back(reply(whole.substr(whole.size() - 30)));
  const Outcome result = run(script);
  EXPECT_EQ(result.lines.back(), "0 complete lost");
  EXPECT_EQ(result.decoder_bytes, 0U);
}

TEST(ContentDecoder, CompressedEventStream) {
  const Outcome result =
      run(reply_with("gzip", deflated("event: a\ndata: 1\n\ndata: 2\n\n", 31), "text/event-stream"));
  EXPECT_THAT(std::vector<std::string>(result.lines.begin() + 3, result.lines.begin() + 7),
              ::testing::ElementsAre("0 < data 1", "0 < event [a] 1", "0 < data 2", "0 < event [] 1"));
}

}  // namespace
}  // namespace llmtap::test
