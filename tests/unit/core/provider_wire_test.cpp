// SPDX-License-Identifier: Apache-2.0
// Every case of tests/unit/llm/provider_cases as bytes on a connection: HTTP/1.1 in chunks, the same
// with each compression, cut off at the middle, and HTTP/2. scripts/provider-conformance counts the
// cases that passed here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocols/connection_readers.h"
#include "unit/core/compressors.h"
#include "unit/core/redacted.h"
#include "unit/llm/call_text.h"
#include "unit/llm/provider_case.h"
#include "unit/protocols/event_stream_wire.h"
#include "unit/protocols/http2_wire.h"
#include "unit/protocols/recorder.h"

namespace llmtap::test {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

std::filesystem::path folder() {
  return std::filesystem::path(LLMTAP_SOURCE_DIR) / "tests/unit/llm/provider_cases";
}

// A message of a case, taken apart.
struct Message {
  std::string start;
  h2::Fields fields;
  std::vector<std::string> pieces;  // of the body, as a server would write them

  explicit Message(const std::string& text) {
    const size_t blank = text.find("\n\n");
    std::istringstream head(text.substr(0, blank));
    std::getline(head, start);
    for (std::string line; std::getline(head, line);) {
      const size_t colon = line.find(": ");
      fields.emplace_back(line.substr(0, colon), line.substr(colon + 2));
    }
    if (blank != std::string::npos) cut(text.substr(blank + 2));
  }
  std::string field(const std::string& name) const {
    for (const auto& [key, value] : fields)
      if (key == name) return value;
    return {};
  }
  std::string word(int index) const {
    std::istringstream in(start);
    std::string word;
    while (index-- >= 0) in >> word;
    return word;
  }

