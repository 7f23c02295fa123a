// SPDX-License-Identifier: Apache-2.0
// Bedrock's calls from the bytes on the wire.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/core/wire_calls.h"
#include "unit/llm/call_text.h"
#include "unit/protocols/event_stream_wire.h"

namespace llmtap::test {
namespace {

std::string ask_bedrock(const std::string& model, const std::string& verb, const std::string& body) {
  return "POST /model/" + model + "/" + verb +
         " HTTP/1.1\r\nHost: bedrock-runtime.us-east-1.amazonaws.com\r\nContent-Type: application/json\r\n"
         "Content-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string answer(const std::string& type, const std::string& body, const std::string& fields = "",
                   const std::string& status = "200 OK") {
  return "HTTP/1.1 " + status + "\r\nContent-Type: " + type + "\r\nx-amzn-RequestId: r-1\r\n" + fields +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}
std::string event_stream(const std::string& body) {
  return answer("application/vnd.amazon.eventstream", body);
}

const std::string kConverse =
    R"({"messages":[{"role":"user","content":[{"text":"hi"}]}],"inferenceConfig":{"maxTokens":50}})";
const std::string kInvoke =
    R"({"anthropic_version":"bedrock-2023-05-31","max_tokens":50,"messages":[{"role":"user","content":"hi"}]})";
const std::string kClaude = "us.anthropic.claude-sonnet-4-5-20250929-v1%3A0";

struct Case {
  std::string name, request, reply;
  std::vector<std::string> want;
};
void PrintTo(const Case& row, std::ostream* out) { *out << row.name; }
std::string case_name(const ::testing::TestParamInfo<Case>& row) { return row.param.name; }

class BedrockTest : public ::testing::TestWithParam<Case> {};

TEST_P(BedrockTest, MakesTheSameCallHoweverItIsSplit) {
  const Case& row = GetParam();
  const Script script{ask(row.request), reply(row.reply), close_by(EndReason::kClosed)};
  const WireCalls whole = calls_of(script);
  ASSERT_EQ(whole.calls.size(), 1U);
  const std::string text = call_text(whole.calls[0]);
  for (const std::string& want : row.want) EXPECT_THAT(text, ::testing::HasSubstr("\n" + want + "\n"));
  EXPECT_THAT(text, ::testing::HasSubstr("\nprovider=aws.bedrock\n"));
  for (const size_t piece : {1, 2, 3, 7, 64, 100}) {
    const WireCalls split = calls_of(script, piece);
    ASSERT_EQ(split.calls.size(), 1U) << piece;
    EXPECT_EQ(call_text(split.calls[0]), text) << "pieces of " << piece;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Cases, BedrockTest,
    ::testing::Values(
        Case{
            "ConverseStream",
            ask_bedrock(kClaude, "converse-stream", kConverse),
            event_stream(
                event_message("messageStart", R"({"p":"abc","role":"assistant"})") +
                event_message(
                    "contentBlockDelta",
                    R"({"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"hm"}},"p":"a"})") +
                event_message("contentBlockDelta",
                              R"({"contentBlockIndex":1,"delta":{"text":"Hello"},"p":"ab"})") +
                event_message("contentBlockStop", R"({"contentBlockIndex":1,"p":"abcd"})") +
                event_message(
                    "contentBlockStart",
                    R"({"contentBlockIndex":2,"start":{"toolUse":{"name":"look","toolUseId":"t1"}}})") +
                event_message("contentBlockDelta",
                              R"({"contentBlockIndex":2,"delta":{"toolUse":{"input":"{}"}}})") +
                event_message("messageStop", R"({"p":"x","stopReason":"tool_use"})") +
                event_message(
                    "metadata",
                    R"({"metrics":{"latencyMs":430},"p":"x","usage":{"inputTokens":10,"outputTokens":7,"cacheReadInputTokens":5,"totalTokens":22}})")),
            {"operation=converse", "dialect=bedrock_converse", "stream=1", "outcome=ok",
             "finish=tool,tool_use", "tools=1 look", "tokens=15/7 cached=5 reported", "incomplete=0",
             "requested_model=us.anthropic.claude-sonnet-4-5-20250929-v1:0", "chunks=8/4", "max_tokens=50"}},
        Case{"ConverseStreamThrottled",
             ask_bedrock(kClaude, "converse-stream", kConverse),
             event_stream(event_message("messageStart", R"({"role":"assistant"})") +
                          exception_message("throttlingException", R"({"message":"Too many tokens"})")),
             {"outcome=stream_error", "error=rate_limit,throttlingException", "abort=3"}},
        Case{"ConverseStreamCut",
             ask_bedrock(kClaude, "converse-stream", kConverse),
             event_stream(event_message("messageStart", R"({"role":"assistant"})") +
                          event_message("contentBlockDelta", R"({"delta":{"text":"Hello"}})")),
             {"outcome=truncated"}},
        Case{
            "Converse",
            ask_bedrock(kClaude, "converse", kConverse),
            answer(
                "application/json",
                R"({"metrics":{"latencyMs":1},"output":{"message":{"role":"assistant","content":[{"text":"Hello"}]}},"stopReason":"end_turn","usage":{"inputTokens":10,"outputTokens":7,"totalTokens":17}})"),
            {"stream=0", "outcome=ok", "tokens=10/7 reported", "finish=stop,end_turn"}},
        Case{"ConverseRefused",
             ask_bedrock(kClaude, "converse", kConverse),
             answer("application/json", R"({"message":"Too many requests"})",
                    "x-amzn-ErrorType: ThrottlingException:http://internal.amazon.com/\r\n",
                    "429 Too Many Requests"),
             {"status=429", "outcome=rate_limited", "error=rate_limit,ThrottlingException"}},
        Case{
            "InvokeClaudeStream",
            ask_bedrock(kClaude, "invoke-with-response-stream", kInvoke),
            event_stream(
                chunk_message(
                    R"({"type":"message_start","message":{"model":"claude-sonnet-4-5-20250929","id":"msg_bdrk_1","type":"message","role":"assistant","content":[],"usage":{"input_tokens":9,"output_tokens":1}}})") +
                chunk_message(
                    R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}})") +
                chunk_message(
                    R"({"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":133}})") +
                chunk_message(
                    R"({"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":9,"outputTokenCount":97,"invocationLatency":1200,"firstByteLatency":300,"cacheReadInputTokenCount":3,"cacheWriteInputTokenCount":2}})")),
            {"operation=chat", "dialect=anthropic_messages", "response_model=claude-sonnet-4-5-20250929",
             "response_id=msg_bdrk_1", "stream=1", "outcome=ok", "finish=stop,end_turn",
             "tokens=14/97 cached=3 write=2 reported", "chunks=3/1"}},
        Case{"InvokeNovaStream",
             ask_bedrock("amazon.nova-lite-v1%3A0", "invoke-with-response-stream", kInvoke),
             event_stream(
                 chunk_message(R"({"messageStart":{"role":"assistant"}})") +
                 chunk_message(R"({"contentBlockDelta":{"delta":{"text":"Hello"},"contentBlockIndex":0}})") +
                 chunk_message(R"({"messageStop":{"stopReason":"end_turn"}})") +
                 chunk_message(R"({"metadata":{"usage":{"inputTokens":4,"outputTokens":6}}})")),
             {"outcome=ok", "finish=stop,end_turn", "tokens=4/6 reported", "chunks=4/1"}},
        Case{
            "InvokeLlama",
            ask_bedrock("meta.llama3-8b-instruct-v1%3A0", "invoke", R"({"prompt":"hi"})"),
            answer(
                "application/json",
                R"({"generation":"Hello","prompt_token_count":5,"generation_token_count":8,"stop_reason":"stop"})"),
            {"outcome=ok", "tokens=5/8 reported", "finish=stop,stop"}},
        Case{"InvokeWithCountsInItsHead",
             ask_bedrock("mistral.mistral-7b-instruct-v0%3A2", "invoke", R"({"prompt":"hi"})"),
             answer("application/json", R"({"outputs":[{"text":"Hello","stop_reason":"stop"}]})",
                    "X-Amzn-Bedrock-Input-Token-Count: 11\r\nX-Amzn-Bedrock-Output-Token-Count: "
                    "3\r\nX-Amzn-Bedrock-Cache-Read-Input-Token-Count: 2\r\n"),
             {"outcome=ok", "tokens=13/3 cached=2 reported"}}),
    case_name);

TEST(Bedrock, AnEventThatWasLostTakesNoNumberWithIt) {
  const std::string start = event_message("messageStart", R"({"role":"assistant"})");
  const std::string lost = event_message("contentBlockDelta", R"({"delta":{"text":"Hello"}})");
  const std::string end = event_message("messageStop", R"({"stopReason":"end_turn"})") +
                          event_message("metadata", R"({"usage":{"inputTokens":10,"outputTokens":7}})");
  const std::string whole = event_stream(start + lost + end);
  const size_t at = whole.find(lost);
  const WireCalls read = calls_of({ask(ask_bedrock(kClaude, "converse-stream", kConverse)),
                                   reply(whole.substr(0, at + 9)), reply_gap(lost.size()),
                                   reply(whole.substr(at + lost.size() + 9)), close_by(EndReason::kClosed)});
  ASSERT_EQ(read.calls.size(), 1U);
  EXPECT_EQ(read.calls[0].incomplete, Incomplete::kLostSegment);
  EXPECT_EQ(read.calls[0].tokens.output, 7U);
}

}  // namespace
}  // namespace llmtap::test
