// SPDX-License-Identifier: Apache-2.0
// Handover::unread. A thread that read a 101 may be told of before the one whose request it answers: what the
// asking side sent in the same call as that request, and the answering side behind its head, is of the
// protocol that they changed to.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "http2_wire.h"
#include "recorder.h"
#include "websocket_wire.h"

namespace llmtap::test {
namespace {

struct Piece {
  Direction direction;
  std::string bytes;
  uint64_t time_ns;
};
Piece ask_at(uint64_t time_ns, std::string bytes) { return {Direction::kWrite, std::move(bytes), time_ns}; }
Piece reply_at(uint64_t time_ns, std::string bytes) { return {Direction::kRead, std::move(bytes), time_ns}; }

struct Sides {
  std::vector<std::string> asked, said;
  bool operator==(const Sides&) const = default;
};

// The lines of each side, as the order between them is that of the pieces. Every byte is of an exchange.
Sides read(const std::vector<Piece>& pieces) {
  Recorder recorder;
  ConnectionReaders readers({}, recorder, recorder);
  const ConnectionFacts facts = client_facts();
  readers.on_open(facts);
  uint64_t offsets[2] = {};
  for (const Piece& piece : pieces) {
    uint64_t& offset = offsets[static_cast<size_t>(piece.direction)];
    readers.on_chunk(facts, piece.direction, {bytes_of(piece.bytes), offset, piece.time_ns});
    offset += piece.bytes.size();
  }
  readers.on_end(facts, EndReason::kClosed, 1000);
  EXPECT_EQ(readers.books().bytes_in, readers.books().bytes_out);
  Sides sides;
  for (const std::string& line : recorder.lines)
    if (line.find(" > ") != std::string::npos)
      sides.asked.push_back(line);
    else if (line.find(" < ") != std::string::npos)
      sides.said.push_back(line);
  return sides;
}
void PrintTo(const Sides& sides, std::ostream* out) {
  *out << ::testing::PrintToString(sides.asked) << "\n" << ::testing::PrintToString(sides.said);
}

TEST(Handover, ToAWebSocket) {
  const std::string asked = sent(R"({"type":"response.create","model":"m"})"),
                    said = got(R"({"type":"response.created","response":{"id":"r"}})") +
                           got(R"({"type":"response.completed","response":{"id":"r"}})");
  const std::string request = upgrade_request("/v1/responses"), agreed = upgrade_reply();
  const Sides in_turn = read({ask_at(1, request), reply_at(2, agreed), ask_at(3, asked), reply_at(4, said)});
  EXPECT_THAT(in_turn.asked, ::testing::Contains(R"(1 > data {"type":"response.create","model":"m"})"));
  EXPECT_EQ(read({reply_at(2, agreed), ask_at(1, request + asked), reply_at(4, said)}), in_turn);
  EXPECT_EQ(read({reply_at(2, agreed + said), ask_at(1, request + asked)}), in_turn);
}

TEST(Handover, ToHttp2) {
  h2::Encoder client, server;
  const std::string request =
      "GET /v1/models HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
      "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
  const std::string agreed =
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
  const uint8_t last = h2::kEndHeaders | h2::kEndStream;
  const std::string asked = h2::kPreface + h2::kSettings + client.headers(3, h2::get("/b"), last);
  const std::string said = h2::join({h2::kSettings, server.headers(1, h2::ok()),
                                     h2::data(1, "one", h2::kEndStream), server.headers(3, h2::ok(), last)});
  const Sides in_turn = read({ask_at(1, request), reply_at(2, agreed), ask_at(3, asked), reply_at(4, said)});
  EXPECT_THAT(in_turn.asked, ::testing::Contains("1 > head GET /b api.example"));
  EXPECT_EQ(read({reply_at(2, agreed), ask_at(1, request + asked), reply_at(4, said)}), in_turn);
  EXPECT_EQ(read({reply_at(2, agreed + said), ask_at(1, request + asked)}), in_turn);
}

}  // namespace
}  // namespace llmtap::test
