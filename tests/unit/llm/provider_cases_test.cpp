// SPDX-License-Identifier: Apache-2.0
// Every case of provider_cases/, in one piece and cut in many places.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "call_text.h"
#include "provider_case.h"

namespace llmtap {
namespace {

using test::ProviderCase;
using ::testing::HasSubstr;
using ::testing::Not;

std::filesystem::path folder() {
  return std::filesystem::path(LLMTAP_SOURCE_DIR) / "tests/unit/llm/provider_cases";
}

std::shared_ptr<const PriceTable> prices() {
  static const std::shared_ptr<const PriceTable> table =
      PriceTable::load((folder() / "prices.json").string()).value();
  return table;
}

struct Played {
  test::RecordingSink sink;
  CallTracker tracker;
  Played(const ProviderCase& c, size_t piece)
      : tracker({}, {}, [](ProcessKey) { return std::make_shared<ProcessFacts>(); }, sink, sink) {
    tracker.on_clock({.monotonic_ns = 0, .boottime_ns = 0, .realtime_ns = 1'700'000'000'000'000'000});
    tracker.set_prices(prices());
    ConnectionFacts connection;
    connection.id = 7;
    connection.role = Role::kClient;
    connection.source = Source::kOpenSsl;
    connection.first_byte_seen = true;
    test::Player(tracker, connection, piece).play(c.text);
  }
  std::string call() const { return sink.finished.size() == 1 ? test::call_text(sink.finished[0]) : ""; }
};

class ProviderCases : public ::testing::TestWithParam<ProviderCase> {};

TEST_P(ProviderCases, MakeTheCall) {
  const ProviderCase& c = GetParam();
  SCOPED_TRACE(c.where);
  const Played whole(c, 1 << 20);
  EXPECT_EQ(whole.tracker.open_exchanges(), 0u);
  if (c.no_call) {
    EXPECT_TRUE(whole.sink.opened.empty());
    return;
  }
  ASSERT_EQ(whole.sink.opened.size(), 1u);
  ASSERT_EQ(whole.sink.finished.size(), 1u);
  const std::string text = whole.call();
  EXPECT_THAT(text, HasSubstr("\nprovider=" + c.provider.substr(0, c.provider.find('/')) +
                              "\noperation=" + c.operation + "\n"));
  if (c.kind == "plain" || c.kind == "stream") {
    EXPECT_THAT(text, HasSubstr(c.kind == "plain" ? "\nstream=0\n" : "\nstream=1\n"));
  } else {
    EXPECT_THAT(text, Not(HasSubstr("\noutcome=ok\n")));
  }
  for (const std::string& want : c.want) EXPECT_THAT(text, HasSubstr("\n" + want + "\n"));
  for (const size_t piece : {1u, 2u, 3u, 7u, 16u, 61u}) ASSERT_EQ(Played(c, piece).call(), text) << piece;
}

INSTANTIATE_TEST_SUITE_P(All, ProviderCases, ::testing::ValuesIn(test::CaseReader::read_folder(folder())),
                         [](const auto& test) {
                           const ProviderCase& c = test.param;
                           std::string name = c.provider + "_" + c.operation + "_" + c.kind + "_" + c.name;
                           std::ranges::replace_if(name, [](char ch) { return !std::isalnum(ch); }, '_');
                           return name;
                         });

}  // namespace
}  // namespace llmtap
