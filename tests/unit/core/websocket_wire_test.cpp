// SPDX-License-Identifier: Apache-2.0
// One response on a WebSocket of each API that has them: as it is, compressed, in a stream of HTTP/2, and
// cut off at the middle. scripts/provider-conformance counts what passed here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/core/redacted.h"
#include "unit/core/wire_calls.h"
#include "unit/llm/call_text.h"
#include "unit/protocols/http2_wire.h"
#include "unit/protocols/websocket_wire.h"

namespace llmtap::test {
namespace {

using ::testing::HasSubstr;

struct Message {
  bool client = false;
  std::string text;
};

struct Session {
  std::string name, provider, operation, kind, host, path;
  std::vector<Message> messages;
  std::vector<std::string> want;      // lines of call_text()
  std::vector<std::string> cut_want;  // of the call whose second half never came; none: is not played cut
};

Message asks(std::string text) { return {true, std::move(text)}; }
Message says(std::string text) { return {false, std::move(text)}; }

std::string event(const std::string& type, const std::string& response) {
  return R"({"type":")" + type + R"(","response":)" + response + "}";
}

// Wire formats 4.1: the session names the model, the response has the usage.
std::vector<Session> realtime_sessions() {
  struct Row {
    std::string provider, host, path, asked_model;
  };
  const std::vector<Row> rows = {
      {"openai", "api.openai.com", "/v1/realtime?model=gpt-realtime", "gpt-realtime"},
      {"azure.ai.openai", "res.openai.azure.com",
       "/openai/realtime?api-version=2024-10-01-preview&deployment=my-dep", "my-dep"},
      {"x_ai", "api.x.ai", "/v1/realtime?model=grok-voice", "grok-voice"}};
  std::vector<Session> all;
  for (const Row& row : rows) {
    const Message begin =
        says(R"({"type":"session.created","session":{"id":"sess_1","model":"gpt-realtime-2025-08-28"}})");
    const Message created = says(
        event("response.created", R"({"id":"resp_1","object":"realtime.response","status":"in_progress"})"));
    const Message delta = says(
        R"({"type":"response.output_audio_transcript.delta","response_id":"resp_1","delta":"12345678"})");
    all.push_back(
        {"Spoken",
         row.provider,
         "realtime",
         "stream",
         row.host,
         row.path,
         {begin, asks(R"({"type":"response.create"})"), created, delta,
          says(R"({"type":"response.output_audio.delta","response_id":"resp_1","delta":"UklGRg=="})"),
          says(event(
              "response.done",
              R"({"id":"resp_1","object":"realtime.response","status":"completed","usage":{"total_tokens":253,"input_tokens":132,"output_tokens":121,"input_token_details":{"text_tokens":119,"audio_tokens":13,"cached_tokens":64},"output_token_details":{"text_tokens":30,"audio_tokens":91}}})"))},
         {"tokens=132/121 cached=64 audio_in=13 audio_out=91 reported", "outcome=ok", "finish=stop,completed",
          "stream=1", "requested_model=" + row.asked_model, "response_model=gpt-realtime-2025-08-28",
          "response_id=resp_1", "route=/v1/realtime"},
         {"outcome=truncated", "response_id=resp_1", "tokens=-/2 estimated"}});
    all.push_back(
        {"Failed",
         row.provider,
         "realtime",
         "error",
         row.host,
         row.path,
         {begin, asks(R"({"type":"response.create"})"), created,
          says(event(
              "response.done",
              R"({"id":"resp_1","object":"realtime.response","status":"failed","status_details":{"type":"failed","error":{"type":"server_error","code":"rate_limit_exceeded"}}})"))},
         {"outcome=stream_error", "error=rate_limit,rate_limit_exceeded"},
         {}});
    // The one who speaks breaks in: what was generated is billed.
    all.push_back(
        {"BrokenInto",
         row.provider,
         "realtime",
         "interrupted",
         row.host,
         row.path,
         {begin, created, delta,
          says(event(
              "response.done",
              R"({"id":"resp_1","object":"realtime.response","status":"cancelled","status_details":{"type":"cancelled","reason":"turn_detected"},"usage":{"input_tokens":9,"output_tokens":2,"total_tokens":11}})"))},
         {"outcome=client_aborted", "finish=other,turn_detected", "tokens=9/2 reported"},
         {}});
  }
  return all;
}

std::vector<Session> responses_sessions() {
  struct Row {
    std::string provider, host, path;
  };
  std::vector<Session> all;
  for (const Row& row : {Row{"openai", "api.openai.com", "/v1/responses"},
                         Row{"azure.ai.openai", "res.openai.azure.com", "/openai/v1/responses"}}) {
    const Message create = asks(R"({"type":"response.create","model":"m","input":"12345678"})");
    const Message created = says(event(
        "response.created", R"({"id":"resp_1","object":"response","status":"in_progress","model":"m-1"})"));
    all.push_back(
        {"Written",
         row.provider,
         "responses",
         "stream",
         row.host,
         row.path,
         {create, created, says(R"({"type":"response.output_text.delta","delta":"12345678"})"),
          says(R"({"type":"response.output_text.delta","delta":"12345678"})"),
          says(R"({"type":"response.output_text.done","text":"1234567812345678"})"),
          says(event(
              "response.completed",
              R"({"id":"resp_1","object":"response","status":"completed","model":"m-1","usage":{"input_tokens":30,"input_tokens_details":{"cached_tokens":20},"output_tokens":5,"output_tokens_details":{"reasoning_tokens":1},"total_tokens":35}})"))},
         {"tokens=30/5 cached=20 reasoning=1 reported", "outcome=ok", "finish=stop,completed",
          "requested_model=m", "response_model=m-1", "response_id=resp_1", "route=/v1/responses#ws"},
         {"outcome=truncated", "tokens=6/4 estimated", "response_id=resp_1"}});
    all.push_back(
        {"Refused",
         row.provider,
         "responses",
         "error",
         row.host,
         row.path,
         {create,
          says(
              R"({"type":"error","status":429,"error":{"type":"insufficient_quota","code":"insufficient_quota","message":"no"}})")},
         {"status=429", "error=quota,insufficient_quota", "tokens=-/- none"},
         {}});
  }
  return all;
}

// Wire formats 4.4: camel case, often in binary frames; the usage comes with the turn's end or behind it.
std::vector<Session> live_sessions() {
  struct Row {
    std::string provider, host, path;
  };
  std::vector<Session> all;
  for (const Row& row : {Row{"gcp.gemini", "generativelanguage.googleapis.com",
                             "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"},
                         Row{"gcp.vertex_ai", "us-central1-aiplatform.googleapis.com",
                             "/ws/google.cloud.aiplatform.v1beta1.LlmBidiService/BidiGenerateContent"}}) {
    const std::vector<Message> begin = {
        asks(R"({"setup":{"model":"models/gemini-live"}})"), says(R"({"setupComplete":{}})"),
        asks(
            R"({"clientContent":{"turns":[{"role":"user","parts":[{"text":"12345678"}]}],"turnComplete":true}})"),
        says(R"({"serverContent":{"modelTurn":{"parts":[{"text":"12345678"}]}}})")};
    std::vector<Message> whole = begin, broken = begin;
    whole.push_back(says(R"({"serverContent":{"modelTurn":{"parts":[{"text":"12345678"}]}}})"));
    whole.push_back(says(R"({"serverContent":{"generationComplete":true}})"));
    whole.push_back(says(
        R"({"serverContent":{"turnComplete":true},"usageMetadata":{"promptTokenCount":30,"cachedContentTokenCount":8,"responseTokenCount":4,"thoughtsTokenCount":1,"toolUsePromptTokenCount":2,"totalTokenCount":37}})"));
    broken.push_back(says(R"({"serverContent":{"interrupted":true}})"));
    broken.push_back(says(
        R"({"serverContent":{"turnComplete":true},"usageMetadata":{"promptTokenCount":9,"responseTokenCount":2,"totalTokenCount":11}})"));
    all.push_back({"Whole",
                   row.provider,
                   "realtime",
                   "stream",
                   row.host,
                   row.path,
                   whole,
                   {"tokens=32/5 cached=8 reasoning=1 reported", "outcome=ok", "requested_model=gemini-live",
                    "route=/ws/BidiGenerateContent"},
                   {"outcome=truncated", "tokens=6/4 estimated"}});
    all.push_back({"BrokenInto",
                   row.provider,
                   "realtime",
                   "interrupted",
                   row.host,
                   row.path,
                   broken,
                   {"outcome=client_aborted", "finish=other,interrupted", "tokens=9/2 reported"},
                   {}});
  }
  return all;
}

enum class Form { kPlain, kCompressed, kHttp2, kCompressedHttp2, kCut };
constexpr Form kForms[] = {Form::kPlain, Form::kCompressed, Form::kHttp2, Form::kCompressedHttp2, Form::kCut};
constexpr const char* kFormNames[] = {"websocket", "websocket_compressed", "websocket_h2",
                                      "websocket_compressed_h2", "cut"};

struct WireSession {
  Session session;
  Form form = Form::kPlain;
};
void PrintTo(const WireSession& row, std::ostream* out) { *out << row.session.name; }

Script script_of(const Session& session, Form form) {
  const bool http2 = form == Form::kHttp2 || form == Form::kCompressedHttp2;
  const bool compressed = form == Form::kCompressed || form == Form::kCompressedHttp2;
  const std::string deflate = "permessage-deflate";
  h2::Encoder client, server;
  Script script;
  if (http2) {
    script = {
        ask(h2::kPreface + h2::kSettings +
            client.headers(1, {{":method", "CONNECT"},
                               {":protocol", "websocket"},
                               {":scheme", "https"},
                               {":path", session.path},
                               {":authority", session.host},
                               {"sec-websocket-version", "13"}})),
        reply(h2::kSettings + server.headers(1, compressed ? h2::Fields{{":status", "200"},
                                                                        {"sec-websocket-extensions", deflate}}
                                                           : h2::Fields{{":status", "200"}}))};
  } else {
    script = {ask("GET " + session.path + " HTTP/1.1\r\nHost: " + session.host +
                  "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
              reply(upgrade_reply(compressed ? deflate : ""))};
  }
  Deflater asking(true), answering(true);
  // The middle of the answer: what was asked has been sent.
  size_t left = session.messages.size() - (form == Form::kCut ? 2 : 0);
  for (const Message& message : session.messages) {
    if (left-- == 0) break;
    std::string text = message.text;
    if (compressed) text = message.client ? asking(text) : answering(text);
    const unsigned first = kFin | (compressed ? kCompressed : 0) | kText;
    std::string frame = message.client ? sent(text, first) : got(text, first);
    if (http2) frame = h2::data(1, frame);
    script.push_back(message.client ? ask(frame) : reply(frame));
  }
  script.push_back(close_by(form == Form::kCut ? EndReason::kPeerClosed : EndReason::kClosed));
  return script;
}

std::vector<WireSession> wire_sessions() {
  std::vector<WireSession> all;
  for (const auto& sessions : {realtime_sessions(), responses_sessions(), live_sessions()})
    for (const Session& session : sessions)
      for (const Form form : kForms)
        if (form != Form::kCut || !session.cut_want.empty()) all.push_back({session, form});
  return all;
}

class WebSocketWire : public ::testing::TestWithParam<WireSession> {};

TEST_P(WebSocketWire, MakesTheCall) {
  const auto& [session, form] = GetParam();
  const Script script = script_of(session, form);
  for (const size_t piece : {1u << 20, 7u}) {
    const WireCalls read = calls_of(script, piece);
    ASSERT_EQ(read.calls.size(), 1u) << piece;
    const std::string text = call_text(read.calls[0]);
    EXPECT_THAT(text,
                HasSubstr("\nprovider=" + session.provider + "\noperation=" + session.operation + "\n"));
    for (const std::string& want : form == Form::kCut ? session.cut_want : session.want)
      EXPECT_THAT(text, HasSubstr("\n" + want + "\n")) << piece;
  }
  RecordProperty("provider", session.provider);
  RecordProperty("operation", session.operation);
  RecordProperty("kind", session.kind);
  RecordProperty("case", session.name);
  RecordProperty("form", kFormNames[static_cast<size_t>(form)]);
}

// As `llmtap record --redact` writes it: the same call, of the same size, and nothing that was said is left.
TEST_P(WebSocketWire, MakesTheCallRedacted) {
  const auto& [session, form] = GetParam();
  const Script script = script_of(session, form);
  const RedactedScript kept = redacted(script);
  EXPECT_EQ(kept.gaps, 0u);
  const WireCalls before = calls_of(script), after = calls_of(kept.script);
  ASSERT_EQ(before.calls.size(), 1u);
  ASSERT_EQ(after.calls.size(), 1u);
  LlmCall call = after.calls[0];
  call.fingerprint = before.calls[0].fingerprint;  // the hash of what was said
  EXPECT_EQ(call_text(call), call_text(before.calls[0]));
  for (const std::string& bytes : kept.written) EXPECT_FALSE(tells(bytes, "12345678"));
}

std::string case_name(const ::testing::TestParamInfo<WireSession>& info) {
  const Session& s = info.param.session;
  std::string name =
      s.provider + "_" + s.operation + "_" + s.name + "_" + kFormNames[static_cast<size_t>(info.param.form)];
  std::ranges::replace_if(name, [](char ch) { return !std::isalnum(ch); }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, WebSocketWire, ::testing::ValuesIn(wire_sessions()), case_name);

}  // namespace
}  // namespace llmtap::test
