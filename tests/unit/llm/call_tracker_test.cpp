// SPDX-License-Identifier: Apache-2.0
#include "llm/call_tracker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/llm/call_text.h"
#include "unit/llm/exchange_text.h"

namespace llmtap {
namespace {

using test::ExchangeText;
using test::Player;
using test::RecordingSink;
using ::testing::HasSubstr;
using How = ExchangeEnd::How;

ConnectionFacts client_connection() {
  ConnectionFacts connection;
  connection.id = 7;
  connection.role = Role::kClient;
  connection.source = Source::kOpenSsl;
  connection.first_byte_seen = true;
  connection.process.tgid = 42;
  return connection;
}

struct Tracked {
  RecordingSink sink;
  CallTracker tracker;
  explicit Tracked(CallTrackerOptions options = {}, Limits limits = {})
      : tracker(
            limits, options,
            [](ProcessKey key) {
              auto facts = std::make_shared<ProcessFacts>();
              facts->key = key;
              facts->workload = "app" + std::to_string(key.tgid);
              return facts;
            },
            sink, sink) {
    tracker.on_clock({.monotonic_ns = 0, .boottime_ns = 0, .realtime_ns = 1'700'000'000'000'000'000});
  }
  void play(const ExchangeText& text, size_t piece = 1 << 20,
            ConnectionFacts connection = client_connection(), uint64_t number = 0) {
    Player(tracker, std::move(connection), piece).play(text, number);
  }
};

std::string post(const std::string& host, const std::string& path, const std::string& body) {
  return "POST " + path + " HTTP/1.1\nhost: " + host + "\ncontent-type: application/json\n\n" + body;
}
std::string json_reply(const std::string& body, const std::string& status = "200 OK") {
  return "HTTP/1.1 " + status + "\ncontent-type: application/json\n\n" + body;
}
std::string sse(const std::vector<std::string>& data) {
  std::string reply = "HTTP/1.1 200 OK\ncontent-type: text/event-stream; charset=utf-8\n\n";
  for (const std::string& event : data) reply += "data: " + event + "\n\n";
  return reply;
}
std::string lines(const std::vector<std::string>& data) {
  std::string reply = "HTTP/1.1 200 OK\ncontent-type: application/x-ndjson\n\n";
  for (const std::string& line : data) reply += line + "\n";
  return reply;
}

const std::string kChatRequest = post(
    "api.openai.com", "/v1/chat/completions",
    R"({"messages":[{"role":"system","content":"Be short."},{"role":"user","content":"Say hi, \"usage\":{\"prompt_tokens\":999}"}],)"
    R"("model":"gpt-4o-mini","stream":true,"stream_options":{"include_usage":true},"max_tokens":64,"temperature":0.5,"n":1})");
const std::string kChunk0 =
    R"({"id":"chatcmpl-1","object":"chat.completion.chunk","model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null})";
std::string chunk(const std::string& content) {
  return R"({"id":"chatcmpl-1","object":"chat.completion.chunk","model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"delta":{"content":")" +
         content + R"("},"finish_reason":null}],"usage":null})";
}
const std::string kStop =
    R"({"id":"chatcmpl-1","object":"chat.completion.chunk","model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null})";
const std::string kUsage =
    R"({"id":"chatcmpl-1","object":"chat.completion.chunk","model":"gpt-4o-mini-2024-07-18","choices":[],"usage":{"prompt_tokens":25,"completion_tokens":3,"total_tokens":28,"prompt_tokens_details":{"cached_tokens":5},"completion_tokens_details":{"reasoning_tokens":0}}})";

const std::string kAnthropicRequest = post(
    "api.anthropic.com", "/v1/messages?beta=true",
    R"({"model":"claude-x","max_tokens":100,"system":"s","messages":[{"role":"user","content":[{"type":"text","text":"hello"}]}],"stream":true})");
const std::string kMessageStart =
    R"({"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-x-1","content":[],"stop_reason":null,"usage":{"input_tokens":9,"cache_read_input_tokens":100,"cache_creation_input_tokens":20,"output_tokens":1}}  })";
std::string anthropic_text(const std::string& text) {
  return R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":")" + text +
         R"("}   })";
}
const std::string kMessageDelta =
    R"({"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":12}   })";

const std::string kGeminiRequest = post(
    "generativelanguage.googleapis.com", "/v1beta/models/gemini-x:streamGenerateContent?alt=sse",
    R"({"contents":[{"role":"user","parts":[{"text":"hello"}]}],"generationConfig":{"maxOutputTokens":9}})");
const std::string kGemini1 =
    R"({"candidates":[{"content":{"parts":[{"text":"think","thought":true}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":4,"totalTokenCount":4},"modelVersion":"gemini-x-001","responseId":"r1"})";
const std::string kGemini2 =
    R"({"candidates":[{"content":{"parts":[{"text":"Hi"},{"functionCall":{"name":"look","args":{"usageMetadata":{"promptTokenCount":77}}}}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":4,"candidatesTokenCount":2,"thoughtsTokenCount":6,"cachedContentTokenCount":1,"totalTokenCount":12},"modelVersion":"gemini-x-001","responseId":"r1"})";

struct Case {
  std::string name;
  ExchangeText text;
  std::vector<std::string> want;  // lines of call_text()
};

class CallTrackerTest : public ::testing::TestWithParam<Case> {};

TEST_P(CallTrackerTest, MakesTheSameCallHoweverItIsSplit) {
  const Case& c = GetParam();
  Tracked whole;
  whole.play(c.text);
  ASSERT_EQ(whole.sink.finished.size(), 1u);
  const std::string text = test::call_text(whole.sink.finished[0]);
  for (const std::string& want : c.want) EXPECT_THAT(text, HasSubstr("\n" + want + "\n"));
  EXPECT_EQ(whole.sink.opened.size(), 1u);
  EXPECT_EQ(whole.tracker.open_exchanges(), 0u);
  for (size_t piece = 1; piece <= 64; piece += piece < 8 ? 1 : 7) {
    Tracked split;
    split.play(c.text, piece);
    ASSERT_EQ(split.sink.finished.size(), 1u) << piece;
    ASSERT_EQ(test::call_text(split.sink.finished[0]), text) << piece;
    const StageBooks& books = split.tracker.books();
    EXPECT_EQ(books.bytes_in, books.bytes_out + books.bytes_lost);
    EXPECT_EQ(books.items_in, books.items_out + books.items_lost);
    EXPECT_EQ(split.tracker.counters().calls_opened, split.tracker.counters().calls_finished);
  }
}

