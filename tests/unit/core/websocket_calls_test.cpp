// SPDX-License-Identifier: Apache-2.0
// Calls on WebSockets from the bytes on the wire: OpenAI Realtime, Responses over WebSocket, Gemini Live.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/core/wire_calls.h"
#include "unit/llm/call_text.h"
#include "unit/protocols/http2_wire.h"
#include "unit/protocols/websocket_wire.h"

namespace llmtap::test {
namespace {

struct Want {
  std::string name;
  Script script;
  std::vector<std::vector<std::string>> calls;  // of each, lines of call_text()
};
void PrintTo(const Want& row, std::ostream* out) { *out << row.name; }
std::string case_name(const ::testing::TestParamInfo<Want>& row) { return row.param.name; }

Script on_socket(const std::string& path, const std::vector<Step>& steps) {
  Script script{ask(upgrade_request(path, "Authorization: Bearer sk-test-0123456789\r\n")),
                reply(upgrade_reply())};
  script.insert(script.end(), steps.begin(), steps.end());
  script.push_back(close_by(EndReason::kClosed));
  return script;
}

std::string response(const std::string& id, const std::string& type, const std::string& status,
                     const std::string& more) {
  return got(R"({"type":")" + type + R"(","response":{"id":")" + id + R"(","object":"response","status":")" +
             status + "\"" + more + "}}");
}

Want responses() {
  const auto create = [](const std::string& more) {
    return ask(
        sent(R"({"type":"response.create","model":"gpt-5.5","instructions":"Be short.")" + more + "}"));
  };
  const std::string model = R"(,"model":"gpt-5.5-2026")";
  const std::string usage =
      R"(,"usage":{"input_tokens":30,"input_tokens_details":{"cached_tokens":20},"output_tokens":5,"output_tokens_details":{"reasoning_tokens":1},"total_tokens":35})";
  return {
      "Responses",
      on_socket(
          "/v1/responses",
          {create(R"(,"generate":false,"tools":[])"),
           reply(response("resp_0", "response.created", "in_progress", model) +
                 response("resp_0", "response.completed", "completed", model)),
           create(R"(,"previous_response_id":"resp_0","input":[{"role":"user","content":"hi"}])"),
           reply(response("resp_1", "response.created", "in_progress", model)),
           reply(got(R"({"type":"response.output_text.delta","delta":"Hello"})")),
           reply(response("resp_1", "response.completed", "completed", model + usage)),
           create(R"(,"previous_response_id":"resp_gone","input":"x")"),
           reply(got(
               R"({"type":"error","status":400,"error":{"type":"invalid_request_error","code":"previous_response_not_found","message":"no"}})"))}),
      {{"operation=warmup", "response_id=resp_0", "outcome=ok", "tokens=-/- none", "first_token_ms=0"},
       {"provider=openai", "operation=responses", "dialect=openai_responses", "route=/v1/responses#ws",
        "stream=1", "requested_model=gpt-5.5", "response_model=gpt-5.5-2026", "previous=resp_0",
        "response_id=resp_1", "tokens=30/5 cached=20 reasoning=1 reported", "outcome=ok",
        "finish=stop,completed", "request_ms=50-50", "first_content_ms=70", "end_ms=80", "chunks=2/1",
        "incomplete=0"},
       {"outcome=client_error", "status=400", "error=invalid_request,previous_response_not_found",
        "previous=resp_gone"}}};
}

Want realtime() {
  const std::string usage =
      R"(,"usage":{"total_tokens":253,"input_tokens":132,"output_tokens":121,"input_token_details":{"text_tokens":119,"audio_tokens":13,"cached_tokens":64},"output_token_details":{"text_tokens":30,"audio_tokens":91}})";
  return {
      "Realtime",
      on_socket(
          "/v1/realtime?model=gpt-realtime",
          {reply(got(
               R"({"type":"session.created","session":{"id":"sess_1","model":"gpt-realtime-2025-08-28"}})")),
           ask(sent(R"({"type":"input_audio_buffer.append","audio":"AAAA"})")),
           // The server begins this one.
           reply(response("resp_a", "response.created", "in_progress",
                          R"(,"usage":null,"status_details":null)")),
           reply(got(R"({"type":"response.output_audio.delta","response_id":"resp_a","delta":"UklGRg=="})")),
           reply(got(
               R"({"type":"response.output_audio_transcript.delta","response_id":"resp_a","delta":"Hello"})")),
           reply(got(
               R"({"type":"error","error":{"type":"invalid_request_error","code":"bad_cancel","message":"x"}})")),
           reply(response("resp_a", "response.done", "completed", usage)),
           ask(sent(R"({"type":"response.create","response":{"max_output_tokens":40}})")),
           reply(response("resp_b", "response.created", "in_progress", "")),
           reply(response(
               "resp_b", "response.done", "failed",
               R"(,"status_details":{"type":"failed","error":{"type":"server_error","code":"rate_limit_exceeded"}})")),
           // The one who speaks breaks in; what was generated is billed.
           reply(response("resp_c", "response.created", "in_progress", "")),
           reply(got(R"({"type":"response.output_text.delta","response_id":"resp_c","delta":"Well"})")),
           reply(response(
               "resp_c", "response.done", "cancelled",
               R"(,"status_details":{"type":"cancelled","reason":"turn_detected"},"usage":{"input_tokens":9,"output_tokens":2,"total_tokens":11,"input_token_details":{"text_tokens":4,"audio_tokens":3,"image_tokens":2,"cached_tokens":5}})")),
           ask(sent(R"({"type":"response.create","event_id":"e7"})")),
           reply(got(
               R"({"event_id":"x","type":"error","error":{"type":"invalid_request_error","code":"conversation_already_has_active_response","message":"no","event_id":"e7"}})"))}),
      {{"operation=realtime", "route=/v1/realtime", "requested_model=gpt-realtime",
        "response_model=gpt-realtime-2025-08-28",
        "tokens=132/121 cached=64 audio_in=13 audio_out=91 reported", "outcome=ok", "finish=stop,completed",
        "first_content_ms=70", "first_token_ms=60", "chunks=3/2", "request_ms=50-50"},
       {"outcome=stream_error", "error=rate_limit,rate_limit_exceeded", "max_tokens=40",
        "response_id=resp_b"},
       {"outcome=client_aborted", "finish=other,turn_detected", "incomplete=0", "abort=0",
        "tokens=9/2 cached=5 audio_in=3 image_in=2 reported", "response_id=resp_c"},
       {"outcome=stream_error", "error=invalid_request,conversation_already_has_active_response"}}};
}

Want gemini_live() {
  return {
      "GeminiLive",
      on_socket(
          "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent?key=k",
          {ask(sent(R"({"setup":{"model":"models/gemini-live"}})")),
           reply(got(R"({"setupComplete":{}})", kFin | kBinary)),
           ask(sent(
               R"({"clientContent":{"turns":[{"role":"user","parts":[{"text":"hi"}]}],"turnComplete":true}})")),
           reply(got(
               R"({"serverContent":{"modelTurn":{"parts":[{"inlineData":{"mimeType":"audio/pcm","data":"AAAA"}}]}}})")),
           reply(got(R"({"serverContent":{"modelTurn":{"parts":[{"text":"Hello"}]}}})")),
           reply(got(R"({"serverContent":{"turnComplete":true}})")),
           reply(got(
               R"({"usageMetadata":{"promptTokenCount":7,"responseTokenCount":9,"thoughtsTokenCount":2,"totalTokenCount":18}})")),
           ask(sent(R"({"realtimeInput":{"mediaChunks":[{"data":"AAAA"}]}})")),
           reply(got(R"({"toolCall":{"functionCalls":[{"id":"f1","name":"look","args":{}}]}})")),
           ask(sent(R"({"toolResponse":{"functionResponses":[]}})")),
           reply(got(
               R"({"serverContent":{"turnComplete":true},"usageMetadata":{"promptTokenCount":20,"responseTokenCount":1,"totalTokenCount":21}})")),
           // Context alone asks for nothing; who speaks is heard while the answer is given.
           ask(sent(R"({"clientContent":{"turns":[{"role":"user","parts":[{"text":"by the way"}]}]}})")),
           ask(sent(R"({"realtimeInput":{"text":"go on"}})")),
           reply(got(R"({"serverContent":{"inputTranscription":{"text":"go on"}}})")),
           reply(got(
               R"({"serverContent":{"modelTurn":{"parts":[{"text":"thinking","thought":true},{"inlineData":{"mimeType":"audio/pcm","data":"AAAA"}}]}}})")),
           reply(got(R"({"serverContent":{"outputTranscription":{"text":"Well"}}})")),
           ask(sent(R"({"realtimeInput":{"activityStart":{}}})")),
           reply(got(R"({"serverContent":{"interrupted":true}})")),
           reply(got(
               R"({"serverContent":{"turnComplete":true},"usageMetadata":{"promptTokenCount":30,"cachedContentTokenCount":8,"responseTokenCount":4,"thoughtsTokenCount":1,"toolUsePromptTokenCount":2,"totalTokenCount":37,"promptTokensDetails":[{"modality":"AUDIO","tokenCount":25}],"responseTokensDetails":[{"modality":"AUDIO","tokenCount":3}]}})")),
           reply(got(R"({"sessionResumptionUpdate":{"newHandle":"h"}})")),
           reply(got(R"({"goAway":{"timeLeft":"9s"}})"))}),
      {{"operation=realtime", "route=/ws/BidiGenerateContent", "requested_model=gemini-live",
        "tokens=7/11 reasoning=2 reported", "outcome=ok", "first_token_ms=60", "first_content_ms=70",
        "request_ms=50-50"},
       {"tokens=20/1 reported", "tools=1 look", "outcome=ok", "finish=tool,stop"},
       {"tokens=32/5 cached=8 reasoning=1 audio_in=25 audio_out=3 reported", "outcome=client_aborted",
        "finish=other,interrupted", "first_reasoning_ms=170", "first_content_ms=180"}}};
}

// What was said is written down by a model of its own, while the answer is given or behind it: a call of
// its own, whose usage is nobody else's (API reference, conversation.item.input_audio_transcription.*).
Want transcriptions() {
  const std::string of = R"({"type":"conversation.item.input_audio_transcription.)";
  return {
      "Transcriptions",
      on_socket(
          "/v1/realtime?model=gpt-realtime",
          {reply(got(
               R"({"type":"session.created","session":{"type":"realtime","id":"sess_1","model":"gpt-realtime-2025-08-28","tools":[{"model":"no"}],"audio":{"input":{"turn_detection":{"model":"no"},"transcription":null},"output":{"model":"no"}}}})")),
           ask(sent(
               R"({"type":"session.update","session":{"type":"realtime","audio":{"input":{"transcription":{"language":"en","model":"gpt-4o-transcribe"}}}}})")),
           reply(response("resp_a", "response.created", "in_progress", "")),
           reply(got(of + R"(delta","event_id":"e1","item_id":"item_1","content_index":0,"delta":"Hel"})")),
           reply(got(of + R"(delta","event_id":"e2","item_id":"item_2","content_index":0,"delta":"By"})")),
           reply(got(R"({"type":"response.output_audio.delta","response_id":"resp_a","delta":"UklGRg=="})")),
           reply(got(
               of +
               R"(completed","event_id":"e3","item_id":"item_1","content_index":0,"transcript":"Hello","usage":{"type":"tokens","total_tokens":48,"input_tokens":38,"input_token_details":{"text_tokens":10,"audio_tokens":28},"output_tokens":10}})")),
           reply(response(
               "resp_a", "response.done", "completed",
               R"(,"usage":{"total_tokens":30,"input_tokens":20,"output_tokens":10,"input_token_details":{"text_tokens":1,"audio_tokens":19}})")),
           reply(got(
               of +
               R"(failed","event_id":"e4","item_id":"item_2","content_index":0,"error":{"type":"transcription_error","code":"audio_unintelligible","message":"no"}})")),
           reply(got(
               R"({"type":"session.updated","session":{"input_audio_transcription":{"model":"whisper-1"}}})")),
           reply(got(
               of +
               R"(completed","event_id":"e5","item_id":"item_3","content_index":0,"transcript":"Bye","usage":{"type":"duration","seconds":90}})"))}),
      {{"provider=openai", "operation=audio_transcription", "route=/v1/realtime",
        "requested_model=gpt-4o-transcribe", "response_model=gpt-4o-transcribe",
        "tokens=38/10 audio_in=28 reported", "outcome=ok", "chunks=2/1", "first_content_ms=60", "end_ms=90",
        "response_id="},
       {"operation=realtime", "response_id=resp_a", "requested_model=gpt-realtime",
        "response_model=gpt-realtime-2025-08-28", "tokens=20/10 audio_in=19 reported", "outcome=ok",
        "chunks=2/1"},
       {"operation=audio_transcription", "outcome=stream_error", "tokens=-/- none",
        "requested_model=gpt-4o-transcribe"},
       {"operation=audio_transcription", "requested_model=whisper-1", "tokens=-/- none", "outcome=ok"}}};
}

// RFC 8441, with the Responses API's lanes: two conversations at once on one stream.
Want over_http2() {
  h2::Encoder client, server;
  const auto create = [](const std::string& lane) {
    return sent(R"({"type":"response.create","model":"m-)" + lane + R"(","input":"x","stream_id":")" + lane +
                "\"}");
  };
  const auto event = [](const std::string& lane, const std::string& type, const std::string& more) {
    return got(R"({"type":")" + type + R"(","stream_id":")" + lane + "\"," + more + "}");
  };
  const auto whole = [](const std::string& id, int tokens) {
    return R"("response":{"id":")" + id +
           R"(","object":"response","status":"completed","usage":{"input_tokens":)" + std::to_string(tokens) +
           R"(,"output_tokens":1,"total_tokens":)" + std::to_string(tokens + 1) + "}}";
  };
  return {
      "OverHttp2",
      {ask(h2::kPreface + h2::kSettings +
           client.headers(1, {{":method", "CONNECT"},
                              {":protocol", "websocket"},
                              {":scheme", "https"},
                              {":path", "/v1/responses"},
                              {":authority", "api.openai.com"},
                              {"sec-websocket-version", "13"},
                              {"sec-websocket-protocol", "responses, openai-insecure-api-key.sk-test-1"}})),
       reply(h2::kSettings + server.headers(1, {{":status", "200"}})),
       ask(h2::data(1, create("a") + create("b"))),
       reply(h2::data(1, event("b", "response.created", R"("response":{"id":"resp_b"})"))),
       reply(h2::data(1, event("a", "response.created", R"("response":{"id":"resp_a"})"))),
       reply(h2::data(1, event("a", "response.output_text.delta", R"("delta":"A")"))),
       reply(h2::data(1, event("b", "response.output_text.delta", R"("delta":"B")"))),
       reply(h2::data(1, event("b", "response.completed", whole("resp_b", 20)))),
       reply(h2::data(1, event("a", "response.completed", whole("resp_a", 10)))),
       close_by(EndReason::kClosed)},
      {{"operation=responses", "requested_model=m-b", "response_id=resp_b", "tokens=20/1 reported",
        "first_content_ms=70", "end_ms=80", "outcome=ok"},
       {"operation=responses", "requested_model=m-a", "response_id=resp_a", "tokens=10/1 reported",
        "first_content_ms=60", "end_ms=90", "outcome=ok"}}};
}

