// SPDX-License-Identifier: Apache-2.0
#include "protocols/grpc_decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "event_stream_wire.h"
#include "recorder.h"
#include "split.h"
#include "unit/core/compressors.h"

namespace llmtap::test {
namespace {

std::string prefixed(char flags, std::string_view message) {
  return std::string(1, flags) + be32(message.size()) + std::string(message);
}

std::string gzip(const std::string& text) {
  Gzip gzip;
  const std::string flushed = gzip.add(text);
  return flushed + gzip.finish();
}

// Messages as text, "cut" for one that is incomplete, "damaged" where the decoder gave up. Data of a message
// that is not whole may be any part of it.
class Messages : public Recorder {
 public:
  std::vector<std::string> seen;
  void on_event_data(ExchangeId, Side, std::span<const uint8_t> bytes, uint64_t) override {
    data_.append(bytes.begin(), bytes.end());
  }
  void on_event_end(ExchangeId, Side, const EventEnd& end) override {
    EXPECT_EQ(end.data_bytes, data_.size());
    seen.push_back(end.complete ? data_ : "cut");
    data_.clear();
  }

 private:
  std::string data_;
};

std::vector<std::string> decode(const std::vector<std::string>& pieces, size_t lost_before = SIZE_MAX,
                                uint64_t lost = 0) {
  Messages messages;
  EventOutput out(messages, {}, Side::kResponse);
  const Limits limits;
  DecoderBudget budget(1 << 20);
  {
    GrpcDecoder decoder(Coding::kGzip, limits, budget);
    bool good = true;
    for (size_t i = 0; i < pieces.size() && good; ++i) {
      if (i == lost_before) good = decoder.gap(lost, 1, out);
      good = good && decoder.feed(bytes_of(pieces[i]), 1, out);
    }
    decoder.finish(1, out);
    if (!good && lost == 0) messages.seen.push_back("damaged");
  }
  EXPECT_EQ(budget.used(), 0U);
  return messages.seen;
}

struct Case {
  std::string name, body;
  std::vector<std::string> want;
};
std::string case_name(const ::testing::TestParamInfo<Case>& info) { return info.param.name; }

class GrpcDecoderTest : public ::testing::TestWithParam<Case> {};

TEST_P(GrpcDecoderTest, DecodesTheSameHoweverItIsSplit) {
  expect_same_however_split([](const std::vector<std::string>& pieces) { return decode(pieces); },
                            GetParam().body, GetParam().want);
}

TEST_P(GrpcDecoderTest, AGapAnywhereNeverMakesAMessageThatWasNotSent) {
  const Case& c = GetParam();
  for (const size_t lost : {1, 4, 9})
    for (size_t at = 0; at + lost <= c.body.size(); ++at)
      for (const std::string& message : decode({c.body.substr(0, at), c.body.substr(at + lost)}, 1, lost)) {
        // "y" lies behind damage that a gap may hide.
        ASSERT_TRUE(message == "cut" || message == "y" || std::ranges::find(c.want, message) != c.want.end())
            << "lost " << lost << " at " << at;
      }
}

INSTANTIATE_TEST_SUITE_P(
    Cases, GrpcDecoderTest,
    ::testing::Values(
        Case{"Plain", prefixed(0, "first") + prefixed(0, "second"), {"first", "second"}},
        Case{"Empty", prefixed(0, "") + prefixed(0, "x"), {"", "x"}},
        Case{"Compressed",
             prefixed(1, gzip("first")) + prefixed(0, "plain") + prefixed(1, gzip("last")),
             {"first", "plain", "last"}},
        // gRPC-Web sends its trailers as a last frame.
        Case{"Trailers", prefixed(0, "x") + prefixed('\x80', "grpc-status: 0\r\n"), {"x"}},
        Case{"CutInAMessage", prefixed(0, "x") + prefixed(0, "longer").substr(0, 8), {"x", "cut"}},
        Case{"CutInAPrefix", prefixed(0, "x") + std::string("\0\0", 2), {"x"}},
        Case{"CutInACompressedOne", prefixed(1, gzip("first")).substr(0, 20), {"cut"}},
        Case{"UndefinedFlag", prefixed(0, "x") + prefixed(2, "y"), {"x", "damaged"}},
        Case{"CompressedAndEmpty", prefixed(1, "") + prefixed(0, "y"), {"cut", "damaged"}},
        Case{"NotWhatItSays", prefixed(1, "no gzip at all") + prefixed(0, "y"), {"cut", "damaged"}}),
    case_name);

}  // namespace
}  // namespace llmtap::test