// clang-format off: a case is read as its request, its reply and the call's fields, not as one field a line
INSTANTIATE_TEST_SUITE_P(
    OpenAiChat, CallTrackerTest,
    ::testing::Values(
        Case{"Stream", {kChatRequest, sse({kChunk0, chunk("Hi"), chunk(" there"), kStop, kUsage, "[DONE]"})},
             {"provider=openai", "operation=chat", "dialect=openai_chat", "route=/v1/chat/completions", "host=api.openai.com",
              "requested_model=gpt-4o-mini", "response_model=gpt-4o-mini-2024-07-18", "stream=1", "outcome=ok", "status=200",
              "max_tokens=64", "temperature=0.5", "tokens=25/3 cached=5 reasoning=0 reported", "finish=stop,stop",
              "chunks=5/2", "response_id=chatcmpl-1", "first_token_ms=1210", "last_token_ms=1220", "gaps=1", "incomplete=0", "abort=0"}},
        Case{"Plain", {kChatRequest, json_reply(R"({"id":"chatcmpl-2","object":"chat.completion","model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":"the \"usage\":{\"prompt_tokens\":1}","refusal":null},"finish_reason":"length"}],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9},"service_tier":"default"})")},
             {"stream=0", "tokens=7/2 reported", "finish=length,length", "outcome=ok", "chunks=0/0", "service_tier=default", "first_token_ms=0"}},
        Case{"EstimatedWithoutUsage", {kChatRequest, sse({kChunk0, chunk("Hello there, this is it"), kStop, "[DONE]"})},
             {"outcome=ok", "tokens=20/6 estimated", "chunks=3/1"}},
        Case{"DoneMissingAfterFinish", {kChatRequest, sse({kChunk0, chunk("Hi"), kStop})}, {"outcome=ok", "incomplete=0"}},
        Case{"NoTerminator", {kChatRequest, sse({kChunk0, chunk("Hi")})},
             {"outcome=truncated", "incomplete=1", "abort=5", "error=truncated,"}},
        Case{"ClientAborts", {kChatRequest, sse({kChunk0, chunk("Hi"), chunk("!")}), How::kClientAborted, Defect::kTruncated},
             {"outcome=client_aborted", "abort=1", "incomplete=1", "error=client_aborted,"}},
        Case{"ServerAborts", {kChatRequest, sse({kChunk0, chunk("Hi")}), How::kServerAborted, Defect::kTruncated},
             {"outcome=truncated", "abort=2"}},
        Case{"HalfEventIsDiscarded", {kChatRequest, sse({kChunk0, chunk("Hi")}) + "data: " + kUsage.substr(0, kUsage.size() - 10), How::kServerAborted, Defect::kTruncated, true},
             {"outcome=truncated", "chunks=2/1"}},
        Case{"ErrorEvent", {kChatRequest, sse({kChunk0, chunk("Hi"), R"({"error":{"message":"Rate limit reached for org-abc","type":"tokens","code":"rate_limit_exceeded"}})"})},
             {"outcome=stream_error", "abort=3", "error=rate_limit,rate_limit_exceeded"}},
        Case{"Error", {kChatRequest, json_reply(R"({"error":{"message":"Incorrect API key provided: sk-abcdefghijklmnopqrstuvwxyz123456","type":"invalid_request_error","param":null,"code":"invalid_api_key"}})", "401 Unauthorized")},
             {"outcome=auth_error", "error=auth,invalid_api_key", "tokens=-/- none", "stream=1"}},
        Case{"Quota", {kChatRequest, json_reply(R"({"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}})", "429 Too Many Requests")},
             {"outcome=rate_limited", "error=quota,insufficient_quota", "limit_type=quota"}},
        Case{"HtmlError", {kChatRequest, "HTTP/1.1 502 Bad Gateway\ncontent-type: text/html\n\n<html>{\"error\":1}</html>"},
             {"outcome=server_error", "error=server,"}},
        Case{"NoReply", {kChatRequest, "", How::kNoResponse}, {"outcome=connection_error", "status=0", "abort=2", "stream=1"}},
        Case{"AzureEmptyChoicesFirst",
             {post("res.openai.azure.com", "/openai/deployments/my-dep/chat/completions?api-version=2024-10-21", R"({"messages":[{"role":"user","content":"x"}],"stream":true})"),
              sse({R"({"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0,"content_filter_results":{}}]})", kChunk0, chunk("Hi"), kStop, kUsage, "[DONE]"})},
             {"provider=azure.ai.openai", "requested_model=my-dep", "response_model=gpt-4o-mini-2024-07-18", "response_id=chatcmpl-1", "first_token_ms=1220", "chunks=5/1", "tokens=25/3 cached=5 reasoning=0 reported", "route=/openai/deployments/{d}/chat/completions"}},
        Case{"ToolsByIndex",
             {kChatRequest,
              sse({R"({"id":"c","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"get_weather","arguments":""}}]}}]})",
                   R"({"id":"c","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]}}]})",
                   R"({"id":"c","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"call_2","function":{"name":"other","arguments":"{}"}}]}}]})",
                   R"({"id":"c","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]})", "[DONE]"})},
             {"tools=2 get_weather,other", "finish=tool,tool_calls", "chunks=4/3", "first_tool_ms=1200"}},
        Case{"ChoicesByIndex",
             {kChatRequest,
              sse({R"({"object":"chat.completion.chunk","choices":[{"finish_reason":"length","delta":{},"index":1}]})",
                   R"({"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})", "[DONE]"})},
             {"finish=stop,stop,length"}},
        Case{"GroqUsageElsewhere", {post("api.groq.com", "/openai/v1/chat/completions", R"({"model":"m","messages":[{"role":"user","content":"x"}],"stream":true})"),
              sse({kChunk0, R"({"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"reasoning":"hm"}}]})", R"({"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"x_groq":{"id":"req","usage":{"prompt_tokens":11,"completion_tokens":5,"total_tokens":16}}})", "[DONE]"})},
             {"provider=groq", "tokens=11/5 reported", "first_reasoning_ms=1210", "first_content_ms=0"}},
        Case{"XaiReasoningOutside", {post("api.x.ai", "/v1/chat/completions", R"({"model":"grok","messages":[{"role":"user","content":"x"}]})"),
              json_reply(R"({"id":"a","object":"chat.completion","model":"grok-1","choices":[{"index":0,"message":{"content":"y"},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":1,"total_tokens":303,"completion_tokens_details":{"reasoning_tokens":290}}})")},
             {"provider=x_ai", "tokens=12/291 reasoning=290 reported"}},
        Case{"DeepSeekCache", {post("api.deepseek.com", "/chat/completions", R"({"model":"deepseek-chat","messages":[{"role":"user","content":"x"}]})"),
              "HTTP/1.1 200 OK\ncontent-type: application/json\n\n\n\n\n" R"({"id":"a","object":"chat.completion","model":"d","choices":[{"index":0,"message":{"content":"y","reasoning_content":"z"},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":2,"total_tokens":14,"prompt_cache_hit_tokens":8,"prompt_cache_miss_tokens":4}})"},
             {"provider=deepseek", "tokens=12/2 cached=8 reported"}},
        Case{"OpenRouterErrorAt200", {post("openrouter.ai", "/api/v1/chat/completions", R"({"model":"a/b","messages":[{"role":"user","content":"x"}]})"),
              json_reply(R"({"error":{"message":"No endpoints","code":404}})")}, {"provider=openrouter", "outcome=stream_error", "error=not_found,404", "tokens=-/- none"}},
        Case{"OpenRouterCost", {post("openrouter.ai", "/api/v1/chat/completions", R"({"model":"a/b","messages":[{"role":"user","content":"x"}]})"),
              json_reply(R"({"id":"gen-1","object":"chat.completion","model":"a/b","choices":[{"index":0,"message":{"content":"y"},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":2,"total_tokens":14,"cost":0.0015}})")},
             {"cost=0.0015 header"}}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    OtherOpenAi, CallTrackerTest,
    ::testing::Values(
        Case{"Completions", {post("10.0.0.1:8000", "/v1/completions", R"({"prompt":"once","model":"llama","max_tokens":5,"stream":true})"),
              sse({R"({"id":"cmpl-1","object":"text_completion","model":"llama","choices":[{"index":0,"text":"a","finish_reason":null}]})",
                   R"({"id":"cmpl-1","object":"text_completion","model":"llama","choices":[{"index":0,"text":"","finish_reason":"length"}]})", "[DONE]"})},
             {"provider=openai_compatible", "operation=text_completion", "dialect=openai_completions", "host=10.0.0.1:8000", "finish=length,length", "chunks=2/1"}},
        Case{"Embeddings", {post("api.openai.com", "/v1/embeddings", R"({"input":["one","two"],"model":"emb"})"),
              json_reply(R"({"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.1,-2e-3,1]}],"model":"emb-1","usage":{"prompt_tokens":2,"total_tokens":2}})")},
             {"operation=embeddings", "dialect=openai_embeddings", "tokens=2/- reported", "outcome=ok", "response_model=emb-1"}},
        Case{"ResponsesStream", {post("api.openai.com", "/v1/responses", R"({"model":"gpt-x","input":"hi","stream":true,"previous_response_id":"resp_0","conversation":{"id":"conv_1"}})"),
              sse({R"({"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","status":"in_progress","model":"gpt-x-1","output":[],"usage":null,"error":null}})",
                   R"({"type":"response.output_item.added","item":{"id":"fc_1","type":"function_call","name":"look","arguments":""}})",
                   R"({"type":"response.function_call_arguments.delta","item_id":"fc_1","delta":"{}"})",
                   R"({"type":"response.output_text.delta","item_id":"msg_1","delta":"Hi"})",
                   R"({"type":"response.output_item.done","item":{"id":"fc_1","type":"function_call","name":"look","arguments":"{}"}})",
                   R"({"type":"response.completed","response":{"id":"resp_1","object":"response","status":"completed","model":"gpt-x-1","output":[{"id":"fc_1","type":"function_call","name":"look"}],"usage":{"input_tokens":36,"input_tokens_details":{"cached_tokens":4},"output_tokens":8,"output_tokens_details":{"reasoning_tokens":3},"total_tokens":44}}})"})},
             {"operation=responses", "dialect=openai_responses", "tokens=36/8 cached=4 reasoning=3 reported", "finish=tool,completed", "tools=1 look", "first_tool_ms=1210", "first_content_ms=1230", "response_id=resp_1", "previous=resp_0", "conversation=conv_1", "outcome=ok", "chunks=5/3"}},
        Case{"ResponsesIncomplete", {post("api.openai.com", "/v1/responses", R"({"model":"gpt-x","input":[{"role":"user","content":"hi"}]})"),
              json_reply(R"({"id":"resp_1","object":"response","status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"error":null,"model":"gpt-x-1","output":[{"id":"msg_1","type":"message","content":[{"type":"output_text","text":"abc"}]}],"usage":{"input_tokens":3,"output_tokens":8,"total_tokens":11}})")},
             {"finish=length,max_output_tokens", "outcome=ok", "tokens=3/8 reported"}},
        Case{"ResponsesFailed", {post("api.openai.com", "/v1/responses", R"({"model":"gpt-x","input":"hi","stream":true})"),
              sse({R"({"type":"response.created","response":{"id":"resp_1","object":"response","status":"in_progress","model":"gpt-x-1","error":null}})",
                   R"({"type":"response.failed","response":{"id":"resp_1","object":"response","status":"failed","error":{"code":"server_error","message":"x"}}})"})},
             {"outcome=stream_error", "error=server,server_error", "abort=3", "finish=error,failed"}},
        Case{"ResponsesCut", {post("api.openai.com", "/v1/responses", R"({"model":"gpt-x","input":"hi","stream":true})"),
              sse({R"({"type":"response.created","response":{"id":"resp_1","object":"response","status":"in_progress","model":"gpt-x-1"}})",
                   R"({"type":"response.output_text.delta","delta":"12345678"})"}), How::kClientAborted, Defect::kTruncated},
             {"outcome=client_aborted", "finish=,"}}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Anthropic, CallTrackerTest,
    ::testing::Values(
        Case{"Stream", {kAnthropicRequest, sse({kMessageStart, R"({"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}})", R"({"type": "ping"})", anthropic_text("Hi"), anthropic_text(" you"),
              R"({"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"look","input":{}}})", R"({"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"usage\":{\"input_tokens\":5}}"}})",
              kMessageDelta, R"({"type":"message_stop"         })"})},
             {"provider=anthropic", "operation=messages", "dialect=anthropic_messages", "route=/v1/messages", "tokens=129/12 cached=100 write=20 reported", "finish=stop,end_turn", "tools=1 look", "outcome=ok", "first_content_ms=1230", "first_tool_ms=1250", "chunks=8/4", "response_model=claude-x-1"}},
        Case{"Plain", {kAnthropicRequest, json_reply(R"({"id":"msg_1","type":"message","role":"assistant","model":"claude-x-1","content":[{"type":"text","text":"usage"},{"type":"tool_use","id":"toolu_1","name":"look","input":{"usage":{"input_tokens":1}}}],"stop_reason":"tool_use","usage":{"input_tokens":9,"cache_creation_input_tokens":20,"cache_creation":{"ephemeral_5m_input_tokens":5,"ephemeral_1h_input_tokens":15},"cache_read_input_tokens":100,"output_tokens":12,"service_tier":"standard"}})")},
             {"tokens=129/12 cached=100 write=20 write1h=15 reported", "finish=tool,tool_use", "tools=1 look", "stream=0", "service_tier=standard"}},
        Case{"CutBetweenStartAndDelta", {kAnthropicRequest, sse({kMessageStart, anthropic_text("12345678901234567890123456789012345")}), How::kServerAborted, Defect::kTruncated},
             {"tokens=129/10 cached=100 write=20 estimated", "outcome=truncated", "incomplete=1"}},
        Case{"ErrorEvent", {kAnthropicRequest, sse({kMessageStart, R"({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}})"})},
             {"outcome=stream_error", "error=overloaded,overloaded_error", "abort=3"}},
        Case{"Error", {kAnthropicRequest, json_reply(R"({"type":"error","error":{"type":"rate_limit_error","message":"slow"},"request_id":"req_1"})", "429 Too Many Requests")},
             {"outcome=rate_limited", "error=rate_limit,rate_limit_error"}},
        Case{"DeltaOverwritesInput", {kAnthropicRequest, sse({kMessageStart, R"({"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":3042,"cache_read_input_tokens":0,"cache_creation_input_tokens":null,"output_tokens":15}})", R"({"type":"message_stop"})"})},
             {"tokens=3062/15 cached=0 write=20 reported"}},
        Case{"UnknownHostByBody", {post("proxy.internal", "/custom", R"({"model":"claude-x","max_tokens":100,"system":"s","messages":[{"role":"user","content":"hello"}]})"), json_reply(R"({"id":"msg_1","type":"message","role":"assistant","model":"c","content":[],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":2}})")},
             {"provider=anthropic", "operation=messages", "tokens=1/2 reported", "route=/custom"}},
        Case{"CountTokens", {post("api.anthropic.com", "/v1/messages/count_tokens", R"({"model":"claude-x","messages":[{"role":"user","content":"hello"}]})"), json_reply(R"({"input_tokens":7})")},
             {"operation=count_tokens", "tokens=-/- none", "outcome=ok"}}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Gemini, CallTrackerTest,
    ::testing::Values(
        Case{"Sse", {kGeminiRequest, sse({kGemini1, kGemini2})},
             {"provider=gcp.gemini", "operation=generate_content", "dialect=gemini_generate", "requested_model=gemini-x", "response_model=gemini-x-001", "tokens=4/8 cached=1 reasoning=6 reported", "finish=tool,STOP", "tools=1 look", "first_reasoning_ms=1200", "first_content_ms=1210", "stream=1", "chunks=2/2", "outcome=ok", "max_tokens=9"}},
        Case{"ArrayStream", {post("generativelanguage.googleapis.com", "/v1beta/models/gemini-x:streamGenerateContent", R"({"contents":[{"parts":[{"text":"hello"}]}]})"), json_reply("[" + kGemini1 + "\r\n,\r\n" + kGemini2 + "\r\n]")},
             {"stream=1", "chunks=2/2", "tokens=4/8 cached=1 reasoning=6 reported", "first_token_ms=1200", "outcome=ok"}},
        Case{"ArrayStreamCut", {post("generativelanguage.googleapis.com", "/v1beta/models/gemini-x:streamGenerateContent", R"({"contents":[{"parts":[{"text":"hello"}]}]})"), json_reply("[" + kGemini1 + "\r\n,\r\n{\"candidates\":[{\"content\""), How::kServerAborted, Defect::kTruncated},
             {"stream=1", "outcome=truncated", "incomplete=1"}},
        Case{"Plain", {post("generativelanguage.googleapis.com", "/v1beta/models/gemini-x:generateContent", R"({"contents":[{"parts":[{"text":"hello"}]}]})"), json_reply(kGemini2)}, {"stream=0", "tokens=4/8 cached=1 reasoning=6 reported", "chunks=0/0"}},
        Case{"Blocked", {post("generativelanguage.googleapis.com", "/v1beta/models/gemini-x:generateContent", R"({"contents":[{"parts":[{"text":"hello"}]}]})"), json_reply(R"({"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":4,"totalTokenCount":4}})")},
             {"outcome=content_blocked", "finish=filter,", "tokens=4/0 reported"}},
        Case{"Error", {kGeminiRequest, json_reply(R"({"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED","details":[{"@type":"x","retryDelay":"34s"}]}})", "429 Too Many Requests")},
             {"outcome=rate_limited", "error=rate_limit,429"}}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Ollama, CallTrackerTest,
    ::testing::Values(
        Case{"ChatLines", {post("localhost:11434", "/api/chat", R"({"model":"llama3","messages":[{"role":"user","content":"hello"}]})"),
              lines({R"({"model":"llama3","created_at":"t","message":{"role":"assistant","content":"","thinking":"hm"},"done":false})",
                     R"({"model":"llama3","created_at":"t","message":{"role":"assistant","content":"Hi"},"done":false})",
                     R"({"model":"llama3","created_at":"t","message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"look","arguments":{"eval_count":9}}}]},"done":false})",
                     R"({"model":"llama3","created_at":"t","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","total_duration":900000000,"prompt_eval_count":7,"eval_count":2,"eval_duration":50000000})"})},
             {"provider=ollama", "operation=chat", "dialect=ollama_chat", "stream=1", "tokens=7/2 reported", "finish=tool,stop", "tools=1 look", "first_reasoning_ms=1200", "first_content_ms=1210", "chunks=4/3", "outcome=ok", "host=localhost:11434"}},
        Case{"GeneratePlain", {post("localhost:11434", "/api/generate", R"({"model":"llama3","prompt":"hello","stream":false})"), json_reply(R"({"model":"llama3","created_at":"t","response":"Hi","done":true,"done_reason":"length","context":[1,2,3],"prompt_eval_count":7,"eval_count":2})")},
             {"dialect=ollama_generate", "stream=0", "tokens=7/2 reported", "finish=length,length"}},
        Case{"GenerateCut", {post("localhost:11434", "/api/generate", R"({"model":"llama3","prompt":"hello"})"), lines({R"({"model":"llama3","created_at":"t","response":"Hi","done":false})"}), How::kServerAborted, Defect::kTruncated},
             {"stream=1", "outcome=truncated", "abort=2"}},
        Case{"ErrorLine", {post("localhost:11434", "/api/chat", R"({"model":"llama3","messages":[{"role":"user","content":"hello"}]})"), lines({R"({"error":"an error was encountered while running the model"})"})},
             {"outcome=stream_error", "abort=3"}},
        Case{"Error", {post("localhost:11434", "/api/chat", R"({"model":"nope","messages":[{"role":"user","content":"hello"}]})"), json_reply(R"({"error":"model 'nope' not found"})", "404 Not Found")},
             {"outcome=not_found", "error=not_found,"}}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    MidStream, CallTrackerTest,
    ::testing::Values(
        Case{"OpenAi", {"", sse({chunk("Hi"), kStop, kUsage, "[DONE]"})}, {"incomplete=3", "dialect=openai_chat", "tokens=25/3 cached=5 reasoning=0 reported", "provider=openai_compatible", "operation=chat"}},
        Case{"Anthropic", {"", json_reply(R"({"id":"msg_1","type":"message","role":"assistant","model":"c","content":[],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":2}})")}, {"incomplete=3", "provider=anthropic", "tokens=1/2 reported"}}),
    [](const auto& test) { return test.param.name; });
