// SPDX-License-Identifier: Apache-2.0
// Bytes lost at every place of every kind of body: nothing comes that was not sent, the loss shows, the
// connection goes on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "event_stream_wire.h"
#include "recorder.h"
#include "unit/core/compressors.h"

namespace llmtap::test {
namespace {

std::string prefixed(std::string_view message) {
  return std::string(1, '\0') + be32(message.size()) + std::string(message);
}

std::string gzip(const std::string& text) {
  Gzip gzip;
  const std::string flushed = gzip.add(text);
  return flushed + gzip.finish();
}

struct Case {
  std::string name, type, fields, body;
};
std::string case_name(const ::testing::TestParamInfo<Case>& info) { return info.param.name; }

class BodyGaps : public ::testing::TestWithParam<Case> {};

// Data of events that are whole; what of a plain body came in one piece.
std::vector<std::string> read(const Outcome& outcome) {
  std::vector<std::string> got;
  for (size_t i = 0; i < outcome.lines.size(); ++i) {
    const std::string& line = outcome.lines[i];
    if (line.starts_with("0 < body ")) got.push_back(line.substr(9));
    if (!line.starts_with("0 < data ") || i + 1 == outcome.lines.size()) continue;
    if (!outcome.lines[i + 1].ends_with("incomplete")) got.push_back(line.substr(9));
  }
  return got;
}

TEST_P(BodyGaps, NothingComesThatWasNotSent) {
  const Case& c = GetParam();
  const std::string head = "HTTP/1.1 200 OK\r\nContent-Type: " + c.type + "\r\n" + c.fields +
                           "Content-Length: " + std::to_string(c.body.size()) + "\r\n\r\n";
  const Step asked = ask("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
  const Step next = ask("GET /b HTTP/1.1\r\nHost: h\r\n\r\n"),
             answered = reply("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  const auto script = [&](size_t at, size_t lost) {
    Script s{asked, reply(head + c.body.substr(0, at))};
    if (lost > 0) s.push_back(reply_gap(lost));
    if (at + lost < c.body.size()) s.push_back(reply(c.body.substr(at + lost)));
    s.insert(s.end(), {next, answered, close_by(EndReason::kClosed)});
    return s;
  };
  const Outcome whole = run(script(c.body.size(), 0));
  const std::vector<std::string> sent = read(whole);
  ASSERT_FALSE(sent.empty());
  ASSERT_THAT(whole.lines, ::testing::Contains("0 complete ok"));
  for (const size_t lost : {1, 2, 5, 13})
    for (size_t at = 0; at + lost <= c.body.size(); ++at) {
      SCOPED_TRACE("lost " + std::to_string(lost) + " at " + std::to_string(at));
      const Outcome got = run(script(at, lost));
      ASSERT_THAT(got.lines, ::testing::Contains("0 complete lost"));
      ASSERT_THAT(got.lines, ::testing::IsSupersetOf({"1 < body ok", "1 complete ok"}));
      ASSERT_EQ(got.books.bytes_in, got.books.bytes_out + got.books.bytes_lost);
      ASSERT_EQ(got.decoder_bytes, 0U);
      for (const std::string& text : read(got)) {
        // A plain body ends at the gap: what came is its begin.
        const bool plain = c.type == "application/json";
        const bool known = plain ? sent[0].starts_with(text) : std::ranges::find(sent, text) != sent.end();
        ASSERT_TRUE(known) << text;
      }
    }
}

INSTANTIATE_TEST_SUITE_P(
    Bodies, BodyGaps,
    ::testing::Values(
        Case{"Plain", "application/json", "", R"({"usage":{"input_tokens":123,"output_tokens":4567}})"},
        Case{"Gzip", "application/json", "Content-Encoding: gzip\r\n",
             gzip(R"({"usage":{"input_tokens":123,"output_tokens":4567}})")},
        Case{"Sse", "text/event-stream", "",
             "event: a\ndata: one\n\ndata: two\ndata: 2\n\ndata: three\r\n\r\n"},
        Case{"SseGzip", "text/event-stream", "Content-Encoding: gzip\r\n",
             gzip("event: a\ndata: one\n\ndata: two\n\ndata: three\n\n")},
        Case{"Ndjson", "application/x-ndjson", "", "{\"a\":1}\n{\"b\":22}\r\n{\"c\":333}\n"},
        Case{"EventStream", "application/vnd.amazon.eventstream", "",
             event_message("a", "{\"x\":1}") + chunk_message("{\"yy\":22}") + exception_message("E", "{}")},
        Case{"Grpc", "application/grpc", "", prefixed("first") + prefixed("second one") + prefixed("3")}),
    case_name);

}  // namespace
}  // namespace llmtap::test
