// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "http2_wire.h"
#include "recorder.h"
#include "websocket_wire.h"

namespace llmtap::test::h2 {
namespace {

using ::testing::ElementsAreArray;
using Lines = std::vector<std::string>;

constexpr uint8_t kLast = kEndHeaders | kEndStream;

// A connection as both peers write it.
struct Wire {
  Encoder client, server;
  Script script;
  Wire() {
    script = {ask(kPreface + kSettings), reply(kSettings + frame(FrameType::kSettings, http2::kAck, 0, ""))};
  }
  Wire& asks(std::string bytes) { return add(ask(std::move(bytes))); }
  Wire& replies(std::string bytes) { return add(reply(std::move(bytes))); }
  Wire& add(Step step) {
    script.push_back(std::move(step));
    return *this;
  }
  Wire& close(EndReason reason = EndReason::kClosed) { return add(close_by(reason)); }
};

struct Case {
  std::string name;
  Script script;
  Lines want;
};

std::string gzip(std::string_view text, int window = 15 + 16) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()) + 32, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string grpc(std::string_view message, bool compressed = false) {
  return be(compressed ? 1 : 0, 1) + be(message.size(), 4) + std::string(message);
}

Case call() {
  Wire w;
  w.asks(w.client.headers(1, post("/v1/x")) + data(1, "{\"a\":1}", kEndStream));
  w.replies(w.server.headers(1, ok()) + data(1, "hel") + data(1, "lo", kEndStream)).close();
  return {"Call",
          w.script,
          {"0 > head POST /v1/x api.example", "0 > body {\"a\":1}", "0 > end 7/7 ok", "0 < head 200",
           "0 < body hello", "0 < end 5/5 ok", "0 complete ok"}};
}

Case interleaved() {
  Wire w;
  w.asks(join(
      {w.client.headers(1, post("/a")), w.client.headers(3, get("/b"), kLast), data(1, "xy", kEndStream)}));
  w.replies(join({w.server.headers(3, ok()), w.server.headers(1, ok()), data(3, "B1"),
                  data(1, "A", kEndStream), data(3, "", kEndStream)}))
      .close();
  return {"Interleaved",
          w.script,
          {"0 > head POST /a api.example", "1 > head GET /b api.example", "1 > end 0/0 ok", "0 > body xy",
           "0 > end 2/2 ok", "1 < head 200", "0 < head 200", "1 < body B1", "0 < body A", "0 < end 1/1 ok",
           "0 complete ok", "1 < end 2/2 ok", "1 complete ok"}};
}

Case padding_and_priority() {
  Wire w;
  const std::string block = w.client.block(post("/a"));
  w.asks(frame(FrameType::kHeaders, kEndHeaders | kPadded | http2::kPriorityFields, 1,
               padded(be(0x80000000, 4) + "\x10" + block, 7)) +
         frame(FrameType::kPriority, 0, 1, be(0, 5)) +
         frame(FrameType::kData, kPadded, 1, padded("abc", 200)) +
         frame(FrameType::kData, kPadded | kEndStream, 1, padded("d", 0)));
  w.replies(frame(FrameType::kPing, 0, 0, be(1, 8)) + w.server.headers(1, ok(), kLast)).close();
  return {"PaddingAndPriority",
          w.script,
          {"0 > head POST /a api.example", "0 > body abcd", "0 > end 4/4 ok", "0 < head 200",
           "0 < end 0/0 ok", "0 complete ok"}};
}

Case continuation() {
  Wire w;
  const std::string block = w.client.block(post("/a"));
  w.asks(frame(FrameType::kHeaders, kEndStream, 1, block.substr(0, 3)) +
         frame(FrameType::kContinuation, 0, 1, "") +
         frame(FrameType::kContinuation, 0, 1, block.substr(3, 4)) +
         frame(FrameType::kContinuation, kEndHeaders, 1, block.substr(7)));
  w.replies(w.server.headers(1, ok(), kLast)).close();
  return {
      "Continuation",
      w.script,
      {"0 > head POST /a api.example", "0 > end 0/0 ok", "0 < head 200", "0 < end 0/0 ok", "0 complete ok"}};
}

Case informational_and_trailers() {
  Wire w;
  w.asks(join({w.client.headers(1, post("/a")), data(1, "q"), w.client.headers(1, {{"x-sum", "1"}}, kLast)}));
  w.replies(join({w.server.headers(1, {{":status", "103"}, {"link", "x"}}), w.server.headers(1, ok()),
                  data(1, "r"), w.server.headers(1, {{"grpc-status", "0"}, {"grpc-message", ""}}, kLast)}))
      .close();
  return {"InformationalAndTrailers",
          w.script,
          {"0 > head POST /a api.example", "0 > body q", "0 > trailers {x-sum|1}", "0 > end 1/1 ok",
           "0 < head 200", "0 < body r", "0 < trailers {grpc-status|0} {grpc-message|}", "0 < end 1/1 ok",
           "0 complete ok"}};
}

Case events() {
  Wire w;
  w.asks(w.client.headers(1, get("/a"), kLast));
  w.replies(w.server.headers(1, ok("text/event-stream")) + data(1, "data: on") +
            data(1, "e\n\nevent: x\ndata: two\n\n") + data(1, "", kEndStream))
      .close();
  return {"Events",
          w.script,
          {"0 > head GET /a api.example", "0 > end 0/0 ok", "0 < head 200", "0 < data one", "0 < event [] 3",
           "0 < data two", "0 < event [x] 3", "0 < end 31/31 ok", "0 complete ok"}};
}

Case coded() {
  Wire w;
  const std::string body = gzip("{\"z\":true}");
  w.asks(w.client.headers(1, get("/a"), kLast));
  w.replies(w.server.headers(1, ok("application/json", {{"content-encoding", "gzip"}})) +
            data(1, body, kEndStream))
      .close();
  return {"ContentEncoding",
          w.script,
          {"0 > head GET /a api.example", "0 > end 0/0 ok", "0 < head 200", "0 < body {\"z\":true}",
           "0 < end " + std::to_string(body.size()) + "/10 ok", "0 complete ok"}};
}

Case grpc_messages() {
  Wire w;
  const std::string asked = grpc("ask") + grpc(""),
                    answered = grpc(gzip("first"), true) + grpc("plain") + grpc(gzip("x"), true);
  w.asks(w.client.headers(1, post("/xai_api.Chat/GetCompletion",
                                  {{"content-type", "application/grpc+proto"}, {"te", "trailers"}})) +
         data(1, asked, kEndStream));
  w.replies(join({w.server.headers(1, ok("application/grpc", {{"grpc-encoding", "gzip"}})),
                  data(1, answered.substr(0, 7)), data(1, answered.substr(7)),
                  w.server.headers(1, {{"grpc-status", "0"}}, kLast)}))
      .close();
  const std::string size = std::to_string(answered.size());
  return {"GrpcMessages",
          w.script,
          {"0 > head POST /xai_api.Chat/GetCompletion api.example", "0 > data ask", "0 > event [] 3",
           "0 > event [] 0", "0 > end 13/13 ok", "0 < head 200", "0 < data first", "0 < event [] 5",
           "0 < data plain", "0 < event [] 5", "0 < data x", "0 < event [] 1", "0 < trailers {grpc-status|0}",
           "0 < end " + size + "/" + size + " ok", "0 complete ok"}};
}

Case grpc_deflate_and_cut() {
  Wire w;
  const std::string body = grpc(gzip("deflated", 15), true) + grpc("whole").substr(0, 7);
  w.asks(w.client.headers(1, get("/s/m"), kLast));
  w.replies(w.server.headers(1, ok("application/grpc", {{"grpc-encoding", "deflate"}})) + data(1, body) +
            reset(1, 2))
      .close();
  return {
      "GrpcDeflateAndCut",
      w.script,
      {"0 > head GET /s/m api.example", "0 > end 0/0 ok", "0 < head 200", "0 < data deflated",
       "0 < event [] 8", "0 < data wh", "0 < event [] 2 incomplete", "0 server_aborted truncated after 28"}};
}

Case push_is_ignored() {
  Wire w;
  w.asks(w.client.headers(1, get("/a"), kLast));
  w.replies(join({frame(FrameType::kPushPromise, kEndHeaders, 1, be(2, 4) + w.server.block(get("/pushed"))),
                  w.server.headers(1, ok()), w.server.headers(2, ok("text/css")), data(2, "css", kEndStream),
                  data(1, "x", kEndStream)}))
      .close();
  return {"PushIsIgnored",
          w.script,
          {"0 > head GET /a api.example", "0 > end 0/0 ok", "0 < head 200", "0 < body x", "0 < end 1/1 ok",
           "0 complete ok"}};
}

Case client_resets() {
  Wire w;
  w.asks(w.client.headers(1, get("/a"), kLast))
      .replies(w.server.headers(1, ok("text/event-stream")) + data(1, "data: a\n\ndata: b"));
  w.asks(reset(1)).replies(data(1, "late\n\n", kEndStream));
  w.asks(w.client.headers(3, get("/b"), kLast)).replies(w.server.headers(3, ok(), kLast)).close();
  return {
      "ClientResets",
      w.script,
      {"0 > head GET /a api.example", "0 > end 0/0 ok", "0 < head 200", "0 < data a", "0 < event [] 1",
       "0 < data b", "0 < event [] 1 incomplete", "0 client_aborted truncated after 16",
       "1 > head GET /b api.example", "1 > end 0/0 ok", "1 < head 200", "1 < end 0/0 ok", "1 complete ok"}};
}

Case server_resets() {
  Wire w;
  w.asks(join({w.client.headers(1, post("/a")), data(1, "x"), w.client.headers(3, post("/b"))}));
  w.replies(w.server.headers(1, ok()) + data(1, "part") + reset(1, 2) + reset(3, 7)).close();
  return {"ServerResets",
          w.script,
          {"0 > head POST /a api.example", "0 > body x", "1 > head POST /b api.example", "0 < head 200",
           "0 < body part", "0 server_aborted truncated after 4", "1 no_response truncated"}};
}

// RFC 9113 8.1: a whole reply, then NO_ERROR: no more of the request, please.
Case early_reply() {
  Wire w;
  w.asks(w.client.headers(1, post("/a")) + data(1, "part"));
  w.replies(w.server.headers(1, {{":status", "413"}}, kLast) + reset(1, 0)).asks(data(1, "more")).close();
  return {
      "EarlyReply",
      w.script,
      {"0 > head POST /a api.example", "0 > body part", "0 < head 413", "0 < end 0/0 ok", "0 complete ok"}};
}

Case goaway_refuses() {
  Wire w;
  w.asks(join({w.client.headers(1, get("/a"), kLast), w.client.headers(3, get("/b"), kLast),
               w.client.headers(5, get("/c"), kLast)}));
  w.replies(w.server.headers(1, ok()) + goaway(3) + data(1, "x", kEndStream)).close(EndReason::kPeerClosed);
  return {"GoawayRefuses",
          w.script,
          {"0 > head GET /a api.example", "0 > end 0/0 ok", "1 > head GET /b api.example", "1 > end 0/0 ok",
           "2 > head GET /c api.example", "2 > end 0/0 ok", "0 < head 200", "2 no_response truncated",
           "0 < body x", "0 < end 1/1 ok", "0 complete ok", "1 no_response truncated"}};
}

Case closed_by_the_client() {
  Wire w;
  w.asks(w.client.headers(1, get("/a"), kLast)).replies(w.server.headers(1, ok()) + data(1, "part")).close();
  return {"ClosedByTheClient",
          w.script,
          {"0 > head GET /a api.example", "0 > end 0/0 ok", "0 < head 200", "0 < body part",
           "0 client_aborted truncated after 4"}};
}

// curl leaves with the last byte that the head promised, before the frame that ends the stream.
Case leaves_with_the_last_byte() {
  Wire w;
  w.asks(w.client.headers(1, get("/a"), kLast))
      .replies(w.server.headers(1, ok("text/plain", {{"content-length", "4"}})) + data(1, "four"));
  w.asks(w.client.headers(3, get("/b"), kLast))
      .replies(w.server.headers(3, ok("text/plain", {{"content-length", "4"}})) + data(3, "four"));
  w.asks(reset(3)).close();
  return {"LeavesWithTheLastByte",
          w.script,
          {"0 > head GET /a api.example", "0 > end 0/0 ok", "0 < head 200", "0 < body four",
           "1 > head GET /b api.example", "1 > end 0/0 ok", "1 < head 200", "1 < body four", "1 < end 4/4 ok",
           "1 complete ok", "0 < end 4/4 ok", "0 complete ok"}};
}

Case closed_by_the_server() {
  Wire w;
  w.asks(w.client.headers(1, get("/a"), kLast))
      .replies(w.server.headers(1, ok()) + data(1, "part"))
      .add(end_of_file())
      .close();
  return {"ClosedByTheServer",
          w.script,
          {"0 > head GET /a api.example", "0 > end 0/0 ok", "0 < head 200", "0 < body part",
           "0 server_aborted truncated after 4"}};
}

Case websocket() {
  Wire w;
  w.asks(w.client.headers(1, {{":method", "CONNECT"},
                              {":protocol", "websocket"},
                              {":scheme", "https"},
                              {":path", "/ws"},
                              {":authority", "h"}}));
  w.replies(w.server.headers(1, {{":status", "200"}}) + data(1, "\x81\x01x"))
      .asks(data(1, "frames", kEndStream))
      .close();
  return {"WebSocket", w.script, {"0 > head CONNECT /ws h", "0 < head 200", "0 upgraded ok"}};
}

// RFC 8441, a call beside it on another stream.
Case websocket_calls() {
  Wire w;
  Deflater client(true);
  const std::string ask_text = R"({"type":"response.create","model":"m"})", small = client(ask_text);
  const std::string created = R"({"type":"response.created","response":{"id":"r"}})",
                    done = R"({"type":"response.completed","response":{"id":"r"}})";
  w.asks(w.client.headers(1, {{":method", "CONNECT"},
                              {":protocol", "websocket"},
                              {":scheme", "https"},
                              {":path", "/v1/responses"},
                              {":authority", "h"},
                              {"sec-websocket-version", "13"}}));
  w.replies(w.server.headers(1, {{":status", "200"}, {"sec-websocket-extensions", "permessage-deflate"}}));
  w.asks(data(1, sent(small, kFin | kCompressed | kText)) + w.client.headers(3, get("/b"), kLast));
  w.replies(data(1, got(created)) + w.server.headers(3, ok(), kLast) + data(1, got(done)));
  w.asks(data(1, sent(client(ask_text), kFin | kCompressed | kText)));
  w.replies(frame(FrameType::kRstStream, 0, 1, be(8, 4))).close();
  const auto n = [](size_t number) { return std::to_string(number); };
  return {"WebSocketCalls",
          w.script,
          {"0 > head CONNECT /v1/responses h",
           "0 < head 200",
           "0 upgraded ok",
           "1 > head GET /v1/responses h",
           "1 > data " + ask_text,
           "1 > event [] " + n(ask_text.size()),
           "1 > end " + n(small.size()) + "/" + n(ask_text.size()) + " ok",
           "2 > head GET /b api.example",
           "2 > end 0/0 ok",
           "1 < head 200",
           "1 < data " + created,
           "1 < event [] " + n(created.size()),
           "2 < head 200",
           "2 < end 0/0 ok",
           "2 complete ok",
           "1 < data " + done,
           "1 < event [] " + n(done.size()),
           "1 < end " + n(created.size() + done.size()) + "/" + n(created.size() + done.size()) + " ok",
           "1 complete ok",
           "3 > head GET /v1/responses h",
           "3 > data " + ask_text,
           "3 > event [] " + n(ask_text.size()),
           "3 > end 5/" + n(ask_text.size()) + " ok",
           "3 no_response truncated"}};
}

Case upgrade_from_http1() {
  Encoder client, server;
  Script script = {ask("GET /v1/models HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, "
                       "HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"),
                   reply("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" +
                         kSettings + server.headers(1, ok()) + data(1, "on"))};
  script.push_back(ask(kPreface + kSettings + client.headers(3, get("/b"), kLast)));
  script.push_back(reply(data(1, "e", kEndStream) + server.headers(3, ok(), kLast)));
  script.push_back(close_by(EndReason::kClosed));
  return {"UpgradeFromHttp1",
          script,
          {"0 > head GET /v1/models h", "0 > end 0/0 ok", "0 < head 200", "0 < body on",
           "1 > head GET /b api.example", "1 > end 0/0 ok", "0 < body e", "0 < end 3/3 ok", "0 complete ok",
           "1 < head 200", "1 < end 0/0 ok", "1 complete ok"}};
}

Case unknown_frames() {
  Wire w;
  w.asks(frame(static_cast<FrameType>(0x10), 0, 0, be(1, 4) + "u=1") +
         frame(static_cast<FrameType>(0xfe), 0xff, 9, "?") +
         frame(FrameType::kWindowUpdate, 0, 0, be(1000, 4)) + w.client.headers(1, get("/a"), kLast));
  w.replies(w.server.headers(1, ok(), kLast)).close();
  return {
      "UnknownFrames",
      w.script,
      {"0 > head GET /a api.example", "0 > end 0/0 ok", "0 < head 200", "0 < end 0/0 ok", "0 complete ok"}};
}

Case bad_header_block() {
  Wire w;
  w.asks(frame(FrameType::kHeaders, kLast, 1, "\x83\x84\xfe") + w.client.headers(3, get("/b"), kLast));
  w.replies(reset(1, 9) + w.server.headers(3, ok(), kLast)).close();
  return {"BadHeaderBlock",
          w.script,
          {"0 > head POST / ", "0 > end 0/0 ok", "1 > head GET /b api.example", "1 > end 0/0 ok",
           "0 no_response parse", "1 < head 200", "1 < end 0/0 ok", "1 complete ok"}};
}

class Http2Test : public ::testing::TestWithParam<Case> {};

TEST_P(Http2Test, ReadsTheSameHoweverItIsSplit) {
  const Case& row = GetParam();
  ASSERT_THAT(run(row.script).lines, ElementsAreArray(row.want));
  for_each_split(row.script, [&](const Cutter& cutter, const std::string& what) {
    ASSERT_EQ(run(row.script, client_facts(), cutter).lines, row.want) << what;
  });
}

TEST_P(Http2Test, ReadsTheSameOnTheServersSide) {
  EXPECT_THAT(run(server_side(GetParam().script), client_facts(Role::kServer)).lines.front(),
              GetParam().want.front());
}

TEST_P(Http2Test, BooksBalance) {
  const Outcome result = run(GetParam().script);
  EXPECT_EQ(result.books.bytes_in, result.books.bytes_out + result.books.bytes_lost);
  EXPECT_EQ(result.books.items_in, result.books.items_out + result.books.items_lost);
  EXPECT_EQ(result.counters.exchanges_begun, result.counters.exchanges_ended);
  EXPECT_EQ(result.decoder_bytes, 0U);
}

INSTANTIATE_TEST_SUITE_P(Cases, Http2Test,
                         ::testing::Values(call(), interleaved(), padding_and_priority(), continuation(),
                                           informational_and_trailers(), events(), coded(), grpc_messages(),
                                           grpc_deflate_and_cut(), push_is_ignored(), client_resets(),
                                           server_resets(), early_reply(), goaway_refuses(),
                                           closed_by_the_client(), closed_by_the_server(),
                                           leaves_with_the_last_byte(), websocket(), websocket_calls(),
                                           upgrade_from_http1(), unknown_frames(), bad_header_block()),
                         [](const auto& row) { return row.param.name; });

TEST(Http2, FieldsArriveAsSent) {
  Wire w;
  w.asks(w.client.headers(
      1,
      post("/v1/x?q=1",
           {{"content-type", "application/json"}, {"cookie", "a=1"}, {"cookie", "b=2"}, {"x-blank", " v "}}),
      kLast));
  const Outcome result = run(w.script, client_facts(), no_cut, {}, true);
  EXPECT_EQ(result.lines.front(),
            "0 > head POST /v1/x?q=1 api.example {content-type|application/json} {cookie|a=1} {cookie|b=2} "
            "{x-blank|v}");
}

// A read of the reply in one thread is seen before the write of its request returns in another.
TEST(Http2, AReplyThatOvertakesItsRequestWaits) {
  Wire w;
  const std::string request = w.client.headers(1, get("/a"), kLast), head = w.server.headers(1, ok());
  w.replies(head + data(1, "x")).replies(data(1, "y", kEndStream));
  Recorder recorder;
  ConnectionReaders readers({}, recorder, recorder);
  const ConnectionFacts facts = client_facts();
  readers.on_open(facts);
  readers.on_chunk(facts, Direction::kWrite, {bytes_of(kPreface + kSettings), 0, 1});
  readers.on_chunk(facts, Direction::kRead, {bytes_of(kSettings), 0, 2});
  readers.on_chunk(facts, Direction::kRead, {bytes_of(head + data(1, "x")), 0, 10});
  readers.on_chunk(facts, Direction::kRead, {bytes_of(data(1, "y", kEndStream)), 0, 11});
  EXPECT_TRUE(recorder.lines.empty());
  readers.on_chunk(facts, Direction::kWrite, {bytes_of(request), 0, 9});
  EXPECT_THAT(recorder.lines,
              ElementsAreArray(Lines{"0 > head GET /a api.example", "0 > end 0/0 ok", "0 < head 200",
                                     "0 < body xy", "0 < end 2/2 ok", "0 complete ok"}));
}

}  // namespace
}  // namespace llmtap::test::h2