// clang-format on

TEST(CallTracker, PlainExchangeIsNoCall) {
  Tracked run;
  run.play({"GET /health HTTP/1.1\nhost: web", "HTTP/1.1 200 OK\ncontent-type: text/plain\n\nok"});
  run.play({post("web", "/api/orders", R"({"model":"x","items":[1]})"),
            json_reply(R"({"id":"1","object":"order"})")},
           3, client_connection(), 1);
  EXPECT_TRUE(run.sink.opened.empty());
  ASSERT_EQ(run.sink.http_finished.size(), 2u);
  EXPECT_EQ(run.sink.http_finished[0].route, "/health");
  EXPECT_EQ(run.sink.http_finished[0].status, 200);
  EXPECT_FALSE(run.sink.http_finished[0].watched);
  // The first by its head alone, the second when its reply was read.
  EXPECT_THAT(run.sink.verdicts, ::testing::ElementsAre(Verdict::kRepeats, Verdict::kTimes));
  EXPECT_EQ(run.tracker.counters().not_llm, 2u);
}

// HTTP/2 met in the middle: of the head only what the static table says, the bodies tell the rest.
TEST(CallTracker, BodiesSayWhatUnknownFieldsDoNot) {
  for (const bool unknown : {true, false}) {
    Tracked tracked;
    const ConnectionFacts connection = client_connection();
    const ExchangeId id{7, 0};
    const auto bytes = [](std::string_view text) {
      return std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size());
    };
    RequestHead request{.method = "POST", .version = HttpVersion::kHttp2, .fields_unknown = unknown};
    tracked.tracker.on_request_head(connection, id, request);
    tracked.tracker.on_body(id, Side::kRequest,
                            bytes(R"({"model":"m-1","messages":[{"role":"user","content":"hi"}]})"), 1);
    tracked.tracker.on_message_end(id, Side::kRequest, {1, 60, 60, Defect::kNone});
    ResponseHead reply{.status = 200, .version = HttpVersion::kHttp2, .fields_unknown = unknown};
    tracked.tracker.on_response_head(connection, id, reply);
    tracked.tracker.on_body(id, Side::kResponse,
                            bytes(R"({"object":"chat.completion","id":"chatcmpl-1","model":"m-1",)"
                                  R"("choices":[{"finish_reason":"stop","message":{"content":"x"}}],)"
                                  R"("usage":{"prompt_tokens":3,"completion_tokens":5}})"),
                            2);
    tracked.tracker.on_message_end(id, Side::kResponse, {2, 150, 150, Defect::kNone});
    tracked.tracker.on_exchange_end(id, {How::kComplete, 2, Defect::kMidStreamAttach});
    ASSERT_EQ(tracked.sink.finished.size(), unknown ? 1U : 0U);
    if (!unknown) continue;
    const LlmCall& call = tracked.sink.finished[0];
    EXPECT_EQ(call.requested_model, "m-1");
    EXPECT_EQ(call.incomplete, Incomplete::kMidStreamAttach);
    EXPECT_EQ(call.http_version, HttpVersion::kHttp2);
  }
}

