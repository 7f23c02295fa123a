// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "recorder.h"

namespace llmtap::test {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using Lines = std::vector<std::string>;

const std::string kGet = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const std::string kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

struct Case {
  std::string name;
  Script script;
  Lines want;
};

class Http1Test : public ::testing::TestWithParam<Case> {};

TEST_P(Http1Test, ReadsTheSameHoweverItIsSplit) {
  const Case& row = GetParam();
  ASSERT_THAT(run(row.script).lines, ElementsAreArray(row.want));
  for_each_split(row.script, [&](const Cutter& cutter, const std::string& what) {
    ASSERT_EQ(run(row.script, client_facts(), cutter).lines, row.want) << what;
  });
}

TEST_P(Http1Test, BooksBalance) {
  const Outcome result = run(GetParam().script);
  EXPECT_EQ(result.books.bytes_in, result.books.bytes_out + result.books.bytes_lost);
  EXPECT_EQ(result.books.items_in, result.books.items_out + result.books.items_lost);
  EXPECT_EQ(result.counters.exchanges_begun, result.counters.exchanges_ended);
}

const Case kCases[] = {
    {"ContentLength",
     {ask("POST /v1/x HTTP/1.1\r\nHost: api.example\r\nContent-Length: 3\r\n\r\nabc"), reply(kOk),
      close_by(EndReason::kClosed)},
     {"0 > head POST /v1/x api.example", "0 > body abc", "0 > end 3/3 ok", "0 < head 200", "0 < body hi",
      "0 < end 2/2 ok", "0 complete ok"}},
    {"KeepAlive",
     {ask(kGet), reply(kOk), ask(kGet), reply(kOk), close_by(EndReason::kClosed)},
     {"0 > head GET /a h", "0 > end 0/0 ok", "0 < head 200", "0 < body hi", "0 < end 2/2 ok", "0 complete ok",
      "1 > head GET /a h", "1 > end 0/0 ok", "1 < head 200", "1 < body hi", "1 < end 2/2 ok",
      "1 complete ok"}},
    {"ChunkedExtensionsTrailers",
     {ask(kGet),
      reply("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;a=\"x;y\"\r\nabc\r\n0002 "
            "\r\nde\r\n0\r\nX: y\r\nLong: z\r\n\r\n"),
      ask(kGet), reply(kOk), close_by(EndReason::kClosed)},
     {"0 > head GET /a h", "0 > end 0/0 ok", "0 < head 200", "0 < body abcde", "0 < end 5/5 ok",
      "0 complete ok", "1 > head GET /a h", "1 > end 0/0 ok", "1 < head 200", "1 < body hi", "1 < end 2/2 ok",
      "1 complete ok"}},
    {"BareLineFeeds",
     {ask("POST /a HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n3\nabc\n0\n\n"),
      reply("HTTP/1.1 200\nContent-Length: 2\n\nhi"), close_by(EndReason::kClosed)},
     {"0 > head POST /a h", "0 > body abc", "0 > end 3/3 ok", "0 < head 200", "0 < body hi", "0 < end 2/2 ok",
      "0 complete ok"}},
    {"CloseDelimited",
     {ask(kGet), reply("HTTP/1.0 200 OK\r\n\r\nall of it"), end_of_file(), close_by(EndReason::kClosed)},
     {"0 > head GET /a h", "0 > end 0/0 ok", "0 < head 200", "0 < body all of it", "0 < end 9/9 ok",
      "0 complete ok"}},
    {"CloseDelimitedCutByTheClient",
     {ask(kGet), reply("HTTP/1.0 200 OK\r\n\r\npart"), close_by(EndReason::kClosed)},
     {"0 > head GET /a h", "0 > end 0/0 ok", "0 < head 200", "0 < body part",
      "0 client_aborted truncated after 4"}},
    {"Continue",
     {ask("POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"),
      reply("HTTP/1.1 100 Continue\r\n\r\n"), ask("xy"),
      reply("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + kOk), close_by(EndReason::kClosed)},
     {"0 > head POST /a h", "0 > body xy", "0 > end 2/2 ok", "0 < head 200", "0 < body hi", "0 < end 2/2 ok",
      "0 complete ok"}},
    {"Head204And304HaveNoBody",
     {ask("HEAD /a HTTP/1.1\r\n\r\n"), reply("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n"),
      ask("GET /b HTTP/1.1\r\n\r\n"), reply("HTTP/1.1 204 No Content\r\n\r\n"),
      ask("GET /c HTTP/1.1\r\n\r\n"), reply("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"),
      close_by(EndReason::kClosed)},
     {"0 > head HEAD /a ", "0 > end 0/0 ok", "0 < head 200", "0 < end 0/0 ok", "0 complete ok",
      "1 > head GET /b ", "1 > end 0/0 ok", "1 < head 204", "1 < end 0/0 ok", "1 complete ok",
      "2 > head GET /c ", "2 > end 0/0 ok", "2 < head 304", "2 < end 0/0 ok", "2 complete ok"}},
    {"Pipelined",
     {ask("GET /a HTTP/1.1\r\n\r\nHEAD /b HTTP/1.1\r\n\r\nGET /c HTTP/1.1\r\n\r\n"),
      reply(kOk + "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + kOk), close_by(EndReason::kClosed)},
     {"0 > head GET /a ", "0 > end 0/0 ok", "1 > head HEAD /b ", "1 > end 0/0 ok", "2 > head GET /c ",
      "2 > end 0/0 ok", "0 < head 200", "0 < body hi", "0 < end 2/2 ok", "0 complete ok", "1 < head 200",
      "1 < end 0/0 ok", "1 complete ok", "2 < head 200", "2 < body hi", "2 < end 2/2 ok", "2 complete ok"}},
    {"EarlyReply",
     {ask("POST /a HTTP/1.1\r\nContent-Length: 6\r\n\r\nabc"),
      reply("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"), ask("def"), close_by(EndReason::kClosed)},
     {"0 > head POST /a ", "0 > body abc", "0 < head 413", "0 < end 0/0 ok", "0 > body def", "0 > end 6/6 ok",
      "0 complete ok"}},
    {"WebSocketUpgrade",
     {ask("GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"),
      reply("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x03GET"),
      ask("GET / HTTP/1.1\r\n\r\n"), close_by(EndReason::kClosed)},
     {"0 > head GET /ws ", "0 > end 0/0 ok", "0 < head 101", "0 upgraded ok"}},
    {"Connect",
     {ask("CONNECT api.example:443 HTTP/1.1\r\nHost: other\r\n\r\n"),
      reply("HTTP/1.1 200 Established\r\nContent-Length: 4\r\n\r\n"), ask("\x16\x03\x01"),
      close_by(EndReason::kClosed)},
     {"0 > head CONNECT api.example:443 api.example:443", "0 > end 0/0 ok", "0 < head 200", "0 upgraded ok"}},
    {"ConnectRefused",
     {ask("CONNECT a:443 HTTP/1.1\r\n\r\n"), reply("HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nno"),
      close_by(EndReason::kClosed)},
     {"0 > head CONNECT a:443 a:443", "0 > end 0/0 ok", "0 < head 407", "0 < body no", "0 < end 2/2 ok",
      "0 complete ok"}},
    {"AbsoluteForm",
     {ask("GET http://user@api.example:80/v1?q HTTP/1.1\r\nHost: proxy\r\n\r\n"), reply(kOk),
      close_by(EndReason::kClosed)},
     {"0 > head GET http://user@api.example:80/v1?q api.example:80", "0 > end 0/0 ok", "0 < head 200",
      "0 < body hi", "0 < end 2/2 ok", "0 complete ok"}},
    {"TransferEncodingBeatsContentLength",
     {ask("POST /a HTTP/1.1\r\nContent-Length: 100\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"),
      reply(kOk), close_by(EndReason::kClosed)},
     {"0 > head POST /a ", "0 > body x", "0 > end 1/1 ok", "0 < head 200", "0 < body hi", "0 < end 2/2 ok",
      "0 complete ok"}},
    {"SameContentLengthTwice",
     {ask("POST /a HTTP/1.1\r\nContent-Length: 1, 1\r\nContent-Length: 1\r\n\r\nx"), reply(kOk),
      close_by(EndReason::kClosed)},
     {"0 > head POST /a ", "0 > body x", "0 > end 1/1 ok", "0 < head 200", "0 < body hi", "0 < end 2/2 ok",
      "0 complete ok"}},
    {"EmptyLinesBeforeTheRequest",
     {ask("GET /a HTTP/1.1\r\n\r\n"), reply(kOk), ask("\r\n\nGET /b HTTP/1.1\r\n\r\n"), reply(kOk),
      close_by(EndReason::kClosed)},
     {"0 > head GET /a ", "0 > end 0/0 ok", "0 < head 200", "0 < body hi", "0 < end 2/2 ok", "0 complete ok",
      "1 > head GET /b ", "1 > end 0/0 ok", "1 < head 200", "1 < body hi", "1 < end 2/2 ok",
      "1 complete ok"}},
    {"Sse",
     {ask(kGet),
      reply("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: "
            "chunked\r\n\r\n"
            "9\r\ndata: a\n\n\r\n5\r\nevent\r\n12\r\n: b\r\ndata:x\r\n\r\nda\r\n0\r\n\r\n"),
      close_by(EndReason::kClosed)},
     {"0 > head GET /a h", "0 > end 0/0 ok", "0 < head 200", "0 < data a", "0 < event [] 1", "0 < data x",
      "0 < event [b] 1", "0 < end 32/32 ok", "0 complete ok"}},
    {"Ndjson",
     {ask(kGet),
      reply(
          "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n{\"a\":1}\r\n\n{}\n{\"last\":true}"),
      end_of_file(), close_by(EndReason::kClosed)},
     {"0 > head GET /a h", "0 > end 0/0 ok", "0 < head 200", "0 < data {\"a\":1}", "0 < event [] 7",
      "0 < data {}", "0 < event [] 2", "0 < data {\"last\":true}", "0 < event [] 13", "0 < end 26/26 ok",
      "0 complete ok"}},
    {"NoReply",
     {ask(kGet), end_of_file(), close_by(EndReason::kClosed)},
     {"0 > head GET /a h", "0 > end 0/0 ok", "0 no_response truncated"}},
    {"ClientGivesUp",
     {ask(kGet), close_by(EndReason::kClosed)},
     {"0 > head GET /a h", "0 > end 0/0 ok", "0 client_aborted truncated"}},
    {"ClientStopsReading",
     {ask(kGet), reply("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart"), close_by(EndReason::kClosed)},
     {"0 > head GET /a h", "0 > end 0/0 ok", "0 < head 200", "0 < body part",
      "0 client_aborted truncated after 4"}},
    {"ServerCutsShort",
     {ask(kGet), reply("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart"), end_of_file(),
      close_by(EndReason::kClosed)},
     {"0 > head GET /a h", "0 > end 0/0 ok", "0 < head 200", "0 < body part",
      "0 server_aborted truncated after 4"}},
    {"ServerResets",
     {ask(kGet), reply("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart"), close_by(EndReason::kReset)},
     {"0 > head GET /a h", "0 > end 0/0 ok", "0 < head 200", "0 < body part",
      "0 server_aborted truncated after 4"}},
    {"DifferingContentLengths",
     {ask("POST /a HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"), reply(kOk), ask(kGet),
      reply(kOk), close_by(EndReason::kClosed)},
     {"0 > head POST /a ", "0 < head 200", "0 < body hi", "0 < end 2/2 ok", "0 complete parse",
      "1 > head GET /a h", "1 > end 0/0 ok", "1 < head 200", "1 < body hi", "1 < end 2/2 ok",
      "1 complete ok"}},
};

std::string case_name(const ::testing::TestParamInfo<Case>& info) { return info.param.name; }
INSTANTIATE_TEST_SUITE_P(Cases, Http1Test, ::testing::ValuesIn(kCases), case_name);

TEST(Http1Head, ReadsFields) {
  const Outcome result = run({ask("GET /a HTTP/1.1\r\nHOST : h\r\nX-Fold: one\r\n "
                                  "two\r\n\tthree\r\nEmpty:\r\nX-Fold:  again  \r\n\r\n")},
                             client_facts(), no_cut, {}, true);
  EXPECT_EQ(result.lines.at(0),
            "0 > head GET /a h {host|h} {x-fold|one   two  \tthree} {empty|} {x-fold|again}");
}

TEST(Http1Roles, TheServerSeesWhoLeft) {
  const Script part = {ask(kGet), reply("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart")};
  const auto last_line = [&](std::vector<Step> tail) {
    Script script = part;
    script.insert(script.end(), tail.begin(), tail.end());
    return run(server_side(script), client_facts(Role::kServer)).lines.back();
  };
  EXPECT_EQ(last_line({close_by(EndReason::kClosed)}), "0 server_aborted truncated after 4");
  EXPECT_EQ(last_line({close_by(EndReason::kProcessExit)}), "0 server_aborted truncated after 4");
  EXPECT_EQ(last_line({close_by(EndReason::kReset)}), "0 client_aborted truncated after 4");
  // The client's end of file is read, then the server closes: in the script's view a half close.
  EXPECT_EQ(last_line({{Step::Kind::kDirectionEnd, Direction::kWrite, {}, 0, EndReason::kPeerClosed},
                       close_by(EndReason::kClosed)}),
            "0 client_aborted truncated after 4");
  EXPECT_EQ(last_line({close_by(EndReason::kEvicted)}), "0 lost truncated after 4");
  EXPECT_EQ(last_line({close_by(EndReason::kNotSeen)}), "0 lost lost after 4");
}

TEST(Http1Roles, BytesDecideWhoAsks) {
  const Lines want = run({ask(kGet), reply(kOk)}).lines;
  EXPECT_EQ(run({ask(kGet), reply(kOk)}, client_facts(Role::kServer)).lines, want);
  EXPECT_EQ(run({ask(kGet), reply(kOk)}, client_facts(Role::kUnknown)).lines, want);
  EXPECT_EQ(run(server_side({ask(kGet), reply(kOk)}), client_facts(Role::kUnknown)).lines, want);
}

TEST(Http1Order, AReplyReadBeforeItsWriteReturnedFindsItsRequest) {
  Recorder recorder;
  ConnectionReaders readers({}, recorder, recorder);
  const ConnectionFacts facts = client_facts();
  readers.on_open(facts);
  readers.on_chunk(facts, Direction::kRead, {bytes_of(kOk), 0, 50});
  readers.on_chunk(facts, Direction::kWrite, {bytes_of(kGet), 0, 40});
  readers.on_end(facts, EndReason::kClosed, 60);
  EXPECT_THAT(recorder.lines, ElementsAre("0 > head GET /a h", "0 > end 0/0 ok", "0 < head 200",
                                          "0 < body hi", "0 < end 2/2 ok", "0 complete ok"));
}

// --- loss ---------------------------------------------------------------------------------------------

std::string body_of(size_t bytes) {
  std::string body;
  while (body.size() < bytes) body += "{\"text\": \"line\"}\n";
  body.resize(bytes);
  return body;
}

TEST(Http1Loss, SaysWhyTheReplyWasNotSeen) {
  const Script after_one = {ask(kGet), reply(kOk)};
  const auto last_line = [&](std::vector<Step> more) {
    Script script = after_one;
    script.insert(script.end(), more.begin(), more.end());
    return run(script).lines.back();
  };
  const Step gone = close_by(EndReason::kClosed);
  EXPECT_EQ(last_line({reply_gap(99), ask(kGet), gone}), "1 lost lost");
  EXPECT_EQ(last_line({ask(kGet), reply_gap(99), gone}), "1 lost lost");
  EXPECT_EQ(last_line({ask(kGet), reply("HTTP/1.1 200 OK\r\n"), reply_gap(99), gone}), "1 lost lost");
  EXPECT_EQ(last_line({ask(kGet), reply("HTTP/1.1 twohundred OK\r\n\r\n"), gone}), "1 lost parse");
}

// Repeats of a request that is none of ours, and their replies, are not copied.
TEST(Http1Loss, SkippedRepeatsAreWholeExchanges) {
  Recorder recorder;
  ConnectionReaders readers({}, recorder, recorder);
  const ConnectionFacts facts = client_facts();
  const auto feed = [&](Direction direction, const std::string& bytes, uint64_t time_ns) {
    readers.on_chunk(facts, direction, {bytes_of(bytes), 0, time_ns});
  };
  feed(Direction::kWrite, kGet, 1);
  readers.exchange_verdict(facts.id, Verdict::kRepeats);
  EXPECT_EQ(recorder.verdict, Verdict::kRepeats);
  feed(Direction::kRead, kOk, 2);
  readers.on_gap(facts, Direction::kWrite, 100, 3);
  feed(Direction::kWrite, kGet, 3);
  readers.on_gap(facts, Direction::kRead, 100, 4);
  readers.on_end(facts, EndReason::kReset, 5);
  EXPECT_TRUE(recorder.lines.back().starts_with("1 no_response")) << recorder.lines.back();
  EXPECT_EQ(readers.counters().resyncs, 0U);
}

// Two requests of one call: nobody can say which of them the same bytes would repeat.
TEST(Http1Loss, NoRepeatsWherePipelined) {
  Recorder recorder;
  ConnectionReaders readers({}, recorder, recorder);
  const ConnectionFacts facts = client_facts();
  const std::string both = kGet + kGet;
  readers.on_chunk(facts, Direction::kWrite, {bytes_of(both), 0, 1});
  readers.exchange_verdict(facts.id, Verdict::kRepeats);
  EXPECT_EQ(recorder.verdict, Verdict::kTimes);
}

// The second exchange must come out whole wherever in the first `lost` bytes are missing.
void expect_next_exchange_intact(const std::string& request, const std::string& response, size_t lost,
                                 bool in_reply) {
  const std::string& hit = in_reply ? response : request;
  for (size_t at = 0; at + lost <= hit.size(); ++at) {
    Script script;
    const auto send = in_reply ? reply : ask;
    Script damaged;
    if (at > 0) damaged.push_back(send(hit.substr(0, at)));
    damaged.push_back(in_reply ? reply_gap(lost) : ask_gap(lost));
    if (at + lost < hit.size()) damaged.push_back(send(hit.substr(at + lost)));
    if (in_reply) script.push_back(ask(request));
    script.insert(script.end(), damaged.begin(), damaged.end());
    if (!in_reply) script.push_back(reply(response));
    script.push_back(ask("GET /next HTTP/1.1\r\n\r\n"));
    script.push_back(reply("HTTP/1.1 203 Next\r\nContent-Length: 2\r\n\r\nok"));
    script.push_back(close_by(EndReason::kClosed));
    const Outcome result = run(script);
    Lines tail;
    for (const std::string& line : result.lines)
      if (!tail.empty() || line.find("GET /next") != std::string::npos) {
        // Numbers depend on whether the first exchange was seen at all.
        if (tail.empty() || line.substr(0, 2) == result.lines.back().substr(0, 2))
          tail.push_back(line.substr(2));
      }
    ASSERT_THAT(tail, ElementsAre("> head GET /next ", "> end 0/0 ok", "< head 203", "< body ok",
                                  "< end 2/2 ok", "complete ok"))
        << "lost " << lost << " bytes at " << at << (in_reply ? " of the reply" : " of the request");
    ASSERT_EQ(result.counters.exchanges_begun, result.counters.exchanges_ended);
    for (const std::string& line : result.lines)
      if (line.starts_with("0 complete") && line != result.lines.back()) {
        ASSERT_NE(line, "0 complete ok") << "a loss must show, at " << at;
      }
  }
}

TEST(Http1Loss, AGapAnywhereSparesTheNextExchange) {
  const std::string fixed = "HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n" + body_of(60);
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1e\r\n" + body_of(30) +
                              "\r\n5\r\nabcde\r\n0\r\n\r\n";
  const std::string sse =
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
      "a\r\ndata: ab\n\n\r\na\r\ndata: cd\n\n\r\n0\r\n\r\n";
  const std::string post = "POST /first HTTP/1.1\r\nHost: h\r\nContent-Length: 40\r\n\r\n" + body_of(40);
  for (const size_t lost : {1, 7, 33}) {
    expect_next_exchange_intact(post, fixed, lost, true);
    expect_next_exchange_intact(post, chunked, lost, true);
    expect_next_exchange_intact(post, sse, lost, true);
    expect_next_exchange_intact(post, fixed, lost, false);
  }
  expect_next_exchange_intact(post, fixed, fixed.size(), true);
  expect_next_exchange_intact(post, fixed, post.size(), false);
}

TEST(Http1Loss, FramingGoesOnExactlyBehindAGapInsideABody) {
  const Outcome result = run({ask(kGet), reply("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"),
                              reply_gap(4), reply("xyz" + kOk)});
  EXPECT_THAT(result.lines, ElementsAre("0 > head GET /a h", "0 > end 0/0 ok", "0 < head 200", "0 < body abc",
                                        "0 < end 10/3 lost", "0 complete lost", "1 < head 200", "1 < body hi",
                                        "1 < end 2/2 ok", "1 complete lost"));
}

TEST(Http1Loss, EventsGoOnBehindAGap) {
  const std::string head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 45\r\n\r\n";
  const Outcome result =
      run({ask(kGet), reply(head + "data: one\n\ndata: tw"), reply_gap(8), reply("data: x\n\ndata: y\n\n")});
  EXPECT_THAT(std::vector<std::string>(result.lines.begin() + 3, result.lines.end()),
              ElementsAre("0 < data one", "0 < event [] 3", "0 < data tw", "0 < event [] 2 incomplete",
                          "0 < data y", "0 < event [] 1", "0 < end 45/37 lost", "0 complete lost"));
}

TEST(Http1Loss, AttachedMidConnectionItBeginsAtACertainHead) {
  const Script script = {reply("tail of a body\nHTTP/1.1 is quoted here\nmore"),
                         reply("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"), ask(kGet), reply(kOk),
                         close_by(EndReason::kClosed)};
  const Lines want = {"0 < head 200",      "0 < body hi",    "0 < end 2/2 ok", "0 complete mid",
                      "1 > head GET /a h", "1 > end 0/0 ok", "1 < head 200",   "1 < body hi",
                      "1 < end 2/2 ok",    "1 complete ok"};
  EXPECT_EQ(run(script, client_facts(Role::kClient, false)).lines, want);
  EXPECT_EQ(run(script, client_facts(Role::kUnknown, false)).lines, want);
  EXPECT_EQ(run(server_side(script), client_facts(Role::kServer, false)).lines, want);
  for_each_split(script, [&](const Cutter& cutter, const std::string& what) {
    ASSERT_EQ(run(script, client_facts(Role::kClient, false), cutter).lines, want) << what;
  });
}

// --- bounds -------------------------------------------------------------------------------------------

TEST(Http1Bounds, AnEndlessHeadIsSkippedByItsFraming) {
  Recorder recorder;
  ConnectionReaders readers({}, recorder, recorder);
  const ConnectionFacts facts = client_facts();
  readers.on_open(facts);
  const std::string block(1 << 20, 'x');
  const auto send = [&](std::string_view text) {
    readers.on_chunk(facts, Direction::kWrite, {bytes_of(text), 0, 1});
  };
  send("POST /big HTTP/1.1\r\nCookie: ");
  for (int i = 0; i < 100; ++i) send(block);
  send("\r\nContent-Length: 3\r\n\r\nabcGET /next HTTP/1.1\r\n\r\n");
  EXPECT_THAT(recorder.lines, ElementsAre("0 > head POST /big ", "0 > body abc", "0 > end 3/3 ok",
                                          "1 > head GET /next ", "1 > end 0/0 ok"));
  EXPECT_EQ(readers.counters().oversized_heads, 1U);
}

class CountingSink : public Recorder {
 public:
  uint64_t bytes = 0;
  void on_body(ExchangeId, Side, std::span<const uint8_t> piece, uint64_t) override { bytes += piece.size(); }
};

TEST(Http1Bounds, ABodyOfAGigabytePassesThrough) {
  CountingSink sink;
  ConnectionReaders readers({}, sink, sink);
  const ConnectionFacts facts = client_facts();
  const std::string block(1 << 20, 'x');
  const auto send = [&](std::string_view text) {
    readers.on_chunk(facts, Direction::kWrite, {bytes_of(text), 0, 1});
  };
  send("POST /big HTTP/1.1\r\nContent-Length: 1073741824\r\n\r\n");
  for (int i = 0; i < 1024; ++i) send(block);
  EXPECT_EQ(sink.bytes, 1ULL << 30);
  EXPECT_EQ(sink.lines.back(), "0 > end 1073741824/1073741824 ok");
}

TEST(Http1Bounds, PipeliningBeyondTheBoundGivesTheConnectionUp) {
  Limits limits;
  limits.pipelined_requests = 8;
  Script script;
  for (int i = 0; i < 8; ++i) script.push_back(ask(kGet));
  EXPECT_EQ(run(script, client_facts(), no_cut, limits).counters.pipeline_overflows, 0U);
  script.push_back(ask(kGet));
  script.push_back(reply(kOk));
  const Outcome result = run(script, client_facts(), no_cut, limits);
  EXPECT_EQ(result.counters.pipeline_overflows, 1U);
  EXPECT_EQ(result.verdict, Verdict::kMuted);
  EXPECT_EQ(result.lines.back(), "7 lost parse");
  EXPECT_EQ(result.counters.exchanges_begun, result.counters.exchanges_ended);
}

TEST(Http1Bounds, DeepPipeliningKeepsItsOrder) {
  Script script;
  std::string replies;
  for (int i = 0; i < 256; ++i) {
    script.push_back(ask("GET /" + std::to_string(i) + " HTTP/1.1\r\n\r\n"));
    const std::string body = std::to_string(i);
    replies += "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  script.push_back(reply(replies));
  const Outcome result = run(script);
  for (int i = 0; i < 256; ++i)
    EXPECT_THAT(result.lines, ::testing::Contains(std::to_string(i) + " < body " + std::to_string(i)));
  EXPECT_EQ(result.books.items_out, 256U);
}

}  // namespace
}  // namespace llmtap::test
