// SPDX-License-Identifier: Apache-2.0
// What every decoder keeps of hostile input that never ends: bytes of the heap, counted by the allocator,
// against the bound that include/llmtap/limits.h states.
#include <gtest/gtest.h>

#include "heap.h"
#include "http2_wire.h"
#include "protocols/connection_readers.h"
#include "recorder.h"
#include "unit/core/compressors.h"

namespace llmtap::test {
namespace {

constexpr size_t kKiB = 1024, kMiB = 1024 * kKiB;

// Keeps nothing, so that what grows is the reader's.
class Dropping : public MessageSink, public VerdictSink {
 public:
  uint64_t body_bytes = 0;  // of replies
  void on_request_head(const ConnectionFacts&, ExchangeId, const RequestHead&) override {}
  void on_response_head(const ConnectionFacts&, ExchangeId, const ResponseHead&) override {}
  void on_body(ExchangeId, Side side, std::span<const uint8_t> bytes, uint64_t) override {
    if (side == Side::kResponse) body_bytes += bytes.size();
  }
  void on_event_data(ExchangeId, Side, std::span<const uint8_t> bytes, uint64_t) override {
    body_bytes += bytes.size();
  }
  void on_event_end(ExchangeId, Side, const EventEnd&) override {}
  void on_message_end(ExchangeId, Side, const MessageEnd&) override {}
  void on_exchange_end(ExchangeId, const ExchangeEnd&) override {}
  void set_verdict(uint64_t, Verdict) override {}
};

class Bounds : public ::testing::Test {
 protected:
  Limits limits;
  Dropping sink;
  std::unique_ptr<ConnectionReaders> readers;
  ConnectionFacts facts = client_facts();
  uint64_t now = 1, offsets[2] = {0, 0};
  size_t before = 0, peak = 0;