TEST(CallTracker, BackgroundResponsesAreCountedByTheFirstPollThatFindsThemFinished) {
  Tracked run;
  const auto poll = [&run](uint64_t number, const std::string& body) {
    run.play({"GET /v1/responses/resp_9 HTTP/1.1\nhost: api.openai.com", json_reply(body)}, 1 << 20,
             client_connection(), number);
    return run.sink.finished.back().tokens;
  };
  run.play({post("api.openai.com", "/v1/responses", R"({"model":"m","input":"hello","background":true})"),
            json_reply(R"({"id":"resp_9","object":"response","status":"queued","model":"m","usage":null})")});
  EXPECT_EQ(run.sink.finished.back().tokens.source, TokenSource::kNone);
  EXPECT_FALSE(poll(1, R"({"id":"resp_9","object":"response","status":"in_progress","model":"m"})").input);
  const std::string done =
      R"({"id":"resp_9","object":"response","status":"completed","model":"m","usage":{"input_tokens":3,"output_tokens":8,"total_tokens":11}})";
  EXPECT_EQ(poll(2, done).input, 3u);
  EXPECT_EQ(run.sink.finished.back().tokens.output, 8u);
  EXPECT_FALSE(poll(3, done).input);
  EXPECT_EQ(run.sink.finished.size(), 4u);
}

