// SPDX-License-Identifier: Apache-2.0
// Bytes lost at every place of a reply of every dialect: the call ends and says so, the books balance, and
// a count of tokens that is reported is one that stands in the reply without the events that were hit.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "protocols/connection_readers.h"
#include "unit/llm/call_text.h"
#include "unit/llm/provider_case.h"
#include "unit/protocols/recorder.h"

namespace llmtap::test {
namespace {

std::filesystem::path folder() {
  return std::filesystem::path(LLMTAP_SOURCE_DIR) / "tests/unit/llm/provider_cases";
}

struct Wire {
  std::string request, head, body;
  std::string_view separator;  // of events
};

std::string crlf(std::string_view head) {
  std::string out;
  for (const char c : head) out += c == '\n' ? std::string("\r\n") : std::string(1, c);
  return out;
}

Wire wire_of(const ProviderCase& c) {
  Wire wire;
  const size_t ask = c.text.request.find("\n\n"), answer = c.text.reply.find("\n\n");
  const std::string asked = c.text.request.substr(ask + 2);
  wire.request = crlf(c.text.request.substr(0, ask)) + "\r\ncontent-length: " + std::to_string(asked.size()) +
                 "\r\n\r\n" + asked;
  wire.body = c.text.reply.substr(answer + 2);
  wire.head = crlf(c.text.reply.substr(0, answer));
  wire.separator = wire.head.find("event-stream") != std::string::npos ? "\n\n" : "\n";
  return wire;
}

// `parts` of the body, and what was lost behind the first of them.
std::vector<LlmCall> calls(const Wire& wire, const std::vector<std::string>& parts, size_t lost) {
  RecordingSink sink;
  CallTracker tracker({}, {}, {}, sink, sink);
  ConnectionReaders readers({}, tracker, sink);
  const ConnectionFacts facts = client_facts();
  readers.on_open(facts);
  readers.on_chunk(facts, Direction::kWrite, {bytes_of(wire.request), 0, 10});
  size_t length = lost;
  for (const std::string& part : parts) length += part.size();
  const std::string head = wire.head + "\r\ncontent-length: " + std::to_string(length) + "\r\n\r\n";
  readers.on_chunk(facts, Direction::kRead, {bytes_of(head), 0, 20});
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!parts[i].empty()) readers.on_chunk(facts, Direction::kRead, {bytes_of(parts[i]), 0, 30});
    if (i == 0 && lost > 0) readers.on_gap(facts, Direction::kRead, lost, 30);
  }
  readers.on_end(facts, EndReason::kClosed, 40);
  EXPECT_EQ(tracker.open_exchanges(), 0U);
  const StageBooks& books = tracker.books();
  EXPECT_EQ(books.bytes_in, books.bytes_out + books.bytes_lost);
  EXPECT_EQ(books.items_in, books.items_out + books.items_lost);
  return sink.finished;
}

using Counts = std::pair<std::optional<uint64_t>, std::optional<uint64_t>>;

Counts reported(const std::vector<LlmCall>& calls) {
  if (calls.size() != 1 || calls[0].tokens.source != TokenSource::kReported) return {};
  return {calls[0].tokens.input, calls[0].tokens.output};
}

// The longest stream of each dialect, or its longest reply.
std::map<std::string, ProviderCase> longest_by_dialect() {
  std::map<std::string, ProviderCase> longest;
  for (const ProviderCase& c : CaseReader::read_folder(folder())) {
    const std::string& reply = c.text.reply;
    if (c.no_call || (c.kind != "stream" && c.kind != "plain") || reply.starts_with("HTTP/1.1 101") ||
        reply.find("amazon.eventstream") != std::string::npos || c.text.how != ExchangeEnd::How::kComplete ||
        reply.find("\n\n") == std::string::npos)
      continue;
    const Wire wire = wire_of(c);
    const auto whole = calls(wire, {wire.body}, 0);
    if (whole.size() != 1) continue;
    const std::string key = std::string(whole[0].dialect) + "_" + c.kind;
    ProviderCase& kept = longest[key];
    if (reply.size() > kept.text.reply.size()) kept = c;
  }
  return longest;
}

class ProviderGaps : public ::testing::TestWithParam<std::pair<const std::string, ProviderCase>> {};

TEST_P(ProviderGaps, TakeNoNumberWithThem) {
  const ProviderCase& c = GetParam().second;
  SCOPED_TRACE(c.where);
  const Wire wire = wire_of(c);
  std::vector<size_t> starts{0};  // of events
  const bool stream = c.kind == "stream";
  for (size_t at = wire.body.find(wire.separator); stream && at != std::string::npos;
       at = wire.body.find(wire.separator, at)) {
    at += wire.separator.size();
    if (at < wire.body.size()) starts.push_back(at);
  }
  starts.push_back(wire.body.size());
  // What a reader says that got none of one event, or of some in a row, or of the rest.
  std::set<Counts> allowed{{}};
  for (size_t from = 0; from + 1 < starts.size(); ++from)
    for (size_t to = from + 1; to < starts.size() && to <= from + 3; ++to)
      allowed.insert(
          reported(calls(wire, {wire.body.substr(0, starts[from]), wire.body.substr(starts[to])}, 0)));
  for (const size_t lost : {1, 3, 17})
    for (size_t at = 0; at + lost <= wire.body.size(); ++at) {
      const auto got = calls(wire, {wire.body.substr(0, at), wire.body.substr(at + lost)}, lost);
      ASSERT_LE(got.size(), 1U);
      if (got.empty()) continue;
      ASSERT_NE(got[0].incomplete, Incomplete::kNo) << "lost " << lost << " at " << at;
      if (!stream) continue;
      ASSERT_TRUE(allowed.contains(reported(got)))
          << "lost " << lost << " at " << at << ": " << got[0].tokens.input.value_or(0) << " and "
          << got[0].tokens.output.value_or(0);
    }
}

INSTANTIATE_TEST_SUITE_P(Dialects, ProviderGaps, ::testing::ValuesIn(longest_by_dialect()),
                         [](const auto& test) {
                           std::string name = test.param.first;
                           std::ranges::replace_if(name, [](char ch) { return !std::isalnum(ch); }, '_');
                           return name;
                         });

}  // namespace
}  // namespace llmtap::test