 private:
  void cut(const std::string& body) {
    const std::string type = field("content-type");
    const bool aws = type.starts_with("application/vnd.amazon");
    const std::string end = type.starts_with("text/event-stream") || aws ? "\n\n"
                            : type == "application/x-ndjson"             ? "\n"
                                                                         : "";
    for (size_t at = 0; at < body.size();) {
      size_t next = end.empty() ? std::string::npos : body.find(end, at);
      next = next == std::string::npos ? body.size() : next + end.size();
      const std::string piece = body.substr(at, next - at);
      pieces.push_back(aws ? aws_message(piece) : piece);
      at = next;
    }
  }
  static std::string aws_message(const std::string& event) {
    std::istringstream in(event);
    std::string name, data;
    for (std::string line; std::getline(in, line);) {
      if (line.starts_with("event: ")) name = line.substr(7);
      if (line.starts_with("data: ")) data = line.substr(6);
    }
    if (name == "chunk") return chunk_message(data);
    return name.ends_with("Exception") ? exception_message(name, data) : event_message(name, data);
  }
};

enum class Form { kHttp1, kGzip, kBrotli, kZstd, kCut, kHttp2 };
constexpr Form kForms[] = {Form::kHttp1, Form::kGzip, Form::kBrotli, Form::kZstd, Form::kCut, Form::kHttp2};
constexpr const char* kFormNames[] = {"http1", "gzip", "br", "zstd", "cut", "h2"};

std::unique_ptr<Compressor> compressor_of(Form form) {
  if (form == Form::kGzip) return std::make_unique<Gzip>();
  if (form == Form::kBrotli) return std::make_unique<Brotli>();
  if (form == Form::kZstd) return std::make_unique<Zstd>();
  return nullptr;
}

// What a server sent that died in the middle of it: half of its events, or of its one body.
std::vector<std::string> first_half(std::vector<std::string> pieces) {
  if (pieces.size() == 1)
    pieces[0].resize(pieces[0].size() / 2);
  else
    pieces.resize(pieces.size() / 2);
  return pieces;
}

Script http1(const Message& request, const Message& reply, const ProviderCase& c, Form form) {
  std::string asked = request.start + "\r\n", body;
  for (const auto& [name, value] : request.fields) asked += name + ": " + value + "\r\n";
  for (const std::string& piece : request.pieces) body += piece;
  if (!body.empty()) asked += "content-length: " + std::to_string(body.size()) + "\r\n";
  Script script{ask(asked + "\r\n" + body)};
  std::string head = reply.start + "\r\n";
  for (const auto& [name, value] : reply.fields) head += name + ": " + value + "\r\n";
  const std::unique_ptr<Compressor> compressor = compressor_of(form);
  if (compressor) head += "content-encoding: " + std::string(kFormNames[static_cast<size_t>(form)]) + "\r\n";
  const bool cut = form == Form::kCut, upgraded = reply.word(1) == "101";
  script.push_back(test::reply(head + (upgraded ? "\r\n" : "transfer-encoding: chunked\r\n\r\n")));
  for (const std::string& piece : cut ? first_half(reply.pieces) : reply.pieces) {
    const std::string sent = compressor ? compressor->add(piece) : piece;
    std::ostringstream size;
    size << std::hex << sent.size();
    script.push_back(test::reply(size.str() + "\r\n" + sent + "\r\n"));
  }
  if (c.text.how == ExchangeEnd::How::kComplete && !cut && !upgraded) {
    const std::string last = compressor ? compressor->finish() : "";
    std::ostringstream size;
    size << std::hex << last.size();
    script.push_back(test::reply((last.empty() ? "" : size.str() + "\r\n" + last + "\r\n") + "0\r\n\r\n"));
  }
  script.push_back(close_by(cut || c.text.how == ExchangeEnd::How::kServerAborted ? EndReason::kPeerClosed
                                                                                  : EndReason::kClosed));
  return script;
}

Script http2(const Message& request, const Message& reply, const ProviderCase& c) {
  h2::Encoder asking, answering;
  h2::Fields fields{{":method", request.word(0)}, {":scheme", "https"}, {":path", request.word(1)}};
  if (const std::string host = request.field("host"); !host.empty()) fields.emplace_back(":authority", host);
  for (const auto& field : request.fields)
    if (field.first != "host") fields.push_back(field);
  const bool bodiless = request.pieces.empty();
  const auto flags = [](bool last) {
    return static_cast<uint8_t>(h2::kEndHeaders | (last ? h2::kEndStream : 0));
  };
  std::string asked = h2::kPreface + h2::kSettings + asking.headers(1, fields, flags(bodiless));
  for (size_t i = 0; i < request.pieces.size(); ++i)
    asked += h2::data(1, request.pieces[i], i + 1 == request.pieces.size() ? h2::kEndStream : 0);
  Script script{ask(asked)};
  h2::Fields answer{{":status", reply.word(1)}};
  answer.insert(answer.end(), reply.fields.begin(), reply.fields.end());
  const bool complete = c.text.how == ExchangeEnd::How::kComplete;
  script.push_back(
      test::reply(h2::kSettings + answering.headers(1, answer, flags(complete && reply.pieces.empty()))));
  for (size_t i = 0; i < reply.pieces.size(); ++i)
    script.push_back(test::reply(
        h2::data(1, reply.pieces[i], complete && i + 1 == reply.pieces.size() ? h2::kEndStream : 0)));
  if (c.text.how == ExchangeEnd::How::kClientAborted) script.push_back(ask(h2::reset(1)));
  if (c.text.how == ExchangeEnd::How::kServerAborted) script.push_back(test::reply(h2::reset(1)));
  script.push_back(close_by(EndReason::kClosed));
  return script;
}

std::vector<LlmCall> calls_of_case(const Script& script, size_t piece) {
  static const std::shared_ptr<const PriceTable> prices =
      PriceTable::load((folder() / "prices.json").string()).value();
  RecordingSink sink;
  CallTracker tracker({}, {}, {}, sink, sink);
  tracker.set_prices(prices);
  tracker.on_clock({.monotonic_ns = 0, .boottime_ns = 0, .realtime_ns = 1'700'000'000'000'000'000});
  ConnectionReaders readers({}, tracker, sink);
  const ConnectionFacts facts = client_facts();
  readers.on_open(facts);
  uint64_t now = 0, offsets[2] = {};
  for (const Step& step : script) {
    now += 10 * kMs;
    if (step.kind == Step::Kind::kGap) readers.on_gap(facts, step.direction, step.gap, now);
    if (step.kind == Step::Kind::kEnd) readers.on_end(facts, step.reason, now);
    uint64_t& offset = offsets[step.direction == Direction::kRead];
    for (size_t at = 0; at < step.bytes.size(); at += piece) {
      const std::string part = step.bytes.substr(at, piece);
      readers.on_chunk(facts, step.direction, {bytes_of(part), offset, now});
      offset += part.size();
    }
  }
  return sink.finished;
}

struct WireCase {
  ProviderCase c;
  Form form = Form::kHttp1;
};
void PrintTo(const WireCase& row, std::ostream* out) { *out << row.c.where; }

bool has_form(const ProviderCase& c, Form form) {
  // The upgrade of HTTP/1.1 has no like in HTTP/2, and its reply is no body.
  if (c.text.reply.empty()) return false;
  if (form == Form::kHttp1) return true;
  if (c.text.reply.starts_with("HTTP/1.1 101")) return false;
  if (form == Form::kHttp2) return true;
  if (c.text.reply.find("\n\n") + 2 >= c.text.reply.size()) return false;
  // An error is one with half of its body, too; and what ended before its end was cut already.
  return form != Form::kCut || (!c.no_call && (c.kind == "plain" || c.kind == "stream"));
}

std::vector<WireCase> wire_cases() {
  std::vector<WireCase> all;
  for (const ProviderCase& c : CaseReader::read_folder(folder()))
    for (const Form form : kForms)
      if (has_form(c, form)) all.push_back({c, form});
  return all;
}

// Of half a reply nothing is known but what stood in its head and its whole events.
void expect_cut(const ProviderCase& c, const std::string& text) {
  EXPECT_THAT(text, HasSubstr("\nincomplete=" + std::to_string(int(Incomplete::kTruncated)) + "\n"));
  EXPECT_THAT(text, HasSubstr("\nbatch_results=0\n"));
  const auto says = [&](std::string_view what) {
    return std::ranges::any_of(c.cut_want, [&](const std::string& want) { return want.starts_with(what); });
  };
  if (!says("outcome=")) {
    EXPECT_THAT(text, HasSubstr("\noutcome=truncated\n"));
    EXPECT_THAT(text, HasSubstr("\nerror=truncated,"));
  }
  if (!says("operation=")) {
    EXPECT_THAT(text, HasSubstr("\noperation=" + c.operation + "\n"));
  }
  if (!says("tokens=")) {
    EXPECT_THAT(text, Not(ContainsRegex("\ntokens=.* (reported|gateway)\n")));
  }
  for (const std::string& want : c.cut_want) EXPECT_THAT(text, HasSubstr("\n" + want + "\n"));
}

class ProviderWire : public ::testing::TestWithParam<WireCase> {};

TEST_P(ProviderWire, MakesTheCall) {
  const auto& [c, form] = GetParam();
  SCOPED_TRACE(c.where);
  const Message request(c.text.request), reply(c.text.reply);
  const Script script = form == Form::kHttp2 ? http2(request, reply, c) : http1(request, reply, c, form);
  for (const size_t piece : {1u << 20, 7u}) {
    const std::vector<LlmCall> calls = calls_of_case(script, piece);
    if (c.no_call) {
      EXPECT_TRUE(calls.empty()) << piece;
      continue;
    }
    ASSERT_EQ(calls.size(), 1u) << piece;
    const std::string text = call_text(calls[0]);
    EXPECT_THAT(text, HasSubstr("\nprovider=" + c.provider.substr(0, c.provider.find('/')) + "\n"));
    if (form == Form::kCut) {
      expect_cut(c, text);
      continue;
    }
    EXPECT_THAT(text, HasSubstr("\noperation=" + c.operation + "\n"));
    // Times are those of the case played as text.
    for (const std::string& want : c.want)
      if (want.find("_ms=") == std::string::npos) {
        EXPECT_THAT(text, HasSubstr("\n" + want + "\n")) << piece;
      }
  }
  RecordProperty("provider", c.provider);
  RecordProperty("operation", c.operation);
  RecordProperty("kind", c.kind);
  RecordProperty("case", c.name);
  RecordProperty("form", kFormNames[static_cast<size_t>(form)]);
}

std::string case_name(const ::testing::TestParamInfo<WireCase>& info) {
  const ProviderCase& c = info.param.c;
  std::string name = c.provider + "_" + c.operation + "_" + c.kind + "_" + c.name + "_" +
                     kFormNames[static_cast<size_t>(info.param.form)];
  std::ranges::replace_if(name, [](char ch) { return !std::isalnum(ch); }, '_');
  return name;
}

// Lines of a call that differ when its bytes were redacted. Texts are overwritten, and so have another hash.
std::vector<std::string> lost_lines(const Script& script, const Script& kept) {
  const std::vector<LlmCall> before = calls_of_case(script, 1 << 20), after = calls_of_case(kept, 1 << 20);
  if (before.size() != after.size()) return {std::to_string(after.size()) + " calls"};
  std::vector<std::string> lines;
  for (size_t i = 0; i < before.size(); ++i) {
    std::istringstream was(call_text(before[i])), is(call_text(after[i]));
    for (std::string x, y; std::getline(was, x) && std::getline(is, y);)
      if (x != y && !x.starts_with("fingerprint=") && !x.starts_with("wall=") &&
          x.find("_ms=") == std::string::npos)
        lines.push_back(y);
  }
  return lines;
}

constexpr std::string_view kCanary = "CaNaRy42";

// The same case with the canary in what must not be kept.
ProviderCase with_canary(ProviderCase c) {
  const std::string canary(kCanary);
  for (std::string* text : {&c.text.request, &c.text.reply})
    for (const std::string said : {"\"hi\"", "\"Hi\"", "\"12345678\""})
      for (size_t at = 0; (at = text->find(said, at)) != std::string::npos; at += canary.size())
        text->replace(at, said.size(), '"' + canary + '"');
  c.text.request.insert(c.text.request.find('\n'),
                        "\nauthorization: Bearer " + canary + "\nx-mine: " + canary);
  c.text.reply.insert(c.text.reply.find('\n'), "\nset-cookie: id=" + canary + "; secure");
  return c;
}

class ProviderRedacted : public ::testing::TestWithParam<ProviderCase> {};

TEST_P(ProviderRedacted, IsTheSameCallAndSaysNothing) {
  const ProviderCase c = with_canary(GetParam());
  SCOPED_TRACE(c.where);
  const Message request(c.text.request), reply(c.text.reply);
  const Script first = http1(request, reply, c, Form::kHttp1), second = http2(request, reply, c);
  const RedactedScript kept = redacted(second);
  std::vector<std::string> want;
  // What only words tell, and what an object `input` holds, which may be a tool's.
  if (c.kind == "error" && (c.name == "SGLang" || c.name == "vLLM, flat"))
    want = {"error=invalid_request,400"};
  // `metadata` may be the user's; of an operation it has the model.
  if (c.name.starts_with("inlined embeddings")) want = {"response_model=", "cost=- none", "price_missing=1"};
  if (c.name == "text so far counts once") want = {"tokens=-/3 estimated"};
  const std::vector<std::string> lost = lost_lines(second, kept.script);
  if (kept.gaps == 0) {
    EXPECT_THAT(lost, ::testing::ElementsAreArray(want));
  }
  EXPECT_THAT(lost, ::testing::ElementsAreArray(lost_lines(first, redacted(first).script)));
  for (const size_t piece : {1u << 20, 40u, 1u})
    for (const std::string& bytes : redacted(second, piece).written)
      EXPECT_FALSE(tells(bytes, kCanary)) << piece;
  EXPECT_TRUE(tells(second[0].bytes, kCanary));
}

std::vector<ProviderCase> redacted_cases() {
  std::vector<ProviderCase> all = CaseReader::read_folder(folder());
  std::erase_if(all, [](const ProviderCase& c) { return !has_form(c, Form::kHttp2); });
  return all;
}

INSTANTIATE_TEST_SUITE_P(All, ProviderRedacted, ::testing::ValuesIn(redacted_cases()),
                         [](const auto& row) { return "Case" + std::to_string(row.index); });

INSTANTIATE_TEST_SUITE_P(All, ProviderWire, ::testing::ValuesIn(wire_cases()), case_name);

}  // namespace
}  // namespace llmtap::test