TEST(CallTracker, RoleOfAWorkloadOnlyRises) {
  Tracked run;
  ConnectionFacts inbound = client_connection();
  inbound.id = 8;
  inbound.role = Role::kServer;
  const ExchangeText call{kChatRequest, sse({kChunk0, chunk("Hi"), kStop, "[DONE]"})};
  run.play(call);
  EXPECT_EQ(run.sink.finished[0].role, WorkloadRole::kClient);
  EXPECT_EQ(run.sink.finished[0].direction, CallDirection::kOutbound);
  run.play(call, 100, inbound);
  EXPECT_EQ(run.sink.finished[1].role, WorkloadRole::kGateway);
  EXPECT_EQ(run.sink.finished[1].direction, CallDirection::kInbound);
  run.play({"GET /metrics HTTP/1.1\nhost: web", "HTTP/1.1 200 OK\ncontent-type: text/plain\n\nok"}, 100,
           inbound, 1);
  EXPECT_TRUE(run.sink.http_finished.back().watched);
  EXPECT_EQ(run.sink.verdicts.back(), Verdict::kHeads);
  // A gateway's model list is a call, too, now.
  run.play({"GET /v1/models HTTP/1.1\nhost: gw", json_reply(R"({"object":"list","data":[]})")}, 100, inbound,
           2);
  EXPECT_EQ(run.sink.finished.back().operation, "models");
}

TEST(CallTracker, LiteLlmIsAGateway) {
  Tracked run;
  ConnectionFacts inbound = client_connection();
  inbound.role = Role::kServer;
  run.play(
      {post("gw:4000", "/v1/chat/completions",
            R"({"model":"alias","messages":[{"role":"user","content":"x"}]})"),
       "HTTP/1.1 200 OK\ncontent-type: application/json\nx-litellm-call-id: c-1\nx-litellm-response-cost: "
       "0.25\nx-litellm-version: 1.80\n\n"
       R"({"id":"chatcmpl-9","object":"chat.completion","model":"alias","choices":[{"index":0,"message":{"content":"y"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}})"},
      100, inbound);
  const LlmCall& call = run.sink.finished.at(0);
  EXPECT_EQ(call.gateway.name, "litellm");
  EXPECT_EQ(call.role, WorkloadRole::kGateway);
  EXPECT_EQ(call.request_id, "c-1");
  EXPECT_EQ(call.cost_usd, 0.25);
  EXPECT_EQ(call.cost_source, CostSource::kHeader);
  EXPECT_EQ(call.provider, "openai_compatible");
}

