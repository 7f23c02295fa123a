// SPDX-License-Identifier: Apache-2.0
#include "redaction/websocket_redactor.h"

#include <gtest/gtest.h>

#include <string>

#include "redaction/plaintext_redactor.h"
#include "unit/protocols/websocket_wire.h"

namespace llmtap::test {
namespace {

const std::string kSaid = R"({"type":"response.done","response":{"usage":{"input_tokens":1204}}})";

std::shared_ptr<DeflateTerms> no_terms() { return std::make_shared<DeflateTerms>(); }

std::vector<ByteRange> redact(WebSocketRedactor& redactor, std::string& bytes) {
  ByteRanges opaque;
  redactor.redact({reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()}, 0, opaque);
  return opaque.take();
}

// A last frame without a byte has no room for what is left of the message: that it ends is not kept either,
// so that none is read of which a part is missing.
TEST(WebSocketRedactor, AMessageThatDoesNotFitBeforeAnEmptyFrameHasNoEnd) {
  for (const bool masked : {false, true}) {
    RecordingBudgets budgets;
    WebSocketRedactor redactor(no_terms(), budgets);
    std::string first = frame(kCompressed | kText, Deflater(true)(kSaid), masked);
    std::string last = frame(kFin, "", masked), next = frame(kFin | kText, "{}", masked);
    EXPECT_EQ(redact(redactor, first), std::vector<ByteRange>{});
    EXPECT_EQ(redact(redactor, last), (std::vector<ByteRange>{{last.size() - 1, 1}}));
    EXPECT_EQ(redact(redactor, next), (std::vector<ByteRange>{{0, next.size()}}));
  }
}

TEST(WebSocketRedactor, BeyondTheBudgetCompressedMessagesAreGaps) {
  Limits limits;
  limits.decoder_bytes = 64 * 1024;
  RecordingBudgets budgets(limits);
  WebSocketRedactor one(no_terms(), budgets), other(no_terms(), budgets);
  std::string kept = got(Deflater(true)(kSaid), kFin | kCompressed | kText), lost = kept;
  EXPECT_EQ(redact(one, kept), std::vector<ByteRange>{});
  EXPECT_EQ(redact(other, lost), (std::vector<ByteRange>{{2, lost.size() - 2}}));
  std::string plain = got("{}");
  EXPECT_EQ(redact(other, plain), std::vector<ByteRange>{});
}

// A field longer than what is read of it may say anything at its end.
TEST(WebSocketRedactor, TermsThatWereNotReadWholeNeedNoWindow) {
  const auto terms = std::make_shared<ConnectionTerms>();
  PlaintextRedactor server(terms);
  std::string reply = upgrade_reply("permessage-deflate; " + std::string(200, ' ') +
                                    "server_no_context_takeover; client_no_context_takeover");
  server.redact({reinterpret_cast<uint8_t*>(reply.data()), reply.size()});
  EXPECT_FALSE(terms->websocket->server_keeps);
  EXPECT_FALSE(terms->websocket->client_keeps);
}

}  // namespace
}  // namespace llmtap::test