class WebSocketCallsTest : public ::testing::TestWithParam<Want> {};

TEST_P(WebSocketCallsTest, MakesTheSameCallsHoweverTheyAreSplit) {
  const Want& row = GetParam();
  const WireCalls whole = calls_of(row.script);
  ASSERT_EQ(whole.calls.size(), row.calls.size());
  EXPECT_EQ(whole.exchanges, row.calls.size() + 1);  // the upgrade is one, and no call
  for (size_t i = 0; i < row.calls.size(); ++i) {
    const std::string text = call_text(whole.calls[i]);
    for (const std::string& want : row.calls[i]) EXPECT_THAT(text, ::testing::HasSubstr("\n" + want + "\n"));
    EXPECT_FALSE(whole.calls[i].key_sha256.empty());
  }
  for (const size_t piece : {1, 2, 5, 31}) {
    const WireCalls split = calls_of(row.script, piece);
    ASSERT_EQ(split.calls.size(), whole.calls.size());
    for (size_t i = 0; i < whole.calls.size(); ++i)
      EXPECT_EQ(call_text(split.calls[i]), call_text(whole.calls[i])) << "pieces of " << piece;
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, WebSocketCallsTest,
                         ::testing::Values(responses(), realtime(), transcriptions(), gemini_live(),
                                           over_http2()),
                         case_name);

TEST(WebSocketCalls, ATranscriptionIsPricedByItsModelAlone) {
  const std::shared_ptr<const PriceTable> prices =
      PriceTable::parse(
          R"({"whisper-1":{"litellm_provider":"openai","mode":"audio_transcription","input_cost_per_second":0.0001},"gpt-realtime":{"litellm_provider":"openai","mode":"realtime","input_cost_per_token":0.001,"output_cost_per_token":0.01}})",
          "test")
          .value();
  const auto cost = [&](const std::string& session, const std::string& usage) {
    const WireCalls read = calls_of(
        on_socket(
            "/v1/realtime?model=gpt-realtime",
            {reply(got(R"({"type":"session.created","session":{"model":"gpt-realtime")" + session + "}}")),
             reply(got(
                 R"({"type":"conversation.item.input_audio_transcription.completed","item_id":"i","transcript":"Hi","usage":)" +
                 usage + "}"))}),
        1 << 20, prices);
    EXPECT_EQ(read.calls.size(), 1U);
    return std::pair(read.calls.at(0).cost_usd, read.calls.at(0).price_missing);
  };
  const std::string named = R"(,"audio":{"input":{"transcription":{"model":"whisper-1"}}})";
  const auto by_second = cost(named, R"({"type":"duration","seconds":90})");
  ASSERT_TRUE(by_second.first);
  EXPECT_NEAR(*by_second.first, 90 * 0.0001, 1e-12);
  // Nobody said which model it was: not the one that answers.
  const std::string tokens = R"({"type":"tokens","input_tokens":38,"output_tokens":10,"total_tokens":48})";
  EXPECT_EQ(cost("", tokens), std::pair(std::optional<double>(), true));
}

TEST(WebSocketCalls, ARefusedUpgradeIsACall) {
  const std::string body =
      R"({"error":{"type":"invalid_request_error","code":"invalid_api_key","message":"no"}})";
  const WireCalls read =
      calls_of({ask(upgrade_request("/v1/realtime?model=m")),
                reply("HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: " +
                      std::to_string(body.size()) + "\r\n\r\n" + body),
                close_by(EndReason::kClosed)});
  ASSERT_EQ(read.calls.size(), 1U);
  EXPECT_EQ(read.calls[0].status, 401);
  EXPECT_EQ(read.calls[0].error_class, "auth");
  h2::Encoder client, server;
  const WireCalls over_http2 = calls_of(
      {ask(h2::kPreface + h2::kSettings +
           client.headers(1, {{":method", "CONNECT"},
                              {":protocol", "websocket"},
                              {":scheme", "https"},
                              {":path", "/v1/realtime?model=m%2Fn"},
                              {":authority", "gateway"},
                              {"sec-websocket-version", "13"}})),
       reply(h2::kSettings + server.headers(1, {{":status", "429"}}, h2::kEndHeaders | h2::kEndStream)),
       close_by(EndReason::kClosed)});
  ASSERT_EQ(over_http2.calls.size(), 1U);
  EXPECT_EQ(over_http2.calls[0].status, 429);
  EXPECT_EQ(over_http2.calls[0].requested_model, "m/n");
}

TEST(WebSocketCalls, KeysAreKnownByTheirHashAlone) {
  const auto key_of = [](const std::string& path, const std::string& fields) {
    const WireCalls read =
        calls_of({ask(upgrade_request(path, fields)), reply(upgrade_reply()),
                  ask(sent(R"({"type":"response.create","model":"m"})")), close_by(EndReason::kClosed)});
    EXPECT_EQ(read.calls.size(), 1U);
    EXPECT_EQ(call_text(read.calls.at(0)).find("sk-secret"), std::string::npos);
    return read.calls.at(0).key_sha256;
  };
  const std::string by_header = key_of("/v1/realtime?model=m", "Authorization: Bearer sk-secret\r\n");
  EXPECT_FALSE(by_header.empty());
  EXPECT_EQ(
      key_of(
          "/v1/realtime?model=m",
          "Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.sk-secret, openai-beta.realtime-v1\r\n"),
      by_header);
  EXPECT_EQ(
      key_of("/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent?key=sk-secret",
             "x-goog-api-client: a\r\n"),
      by_header);
}

}  // namespace
}  // namespace llmtap::test