TEST(CallTracker, FingerprintIsTheLastUserMessage) {
  const auto fingerprint = [](const std::string& body, const std::string& path = "/v1/chat/completions") {
    Tracked run;
    run.play({post("gw", path, body), json_reply("{}")}, 5);
    return run.sink.finished.at(0).fingerprint;
  };
  const uint64_t plain = fingerprint(
      R"({"model":"m","messages":[{"role":"user","content":"first"},{"role":"assistant","content":"ok"},{"role":"user","content":"second \u00e9"}]})");
  EXPECT_NE(plain, 0u);
  EXPECT_EQ(
      plain,
      fingerprint("{\"messages\":[{\"content\":[{\"type\":\"text\",\"text\":\"second "
                  "\u00e9\"}],\"role\":\"user\"},{\"role\":\"tool\",\"content\":\"42\"}],\"model\":\"n\"}"));
  EXPECT_EQ(plain,
            fingerprint("{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"second \u00e9\"}]}]}",
                        "/v1beta/models/m:generateContent"));
  EXPECT_NE(plain, fingerprint(R"({"model":"m","messages":[{"role":"user","content":"second e"}]})"));
}

TEST(CallTracker, UserHostsComeFirst) {
  CallTrackerOptions options;
  options.hosts = {{"llm.corp.example", "corp"}, {"api.openai.com", "mine"}};
  Tracked run(options);
  run.play(
      {post("llm.corp.example", "/v1/chat/completions", R"({"model":"m","messages":[]})"), json_reply("{}")});
  EXPECT_EQ(run.sink.finished.at(0).provider, "corp");
  run.play({kChatRequest, json_reply("{}")}, 100, client_connection(), 1);
  EXPECT_EQ(run.sink.finished.at(1).provider, "mine");
}

TEST(CallTracker, UserHostsMayNameAPortAndADialect) {
  CallTrackerOptions options;
  options.hosts = {
      {.host = "10.0.0.7", .provider = "corp", .port = 8000, .dialect = Dialect::kAnthropicMessages}};
  Tracked run(options);
  const std::string reply = R"({"usage":{"input_tokens":10,"cache_read_input_tokens":5,"output_tokens":2}})";
  run.play({post("10.0.0.7:8000", "/internal/ask", R"({"q":"?"})"), json_reply(reply)});
  ASSERT_EQ(run.sink.finished.size(), 1u);
  EXPECT_EQ(run.sink.finished[0].provider, "corp");
  EXPECT_EQ(run.sink.finished[0].dialect, "anthropic_messages");
  EXPECT_EQ(run.sink.finished[0].operation, "messages");
  EXPECT_EQ(run.sink.finished[0].tokens.input, 15u) << "this dialect counts cached tokens beside the input";
  run.play({post("10.0.0.7:9000", "/internal/ask", R"({"q":"?"})"), json_reply(reply)}, 100,
           client_connection(), 1);
  EXPECT_EQ(run.sink.finished.size(), 1u);
}

TEST(CallTracker, SniStandsInForAMissingHost) {
  Tracked run;
  ConnectionFacts connection = client_connection();
  connection.sni = "api.mistral.ai";
  run.play({"POST /v1/chat/completions HTTP/1.1\ncontent-type: application/json\n\n{}", json_reply("{}")},
           100, connection);
  EXPECT_EQ(run.sink.finished.at(0).provider, "mistral_ai");
  EXPECT_EQ(run.sink.finished.at(0).host, "api.mistral.ai");
}

TEST(CallTracker, EstimatedTokensCostNothingUnlessAskedFor) {
  const auto prices = *PriceTable::parse(
      R"({"gpt-4o-mini":{"litellm_provider":"openai","mode":"chat","input_cost_per_token":0.001,"output_cost_per_token":0.01}})",
      "test");
  for (const bool counted : {false, true}) {
    CallTrackerOptions options;
    options.count_estimated_cost = counted;
    Tracked run(options);
    run.tracker.set_prices(prices);
    run.play({kChatRequest, sse({kChunk0, chunk("Hi"), kStop, "[DONE]"})});
    EXPECT_EQ(run.sink.finished.at(0).tokens.source, TokenSource::kEstimated);
    EXPECT_EQ(run.sink.finished[0].cost_usd.has_value(), counted);
  }
}

// LiteLLM writes the header before it generates: on a stream its 0 says nothing.
TEST(CallTracker, AZeroCostHeaderOfAStreamIsNoCost) {
  const auto with_header = [](std::string reply) {
    reply.insert(reply.find('\n') + 1, "x-litellm-call-id: c-1\nx-litellm-response-cost: 0\n");
    return reply;
  };
  Tracked run;
  run.play({kChatRequest, with_header(sse({kChunk0, chunk("Hi"), kStop, kUsage, "[DONE]"}))});
  EXPECT_EQ(run.sink.finished.at(0).gateway.response_cost_usd, 0.0);
  EXPECT_EQ(run.sink.finished[0].cost_usd, std::nullopt);
  EXPECT_EQ(run.sink.finished[0].cost_source, CostSource::kNone);
  run.tracker.set_prices(*PriceTable::parse(
      R"({"gpt-4o-mini":{"litellm_provider":"openai","mode":"chat","input_cost_per_token":0.001,"output_cost_per_token":0.01}})",
      "test"));
  run.play({kChatRequest, with_header(sse({kChunk0, chunk("Hi"), kStop, kUsage, "[DONE]"}))}, 100,
           client_connection(), 1);
  EXPECT_EQ(run.sink.finished.at(1).cost_source, CostSource::kPriceTable);
  EXPECT_GT(run.sink.finished[1].cost_usd, 0.0);
  // A whole reply that cost nothing, a cache hit, says so.
  run.play(
      {kChatRequest,
       with_header(json_reply(
           R"({"id":"a","object":"chat.completion","model":"gpt-4o-mini","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}})"))},
      100, client_connection(), 2);
  EXPECT_EQ(run.sink.finished.at(2).cost_usd, 0.0);
  EXPECT_EQ(run.sink.finished[2].cost_source, CostSource::kHeader);
}

TEST(CallTracker, PricesByTheTable) {
  Tracked run;
  run.tracker.set_prices(*PriceTable::parse(
      R"({"gpt-4o-mini":{"litellm_provider":"openai","mode":"chat","input_cost_per_token":0.001,"output_cost_per_token":0.01,"cache_read_input_token_cost":0.0001}})",
      "test"));
  run.play({kChatRequest, sse({kChunk0, chunk("Hi"), kStop, kUsage, "[DONE]"})});
  ASSERT_TRUE(run.sink.finished.at(0).cost_usd);
  EXPECT_NEAR(*run.sink.finished[0].cost_usd, 20 * 0.001 + 5 * 0.0001 + 3 * 0.01, 1e-12);
  EXPECT_EQ(run.sink.finished[0].cost_source, CostSource::kPriceTable);
  run.play(
      {kAnthropicRequest,
       json_reply(
           R"({"id":"msg_1","type":"message","role":"assistant","model":"unknown-model","content":[],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":2}})")},
      100, client_connection(), 1);
  EXPECT_TRUE(run.sink.finished.at(1).price_missing);
  EXPECT_EQ(run.tracker.counters().price_missing, 1u);
}

