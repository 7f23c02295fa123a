// SPDX-License-Identifier: Apache-2.0
// What redactors keep of hostile connections: bytes of the heap, counted by the allocator, against what they
// account for; and that beyond Limits::redaction_bytes nothing passes.
#include <gtest/gtest.h>

#include <array>
#include <random>

#include "redaction/plaintext_redactor.h"
#include "unit/protocols/heap.h"
#include "unit/protocols/http2_wire.h"
#include "unit/protocols/websocket_wire.h"

namespace llmtap::test {
namespace {

constexpr size_t kKiB = 1024, kMiB = 1024 * kKiB;
constexpr size_t kConnection = 4 * kKiB;  // what is counted by whoever opens it
enum { kClient, kServer };

class RedactionBounds : public ::testing::Test {
 protected:
  Limits limits;
  std::shared_ptr<RecordingBudgets> budgets;
  std::array<std::unique_ptr<PlaintextRedactor>, 2> redactors;
  ptrdiff_t kept = 0;  // by the allocator
  size_t most = 0;
  size_t opaque = 0;  // of the last piece

  void begin() {
    redactors = {};
    budgets = std::make_shared<RecordingBudgets>(limits);
    const auto terms = std::make_shared<ConnectionTerms>(budgets);
    for (auto& redactor : redactors) redactor = std::make_unique<PlaintextRedactor>(terms);
    kept = 0;
    most = 0;
  }
  std::string send(int side, std::string bytes) {
    const size_t before = heap_bytes();
    opaque = 0;
    for (const ByteRange& range :
         redactors.at(side)->redact({reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()}))
      opaque += range.length;
    kept += static_cast<ptrdiff_t>(heap_bytes() - before);
    most = std::max(most, static_cast<size_t>(std::max<ptrdiff_t>(kept, 0)));
    EXPECT_LE(kept, static_cast<ptrdiff_t>(accounted()));
    EXPECT_LE(budgets->kept.used(), limits.redaction_bytes);
    EXPECT_LE(budgets->inflaters.used(), limits.decoder_bytes);
    return bytes;
  }
  size_t accounted() const {
    return kConnection + kHeapNoise + budgets->kept.used() + budgets->inflaters.used();
  }
};

// The deepest nesting and the longest key.
const std::string kDeep = "{\"" + std::string(100, 'k') + "\":" + std::string(255, '[');

TEST_F(RedactionBounds, TenThousandStreamsOfNestedText) {
  begin();
  h2::Encoder client, server;
  send(kClient, h2::kPreface + h2::kSettings);
  send(kServer, h2::kSettings);
  for (uint32_t stream = 1; stream < 24'000; stream += 2) {
    send(kClient, client.headers(stream, h2::post("/x")) + h2::data(stream, kDeep));
    send(kServer, server.headers(stream, h2::ok()) + h2::data(stream, kDeep));
    ASSERT_FALSE(HasFailure()) << stream;
  }
  EXPECT_GT(most, 4 * kMiB);  // they were nested
  EXPECT_LT(most, 2 * limits.http2_streams * kKiB + 64 * kKiB);
  redactors = {};
  EXPECT_EQ(budgets->kept.used(), 0U);
}

TEST_F(RedactionBounds, BeyondTheBudgetTheOldestStreamsAreGaps) {
  limits.redaction_bytes = kMiB;
  begin();
  h2::Encoder server;
  send(kServer, h2::kSettings);
  const std::string text = R"({"model":"m","text":"secret"})";
  for (uint32_t stream = 1; stream < 8'000; stream += 2) {
    send(kServer, server.headers(stream, h2::ok()) + h2::data(stream, "{\"a\":["));
    ASSERT_EQ(opaque, 0U);
  }
  EXPECT_GT(budgets->kept.used(), kMiB - 2 * kKiB);
  EXPECT_EQ(send(kServer, h2::data(1, text)).substr(9), std::string(text.size(), 'x'));
  EXPECT_EQ(opaque, text.size());
  EXPECT_EQ(send(kServer, h2::data(7'999, text)).substr(9), R"({"model":"m","text":"xxxxxx"})");
  EXPECT_EQ(opaque, 0U);
}

// Other connections have it all.
TEST_F(RedactionBounds, WithoutABudgetNothingPasses) {
  begin();
  MemoryShare others(budgets->kept);
  const auto begin_with = [&](size_t room) {
    redactors = {};
    const auto terms = std::make_shared<ConnectionTerms>(budgets);
    for (auto& redactor : redactors) redactor = std::make_unique<PlaintextRedactor>(terms);
    ASSERT_TRUE(others.resize(limits.redaction_bytes - room));
  };
  const std::string head = h2::kSettings + h2::Encoder().headers(1, h2::ok());
  begin_with(0);
  send(kServer, head);
  EXPECT_EQ(opaque, head.size());
  // Of its header table: what comes behind the field that it has no room for.
  begin_with(6 * kKiB);
  h2::Encoder server;
  send(kServer, h2::kSettings + server.headers(1, h2::ok()));
  EXPECT_EQ(opaque, 0U);
  for (uint32_t stream = 3; stream < 99 && opaque == 0; stream += 2)
    send(kServer, server.headers(stream, h2::ok("application/json", {{"x", std::to_string(stream)}})));
  EXPECT_EQ(send(kServer, h2::data(1, "{\"a\":1}")), std::string(9 + 7, 'x'));
  EXPECT_EQ(opaque, 9U + 7U);
  // Nor a WebSocket.
  begin_with(0);
  const std::string request = upgrade_request("/v1/realtime");
  EXPECT_EQ(send(kClient, request + sent("{\"a\":1}")).find("\"a\""), std::string::npos);
  EXPECT_EQ(opaque, sent("{\"a\":1}").size());
}

// However an entry's bytes are divided: none, and lengths at which a string has just grown. The value of one
// name is kept, that of the other is not.
TEST_F(RedactionBounds, AHeaderTableOfSmallEntries) {
  for (const std::string name : {"te", "n"})
    for (const size_t length : {0, 16, 31, 61, 121, 200, 250}) {
      SCOPED_TRACE(name + std::to_string(length));
      const std::string size = length < 127 ? std::string(1, static_cast<char>(length))
                                            : std::string{'\x7f', static_cast<char>(length - 127)};
      std::string fields = "\x40" + std::string(1, static_cast<char>(name.size())) + name;
      fields += size + std::string(length, 'v');
      const auto headers = [](const std::string& block) {
        return h2::frame(h2::FrameType::kHeaders, h2::kEndHeaders | h2::kEndStream, 1, block);
      };
      begin();
      send(kServer, h2::kSettings + headers("\x3f\xe1\xff\x03"));  // 64 KiB
      for (size_t i = 0; i < 2'100; ++i) {
        send(kServer, headers(fields));
        ASSERT_FALSE(HasFailure());
      }
      EXPECT_EQ(opaque, 0U);
      EXPECT_GT(budgets->kept.used(), 3 * 60 * kKiB);
    }
}

TEST_F(RedactionBounds, TunnelsThatNobodyAnswers) {
  limits.redaction_bytes = 8 * kMiB;
  begin();
  h2::Encoder client;
  send(kClient, h2::kPreface + h2::kSettings);
  std::string words;
  for (int i = 0; words.size() < 60'000; ++i) words += "\"m" + std::to_string(i * 7919) + "\",";
  std::string compressed = Deflater(true)("{\"type\":[" + words);
  const std::string message = sent(compressed, kCompressed | kText);
  size_t gaps = 0;
  for (uint32_t stream = 1; stream < 400; stream += 2) {
    const h2::Fields ask = {{":method", "CONNECT"}, {":protocol", "websocket"}, {":path", "/"}};
    send(kClient, client.headers(stream, ask));
    for (size_t at = 0; at < message.size(); at += 16'000) {
      send(kClient, h2::data(stream, message.substr(at, 16'000)));
      gaps += opaque;
    }
    ASSERT_FALSE(HasFailure()) << stream;
  }
  EXPECT_GT(gaps, 100 * kKiB);
  EXPECT_GT(most, limits.redaction_bytes / 2);
}

// Numbers that are kept are short for a sender who said them before, in a text that is not.
TEST_F(RedactionBounds, AMessageThatNeedsMoreRoomWithoutItsText) {
  std::mt19937 random(1);
  std::string digits;
  while (digits.size() < 30'000) digits += static_cast<char>('1' + random() % 9);
  std::string text;
  for (int i = 0; i < 100; ++i) text += "{\"a\":\"" + digits + "\",\"b\":" + digits + "}";
  const std::string coded = Deflater(true)(text);
  ASSERT_LT(coded.size(), text.size() / 60);
  begin();
  send(kServer, upgrade_reply("permessage-deflate"));
  const std::string message = got(coded, kFin | kCompressed | kText);
  size_t gaps = 0;
  for (size_t at = 0; at < message.size(); at += 500) {
    send(kServer, message.substr(at, 500));
    gaps += opaque;
  }
  EXPECT_GT(gaps, coded.size() / 2);
  EXPECT_LT(most, kMiB);
}

TEST_F(RedactionBounds, AWebSocketOfNestedText) {
  begin();
  send(kServer, upgrade_reply());
  send(kServer, got(kDeep, kText));
  EXPECT_EQ(opaque, 0U);
  EXPECT_LT(most, kConnection + 2 * kKiB + kHeapNoise);
}

}  // namespace
}  // namespace llmtap::test
