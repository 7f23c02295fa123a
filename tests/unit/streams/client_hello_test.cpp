// SPDX-License-Identifier: Apache-2.0
#include "streams/client_hello.h"

#include <gtest/gtest.h>

#include "hello_bytes.h"

namespace llmtap::test {
namespace {

TEST(ClientHello, ReadsNameAndProtocolsHoweverItIsSplit) {
  for (const size_t record : {size_t{16384}, size_t{50}, size_t{1}}) {
    const std::vector<uint8_t> bytes = client_hello("API.example.com", {"h2", "http/1.1"}, record);
    for (size_t cut = 0; cut <= bytes.size(); ++cut) {
      ClientHelloReader reader(16384);
      reader.feed(std::span(bytes).first(cut));
      ASSERT_EQ(reader.feed(std::span(bytes).subspan(cut)), ClientHelloReader::State::kDone) << cut;
      ASSERT_EQ(reader.hello().sni, "api.example.com");
      ASSERT_EQ(reader.hello().alpn, (std::vector<std::string>{"h2", "http/1.1"}));
    }
  }
}

TEST(ClientHello, NoNameIsNone) {
  ClientHelloReader reader(16384);
  EXPECT_EQ(reader.feed(client_hello("", {})), ClientHelloReader::State::kDone);
  EXPECT_EQ(reader.hello().sni, "");
}

TEST(ClientHello, NamesThatAreNoHostNamesAreNotShown) {
  ClientHelloReader reader(16384);
  reader.feed(client_hello("a\nb", {}));
  EXPECT_EQ(reader.state(), ClientHelloReader::State::kDone);
  EXPECT_EQ(reader.hello().sni, "");
}

TEST(ClientHello, OtherBytesAreNone) {
  const auto state = [](std::vector<uint8_t> bytes) { return ClientHelloReader(16384).feed(bytes); };
  EXPECT_EQ(state({'G', 'E', 'T'}), ClientHelloReader::State::kNotHello);
  EXPECT_EQ(state({22, 3, 3, 0, 4, 2, 0, 0, 0}), ClientHelloReader::State::kNotHello);  // ServerHello
  EXPECT_EQ(state({22, 3, 1, 0, 0}), ClientHelloReader::State::kNotHello);
  EXPECT_EQ(state({22, 3, 1, 0, 5, 1, 0xff, 0xff, 0xff}),
            ClientHelloReader::State::kNotHello);  // beyond the bound
  EXPECT_EQ(state({22, 3}), ClientHelloReader::State::kMore);
}

TEST(ClientHello, EveryTruncationIsHandled) {
  std::vector<uint8_t> bytes = client_hello("host.example", {"h2"});
  const size_t body = bytes.size() - 9;
  for (size_t length = 0; length < body; ++length) {
    std::vector<uint8_t> cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(9 + length));
    cut[3] = static_cast<uint8_t>((length + 4) >> 8);
    cut[4] = static_cast<uint8_t>(length + 4);
    cut[7] = static_cast<uint8_t>(length >> 8);
    cut[8] = static_cast<uint8_t>(length);
    ClientHelloReader reader(16384);
    EXPECT_NE(reader.feed(cut), ClientHelloReader::State::kMore) << length;
  }
}

}  // namespace
}  // namespace llmtap::test