TEST(CallTracker, KeepsNoSecret) {
  Tracked run;
  const std::string key = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789";
  run.play(
      {"POST /v1/chat/completions?key=" + key + " HTTP/1.1\nhost: api.openai.com\nauthorization: Bearer " +
           key +
           "\ncontent-type: application/json\ntraceparent: "
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n\n" +
           R"({"model":"m","user":"jane@example.org","messages":[{"role":"user","content":"my secret"}]})",
       json_reply(R"({"error":{"message":"bad )" + key + R"(","type":"invalid_request_error","code":")" +
                      key + R"("}})",
                  "400 Bad Request")});
  const LlmCall& call = run.sink.finished.at(0);
  const std::string text = test::call_text(call);
  EXPECT_THAT(text, ::testing::Not(HasSubstr(key)));
  EXPECT_THAT(text, ::testing::Not(HasSubstr("jane")));
  EXPECT_EQ(call.key_sha256.size(), 64u);
  EXPECT_EQ(call.end_user_sha256.size(), 64u);
  EXPECT_EQ(call.trace_id, "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(call.parent_span_id, "b7ad6b7169203331");
  EXPECT_EQ(call.trace_flag, TraceFlag::kSampled);
}

TEST(CallTracker, SaysWhetherTheCallerRecordsTheTrace) {
  for (const auto& [header, flag] : std::initializer_list<std::pair<std::string, TraceFlag>>{
           {"", TraceFlag::kNone},
           {"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00\n", TraceFlag::kNotSampled},
           {"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03\n", TraceFlag::kSampled},
           {"traceparent: 00-00000000000000000000000000000000-b7ad6b7169203331-01\n", TraceFlag::kNone}}) {
    Tracked run;
    run.play({"POST /v1/chat/completions HTTP/1.1\nhost: api.openai.com\n" + header +
                  "content-type: application/json\n\n{\"model\":\"m\"}",
              json_reply(R"({"model":"m"})")});
    EXPECT_EQ(run.sink.finished.at(0).trace_flag, flag) << header;
  }
}

TEST(CallTracker, FullTableRefusesAndCounts) {
  Limits limits;
  limits.open_calls = 1;
  Tracked run({}, limits);
  RequestHead head;
  head.method = "POST";
  head.target = "/v1/chat/completions";
  run.tracker.on_request_head(client_connection(), {7, 0}, head);
  run.tracker.on_request_head(client_connection(), {7, 1}, head);
  EXPECT_EQ(run.tracker.counters().exchanges_refused, 1u);
  run.tracker.finish_all(5);
  EXPECT_EQ(run.tracker.open_exchanges(), 0u);
  EXPECT_EQ(run.sink.finished.size(), 1u);
  const StageBooks& books = run.tracker.books();
  EXPECT_EQ(books.items_in, books.items_out + books.items_lost);
}

TEST(CallTracker, ClientThatWaitedLongTimedOut) {
  for (const uint64_t seconds : {2u, 60u}) {
    Tracked run;
    RequestHead head;
    head.method = "POST";
    head.target = "/v1/chat/completions";
    head.start_ns = test::kRequestNs;
    run.tracker.on_request_head(client_connection(), {7, 0}, head);
    run.tracker.on_exchange_end(
        {7, 0}, {How::kClientAborted, test::kRequestNs + seconds * 1000 * test::kMs, Defect::kTruncated});
    EXPECT_EQ(run.sink.finished.at(0).outcome, seconds == 2 ? Outcome::kClientAborted : Outcome::kTimeout);
  }
}

// SDKs stop reading at the stream's last event: the chunked body's own end stays in the socket.
TEST(CallTracker, StreamLeftAtItsTerminatorIsWhole) {
  const std::string request =
      "POST /v1/chat/completions HTTP/1.1\nhost: api.openai.com\ncontent-type: application/json\n\n"
      R"({"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"hi"}]})";
  const std::string events =
      "data: "
      R"({"id":"chatcmpl-1","object":"chat.completion.chunk","model":"gpt-4o","choices":[{"index":0,"delta":{"content":"a"}}]})"
      "\n\ndata: "
      R"({"id":"chatcmpl-1","object":"chat.completion.chunk","model":"gpt-4o","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})"
      "\n\n";
  for (const bool terminated : {true, false}) {
    Tracked run;
    const std::string reply = "HTTP/1.1 200 OK\ncontent-type: text/event-stream\n\n" + events +
                              (terminated ? "data: [DONE]\n\n" : "");
    test::Player(run.tracker, client_connection(), 1000)
        .play({.request = request, .reply = reply, .how = How::kClientAborted, .defect = Defect::kTruncated});
    const LlmCall& call = run.sink.finished.at(0);
    EXPECT_EQ(call.outcome, terminated ? Outcome::kOk : Outcome::kClientAborted);
    EXPECT_EQ(call.incomplete, terminated ? Incomplete::kNo : Incomplete::kTruncated);
  }
}

TEST(CallTracker, EndBringsBytesOfCutBodiesAndLateAddresses) {
  Tracked run;
  RequestHead head;
  head.method = "POST";
  head.target = "/v1/chat/completions";
  ConnectionFacts connection = client_connection();
  connection.has_addresses = false;
  run.tracker.on_request_head(connection, {7, 0}, head);
  connection.has_addresses = true;
  connection.remote.port = 4711;
  run.tracker.on_exchange_end(
      {7, 0}, {.how = How::kNoResponse, .time_ns = 5, .request_bytes = 11, .connection = &connection});
  const LlmCall& call = run.sink.finished.at(0);
  EXPECT_EQ(call.request_bytes, 11u);
  EXPECT_EQ(call.connection.remote.port, 4711);
}