  void begin() {
    readers = std::make_unique<ConnectionReaders>(limits, sink, sink);
    readers->on_open(facts);
    before = peak = heap_bytes();
  }
  void send(Direction direction, std::string_view bytes) {
    uint64_t& offset = offsets[direction == Direction::kRead];
    readers->on_chunk(facts, direction, {bytes_of(bytes), offset, ++now});
    offset += bytes.size();
    peak = std::max(peak, heap_bytes());
  }
  void asks(std::string_view bytes) { send(Direction::kWrite, bytes); }
  void replies(std::string_view bytes) { send(Direction::kRead, bytes); }
  void replies_forever(std::string_view block, size_t total) {
    for (size_t sent = 0; sent < total; sent += block.size()) replies(block);
  }
  void ask_and_reply(std::string_view head) {
    asks("POST /v1/x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}");
    replies(head);
  }
  // What was kept at most; nothing is when the connection is over.
  size_t kept() {
    readers->on_end(facts, EndReason::kClosed, ++now);
    EXPECT_EQ(readers->counters().exchanges_begun, readers->counters().exchanges_ended);
    EXPECT_EQ(readers->decoder_bytes(), 0U);
    const StageBooks& books = readers->books();
    EXPECT_EQ(books.bytes_in, books.bytes_out + books.bytes_lost);
    readers.reset();
    return peak - before;
  }
};

const std::string kBlock(64 * kKiB, 'x');

TEST_F(Bounds, AnEndlessField) {
  begin();
  asks("GET / HTTP/1.1\r\nX: ");
  for (int i = 0; i < 1024; ++i) asks(kBlock);
  // A string grows by doubling.
  EXPECT_LT(kept(), 2 * limits.head_bytes + 64 * kKiB);
}

TEST_F(Bounds, EndlessFields) {
  std::string fields;
  while (fields.size() < kBlock.size()) fields += "X-Field: value\r\nContent-Length: 3\r\n";
  begin();
  asks("GET / HTTP/1.1\r\n");
  for (int i = 0; i < 1024; ++i) asks(fields);
  EXPECT_LT(kept(), 2 * limits.head_bytes + 64 * kKiB);
}

TEST_F(Bounds, EmptyLinesWithoutEnd) {
  const std::string lines(64 * kKiB, '\n');
  begin();
  asks("GET / HTTP/1.1\r\n\r\n");
  for (int i = 0; i < 64; ++i) asks(lines);
  EXPECT_LT(kept(), 16 * kKiB);
}

TEST_F(Bounds, AChunkOfATebibyte) {
  begin();
  ask_and_reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000\r\n");
  replies_forever(kBlock, 64 * kMiB);
  EXPECT_EQ(sink.body_bytes, 64 * kMiB);
  EXPECT_LT(kept(), 64 * kKiB);
}

TEST_F(Bounds, AChunkLineAndTrailersWithoutEnd) {
  for (const char* head : {"1;x=", "0\r\nTrailer: ", "0000000000000000"}) {
    SCOPED_TRACE(head);
    begin();
    ask_and_reply(std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n") + head);
    replies_forever(kBlock, 16 * kMiB);
    EXPECT_LT(kept(), 64 * kKiB);
  }
}

TEST_F(Bounds, AnEndlessLineOfEveryStream) {
  for (const char* type : {"text/event-stream", "application/x-ndjson"})
    for (const char* line : {"data: ", "event: ", "id: ", ": ", ""}) {
      SCOPED_TRACE(std::string(type) + " " + line);
      begin();
      ask_and_reply(std::string("HTTP/1.1 200 OK\r\nContent-Type: ") + type + "\r\n\r\n" + line);
      replies_forever(kBlock, 16 * kMiB);
      EXPECT_LT(kept(), limits.sse_name_bytes * 2 + 16 * kKiB);
    }
}

TEST_F(Bounds, AnEventOfManyLines) {
  std::string lines;
  while (lines.size() < 64 * kKiB) lines += "event: n\ndata: x\n";
  begin();
  ask_and_reply("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
  replies_forever(lines, 16 * kMiB);
  EXPECT_LT(kept(), 16 * kKiB);
}

TEST_F(Bounds, AMessageOfFourGibibytes) {
  begin();
  ask_and_reply(std::string("HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\n\r\n") +
                std::string("\0\xff\xff\xff\xff", 5));
  replies_forever(kBlock, 64 * kMiB);
  EXPECT_EQ(sink.body_bytes, 64 * kMiB);
  EXPECT_LT(kept(), 16 * kKiB);
}

// deflate's best is 1032:1. One message that never stops growing, and many that stay below the floor each.
TEST_F(Bounds, ABombOfGrpcMessages) {
  limits.decompress_floor_bytes = 4 * kMiB;
  Gzip gzip;
  const std::string zeros(16 * kMiB, '\0');
  std::string one = gzip.add(zeros);
  one += gzip.add(zeros);
  one += gzip.finish();
  Gzip small;
  const std::string megabyte(kMiB, '\0');
  std::string part = small.add(megabyte);
  part += small.finish();
  const auto message = [](const std::string& coded) { return '\1' + h2::be(coded.size(), 4) + coded; };
  std::string many;
  for (int i = 0; i < 64; ++i) many += message(part);
  for (const std::string& body : {message(one), many}) {
    sink.body_bytes = 0;
    h2::Encoder client, server;
    begin();
    asks(h2::kPreface + h2::kSettings + client.headers(1, h2::post("/x")));
    replies(h2::join(
        {h2::kSettings, server.headers(1, h2::ok("application/grpc", {{"grpc-encoding", "gzip"}}))}));
    for (size_t at = 0; at < body.size(); at += 16'000) replies(h2::data(1, body.substr(at, 16'000)));
    EXPECT_EQ(readers->counters().decode_errors, 1U);
    EXPECT_GE(sink.body_bytes, limits.decompress_floor_bytes);
    EXPECT_LT(sink.body_bytes, 2 * limits.decompress_floor_bytes);
    EXPECT_LT(kept(), 256 * kKiB);
  }
}

TEST_F(Bounds, HunterOfPreludesAndHeads) {
  // Behind a loss: bytes that look like the begin of a message all the time.
  std::string block;
  while (block.size() < 64 * kKiB) block += std::string("\0\0\0\x20\0\0\0\x08HTTP/1.1 2\nHTTP/1.", 26);
  for (const char* type : {"application/vnd.amazon.eventstream", "application/json"}) {
    SCOPED_TRACE(type);
    begin();
    ask_and_reply(std::string("HTTP/1.1 200 OK\r\nContent-Type: ") + type +
                  "\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n");
    readers->on_gap(facts, Direction::kRead, 0, ++now);
    replies_forever(block, 8 * kMiB);
    EXPECT_LT(kept(), 2 * limits.head_bytes + 64 * kKiB);
  }
}

TEST_F(Bounds, TenThousandReferencesToTheHeaderTable) {
  h2::Encoder client;
  std::string block = client.block(h2::post("/v1/x"));
  block += client.block({{"x-bomb", std::string(3900, 'z')}});
  begin();
  asks(h2::kPreface + h2::kSettings + h2::frame(h2::FrameType::kHeaders, h2::kEndStream, 1, block));
  // Each byte is a field of four thousand.
  asks(h2::frame(h2::FrameType::kContinuation, 0, 1, std::string(10'000, '\xbe')));
  for (int i = 0; i < 200; ++i)
    asks(h2::frame(h2::FrameType::kContinuation, 0, 1, std::string(10'000, '\xbe')));
  EXPECT_EQ(readers->counters().oversized_heads, 0U);  // it has not ended
  EXPECT_LT(kept(), 3 * limits.head_bytes + 2 * limits.http2_table_bytes);
}

TEST_F(Bounds, AHeaderTableOfAMebibyte) {
  begin();
  h2::Encoder client(kMiB);
  client.resize(kMiB);
  std::string bytes = h2::kPreface + h2::kSettings;
  for (uint32_t i = 0; i < 600; ++i) {
    h2::Fields fields = h2::get("/" + std::to_string(i));
    fields.emplace_back("x-" + std::to_string(i), std::string(1500, 'v'));
    asks(bytes + client.headers(1 + 2 * i, fields, h2::kEndHeaders | h2::kEndStream));
    bytes.clear();
  }
  // The table as bytes of RFC 7541 4.1, the streams that wait, what the allocator adds.
  EXPECT_LT(kept(), 3 * limits.http2_table_bytes + 600 * 4 * kKiB);
}

TEST_F(Bounds, StreamsThatNeverEnd) {
  limits.http2_streams = 100;
  begin();
  h2::Encoder client;
  asks(h2::kPreface + h2::kSettings);
  for (uint32_t i = 0; i < 200; ++i) asks(client.headers(1 + 2 * i, h2::post("/x")));
  const size_t full = peak;
  for (uint32_t i = 200; i < 20'000; ++i) asks(client.headers(1 + 2 * i, h2::post("/x")));
  EXPECT_LT(peak, full + 64 * kKiB);
  EXPECT_GT(readers->counters().http2_streams_evicted, 19'000U);
  kept();
}

TEST_F(Bounds, AFrameOf16MebibytesAndItsPadding) {
  begin();
  h2::Encoder client, server;
  asks(h2::kPreface + h2::kSettings + client.headers(1, h2::get("/"), h2::kEndHeaders | h2::kEndStream));
  replies(h2::kSettings + server.headers(1, h2::ok()));
  for (int i = 0; i < 4; ++i) {
    replies(std::string("\xff\xff\xff\x00\x00\x00\x00\x00\x01", 9));
    for (size_t left = 0xffffff; left > 0; left -= std::min(left, kBlock.size()))
      replies(std::string_view(kBlock).substr(0, std::min(left, kBlock.size())));
  }
  EXPECT_EQ(sink.body_bytes, 4 * size_t{0xffffff});
  EXPECT_LT(kept(), 64 * kKiB);
}

TEST_F(Bounds, AWebSocketFrameOfAGibibyte) {
  begin();
  asks("GET /v1/responses HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n");
  replies("HTTP/1.1 101 X\r\nUpgrade: websocket\r\n\r\n");
  replies(std::string("\x81\x7f\0\0\0\0\x40\0\0\0", 10) + R"({"type":")");
  replies_forever(kBlock, 64 * kMiB);
  EXPECT_LT(kept(), 256 * kKiB);
}

TEST_F(Bounds, ControlFramesWithoutEnd) {
  std::string pings;
  while (pings.size() < 64 * kKiB) pings += std::string("\x89\x02hi\x01\x01{", 7);
  begin();
  asks("GET /v1/responses HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n");
  replies("HTTP/1.1 101 X\r\nUpgrade: websocket\r\n\r\n");
  replies_forever(pings, 8 * kMiB);
  EXPECT_LT(kept(), 256 * kKiB);
}

}  // namespace
}  // namespace llmtap::test