TEST(Batches, AreCountedAtTheirFirstWholeDownload) {
  const std::string line =
      R"({"custom_id":"1","response":{"body":{"object":"chat.completion","model":"m","usage":{"prompt_tokens":3,"completion_tokens":4}}}})";
  const auto download = [&](const std::string& id) {
    return ExchangeText{"GET /v1/files/" + id + "/content HTTP/1.1\nhost: api.openai.com\n\n",
                        "HTTP/1.1 200 OK\ncontent-type: application/octet-stream\n\n" + line + "\n" + line};
  };
  ExchangeText cut = download("file-1");
  cut.how = How::kClientAborted;
  cut.defect = Defect::kTruncated;
  Tracked run;
  run.play(cut, 1 << 20, client_connection(), 0);
  run.play(download("file-1"), 1 << 20, client_connection(), 1);
  run.play(download("file-1"), 1 << 20, client_connection(), 2);
  run.play(download("file-2"), 1 << 20, client_connection(), 3);
  ASSERT_EQ(run.sink.finished.size(), 4u);
  for (const size_t counted : {1u, 3u}) {
    EXPECT_EQ(run.sink.finished[counted].tokens.input, 6u) << counted;
    EXPECT_EQ(run.sink.finished[counted].tokens.output, 8u) << counted;
    EXPECT_EQ(run.sink.finished[counted].operation, "batches");
  }
  for (const size_t not_counted : {0u, 2u})
    EXPECT_FALSE(run.sink.finished[not_counted].tokens.input) << not_counted;
}

TEST(Batches, AreCountedAtBothEnds) {
  const ExchangeText download{
      "GET /v1/files/file-1/content HTTP/1.1\nhost: api.openai.com\n\n",
      "HTTP/1.1 200 OK\ncontent-type: application/octet-stream\n\n"
      R"({"custom_id":"1","response":{"body":{"object":"chat.completion","usage":{"prompt_tokens":3,"completion_tokens":4}}}})"};
  ConnectionFacts served = client_connection();
  served.id = 8;
  served.role = Role::kServer;
  Tracked run;
  run.play(download, 1 << 20, served);
  run.play(download);
  ASSERT_EQ(run.sink.finished.size(), 2u);
  for (const LlmCall& call : run.sink.finished) EXPECT_EQ(call.tokens.input, 3u);
}

TEST(Batches, OfGeminiAreCountedByTheFirstPollThatFindsThem) {
  const auto poll = [](const std::string& path, const std::string& name, const std::string& more) {
    return ExchangeText{"GET " + path + " HTTP/1.1\nhost: generativelanguage.googleapis.com\n\n",
                        json_reply(R"({"name":"batches/)" + name + "\"" + more + "}", "200 OK")};
  };
  const std::string output =
      R"(,"done":true,"response":{"inlinedResponses":{"inlinedResponses":[{"response":{"candidates":[],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":4}}}]}})";
  Tracked run;
  run.play(poll("/v1beta/batches/1", "1", R"(,"metadata":{"state":"BATCH_STATE_RUNNING"})"));
  run.play(poll("/v1beta/batches/1", "1", output));
  run.play(poll("/v1beta/batches/1", "1", output));
  run.play(poll("/v1alpha/batches/1", "1", output));
  run.play(poll("/v1beta/batches/2", "2", output));
  ASSERT_EQ(run.sink.finished.size(), 5u);
  for (const size_t counted : {1u, 4u}) {
    EXPECT_EQ(run.sink.finished[counted].tokens.input, 3u) << counted;
    EXPECT_EQ(run.sink.finished[counted].tokens.output, 4u) << counted;
    EXPECT_EQ(run.sink.finished[counted].batch_results, 1u) << counted;
  }
  for (const size_t not_counted : {0u, 2u, 3u}) {
    EXPECT_FALSE(run.sink.finished[not_counted].tokens.input) << not_counted;
    EXPECT_FALSE(run.sink.finished[not_counted].tokens.output) << not_counted;
  }
}

ExchangeText attempt(const std::string& fields, const std::string& message, bool ok) {
  return {"POST /v1/chat/completions HTTP/1.1\nhost: api.openai.com\ncontent-type: application/json\n" +
              fields + "\n{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"" + message +
              "\"}]}",
          json_reply("{}", ok ? "200 OK" : "500 Internal Server Error")};
}

TEST(Attempts, AreLinkedByTheirKeyToTheFirst) {
  Tracked run;
  const std::string key = "idempotency-key: stainless-node-retry-1\nx-stainless-retry-count: ";
  run.play(attempt(key + "0\nx-request-id: a\n", "hi", false), 1 << 20, client_connection(), 0);
  run.play(attempt(key + "1\nx-request-id: b\n", "hi", false), 1 << 20, client_connection(), 1);
  run.play(attempt("idempotency-key: other\nx-request-id: c\n", "hi", true), 1 << 20, client_connection(), 2);
  run.play(attempt(key + "2\nx-request-id: d\n", "hi", true), 1 << 20, client_connection(), 3);
  std::vector<std::string> retry_of;
  for (const LlmCall& call : run.sink.finished) retry_of.push_back(call.retry_of);
  EXPECT_THAT(retry_of, ::testing::ElementsAre("", "a", "", "a"));
  EXPECT_EQ(run.sink.finished[0].idempotency_sha256.size(), 64u);
  EXPECT_EQ(run.sink.finished[0].idempotency_sha256, run.sink.finished[3].idempotency_sha256);
}

TEST(Attempts, WithoutAKeyAreLinkedByTheirMessageAndCount) {
  Tracked run;
  const auto count = [](int n, const std::string& id) {
    return "x-stainless-retry-count: " + std::to_string(n) + "\nx-request-id: " + id + "\n";
  };
  run.play(attempt(count(0, "a"), "hi", false), 1 << 20, client_connection(), 0);
  run.play(attempt(count(1, "b"), "hi", false), 1 << 20, client_connection(), 1);
  run.play(attempt(count(1, "c"), "another", true), 1 << 20, client_connection(), 2);
  // The same message again, from the beginning: no retry.
  run.play(attempt(count(0, "d"), "hi", false), 1 << 20, client_connection(), 3);
  run.play(attempt(count(1, "e"), "hi", true), 1 << 20, client_connection(), 4);
  ConnectionFacts stranger = client_connection();
  stranger.id = 8;
  stranger.process.tgid = 43;
  run.play(attempt(count(1, "f"), "hi", true), 1 << 20, stranger, 0);
  std::vector<std::string> retry_of;
  for (const LlmCall& call : run.sink.finished) retry_of.push_back(call.retry_of);
  EXPECT_THAT(retry_of, ::testing::ElementsAre("", "a", "", "", "d", ""));
}

// Its first pieces look like a chat of OpenAI's, then of Anthropic's: a call is opened at once.
TEST(Recognition, OfABodyDoesNotDependOnItsPieces) {
  const std::string body =
      R"({"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":5,"system":"Be brief."})";
  for (const char* path : {"/nobody/knows", "/v1/models/x"})
    for (const size_t piece : {1u << 20, 1u, 40u, 70u}) {
      Tracked run;
      run.play({post("h", path, body), json_reply("{}")}, piece);
      ASSERT_EQ(run.sink.finished.size(), 1u) << path << " " << piece;
      EXPECT_EQ(run.sink.finished[0].dialect, "anthropic_messages") << path << " " << piece;
      EXPECT_EQ(run.sink.finished[0].provider, "anthropic") << path << " " << piece;
    }
}

}  // namespace
}  // namespace llmtap
