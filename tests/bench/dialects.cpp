// SPDX-License-Identifier: Apache-2.0
#include "bench/dialects.h"

#include <fmt/format.h>
#include <zlib.h>

#include <iterator>
#include <utility>

namespace llmtap::bench {
namespace {

using Events = std::vector<std::string>;

template <typename... Arguments>
void add(std::string& to, fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  fmt::format_to(std::back_inserter(to), format, std::forward<Arguments>(arguments)...);
}

// OpenAI chat completions, with stream_options.include_usage.
constexpr std::string_view kChatHead =
    R"("object":"chat.completion.chunk","created":1767323045,"model":"gpt-4o-mini-2024-07-18","service_tier":"default","system_fingerprint":"fp_bench",)";

Events chat_opening(const StreamedCall& call) {
  return {
      fmt::format("data: "
                  "{{\"id\":\"chatcmpl-{}\",{}\"choices\":[{{\"index\":0,\"delta\":{{\"role\":\"assistant\","
                  "\"content\":\"\","
                  "\"refusal\":null}},\"logprobs\":null,\"finish_reason\":null}}],\"usage\":null}}\n\n",
                  call.id, kChatHead)};
}
void chat_delta(std::string& event, const StreamedCall& call, uint32_t, std::string_view word) {
  add(event,
      "data: "
      "{{\"id\":\"chatcmpl-{}\",{}\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{}\"}},\"logprobs\":"
      "null,"
      "\"finish_reason\":null}}],\"usage\":null}}\n\n",
      call.id, kChatHead, word);
}
Events chat_closing(const StreamedCall& call) {
  return {
      fmt::format(
          "data: {{\"id\":\"chatcmpl-{}\",{}\"choices\":[{{\"index\":0,\"delta\":{{}},\"logprobs\":null,"
          "\"finish_reason\":\"stop\"}}],\"usage\":null}}\n\n",
          call.id, kChatHead),
      fmt::format("data: "
                  "{{\"id\":\"chatcmpl-{}\",{}\"choices\":[],\"usage\":{{\"prompt_tokens\":{},\"completion_"
                  "tokens\":{},"
                  "\"total_tokens\":{},\"prompt_tokens_details\":{{\"cached_tokens\":0,\"audio_tokens\":0}},"
                  "\"completion_tokens_details\":{{\"reasoning_tokens\":0,\"audio_tokens\":0}}}}}}\n\n",
                  call.id, kChatHead, call.input_tokens, call.output_tokens,
                  call.input_tokens + call.output_tokens),
      "data: [DONE]\n\n"};
}

Events anthropic_opening(const StreamedCall& call) {
  return {
      fmt::format(
          "event: message_start\ndata: "
          "{{\"type\":\"message_start\",\"message\":{{\"model\":\"claude-sonnet-4-5-20250929\","
          "\"id\":\"msg_{}\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[],\"stop_reason\":null,"
          "\"stop_sequence\":null,"
          "\"usage\":{{\"input_tokens\":{},\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,"
          "\"output_tokens\":1,\"service_tier\":\"standard\"}}}}}}\n\n",
          call.id, call.input_tokens),
      "event: content_block_start\ndata: "
      "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}"
      "\n\n",
      "event: ping\ndata: {\"type\": \"ping\"}\n\n"};
}
void anthropic_delta(std::string& event, const StreamedCall&, uint32_t, std::string_view word) {
  add(event,
      "event: content_block_delta\ndata: "
      "{{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\","
      "\"text\":\"{}\"}}        }}\n\n",
      word);
}
Events anthropic_closing(const StreamedCall& call) {
  return {
      "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0     }\n\n",
      fmt::format(
          "event: message_delta\ndata: "
          "{{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"end_turn\",\"stop_sequence\":null}},"
          "\"usage\":{{\"input_tokens\":{},\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,"
          "\"output_tokens\":{}}}}}\n\n",
          call.input_tokens, call.output_tokens),
      "event: message_stop\ndata: {\"type\":\"message_stop\"   }\n\n"};
}

std::string response_event(const StreamedCall& call, std::string_view type, uint32_t number,
                           std::string_view status, std::string_view usage) {
  return fmt::format(
      "event: {0}\ndata: "
      "{{\"type\":\"{0}\",\"sequence_number\":{1},\"response\":{{\"id\":\"resp_{2}\",\"object\":\"response\","
      "\"created_at\":1767323045,\"status\":\"{3}\",\"background\":false,\"error\":null,\"incomplete_"
      "details\":null,"
      "\"instructions\":null,\"model\":\"gpt-5-mini-2025-08-07\",\"output\":[],\"parallel_tool_calls\":true,"
      "\"previous_response_id\":null,\"reasoning\":{{\"effort\":\"medium\",\"summary\":null}},\"service_"
      "tier\":\"default\","
      "\"store\":true,\"temperature\":1.0,\"tool_choice\":\"auto\",\"tools\":[],\"top_p\":1.0,\"usage\":{4},"
      "\"metadata\":{{}}}}}}\n\n",
      type, number, call.id, status, usage);
}
Events responses_opening(const StreamedCall& call) {
  return {response_event(call, "response.created", 0, "in_progress", "null"),
          response_event(call, "response.in_progress", 1, "in_progress", "null"),
          fmt::format("event: response.output_item.added\ndata: "
                      "{{\"type\":\"response.output_item.added\",\"sequence_number\":2,\"output_index\":0,"
                      "\"item\":{{\"id\":\"msg_{}\",\"type\":\"message\",\"status\":\"in_progress\","
                      "\"content\":[],\"role\":\"assistant\"}}}}\n\n",
                      call.id)};
}
void responses_delta(std::string& event, const StreamedCall& call, uint32_t number, std::string_view word) {
  add(event,
      "event: response.output_text.delta\ndata: "
      "{{\"type\":\"response.output_text.delta\",\"sequence_number\":{},\"item_id\":\"msg_{}\","
      "\"output_index\":0,\"content_index\":0,\"delta\":\"{}\",\"logprobs\":[],\"obfuscation\":"
      "\"kT0vqDLbdF\"}}\n\n",
      number + 4, call.id, word);
}
Events responses_closing(const StreamedCall& call) {
  return {
      fmt::format("event: response.output_item.done\ndata: "
                  "{{\"type\":\"response.output_item.done\",\"sequence_number\":900,\"output_index\":0,"
                  "\"item\":{{\"id\":\"msg_{}\",\"type\":\"message\",\"status\":\"completed\",\"content\":[],"
                  "\"role\":\"assistant\"}}}}\n\n",
                  call.id),
      response_event(
          call, "response.completed", 901, "completed",
          fmt::format(
              "{{\"input_tokens\":{},\"input_tokens_details\":{{\"cached_tokens\":0}},\"output_tokens\":{},"
              "\"output_tokens_details\":{{\"reasoning_tokens\":0}},\"total_tokens\":{}}}",
              call.input_tokens, call.output_tokens, call.input_tokens + call.output_tokens))};
}

Events gemini_opening(const StreamedCall&) { return {}; }
// Gemini counts as it goes: the last numbers are the call's.
void gemini_event(std::string& event, const StreamedCall& call, uint64_t output, std::string_view word,
                  std::string_view finish) {
  add(event,
      "data: {{\"candidates\": [{{\"content\": {{\"parts\": [{{\"text\": \"{}\"}}],\"role\": "
      "\"model\"}},{}\"index\": 0}}],"
      "\"usageMetadata\": {{\"promptTokenCount\": {},\"candidatesTokenCount\": {},\"totalTokenCount\": {},"
      "\"promptTokensDetails\": [{{\"modality\": \"TEXT\",\"tokenCount\": {}}}]}},\"modelVersion\": "
      "\"gemini-2.5-flash\",\"responseId\": \"{}\"}}\r\n\r\n",
      word, finish, call.input_tokens, output, call.input_tokens + output, call.input_tokens, call.id);
}
void gemini_delta(std::string& event, const StreamedCall& call, uint32_t number, std::string_view word) {
  gemini_event(event, call, number + 1, word, "");
}
Events gemini_closing(const StreamedCall& call) {
  std::string event;
  gemini_event(event, call, call.output_tokens, ".", "\"finishReason\": \"STOP\",");
  return {event};
}

Events ollama_opening(const StreamedCall&) { return {}; }
void ollama_delta(std::string& event, const StreamedCall&, uint32_t number, std::string_view word) {
  add(event,
      "{{\"model\":\"llama3.2\",\"created_at\":\"2026-01-02T03:04:05.{:06}Z\",\"message\":{{\"role\":"
      "\"assistant\",\"content\":\"{}\"}},\"done\":false}}\n",
      number * 997 % 1'000'000, word);
}
Events ollama_closing(const StreamedCall& call) {
  return {
      fmt::format("{{\"model\":\"llama3.2\",\"created_at\":\"2026-01-02T03:04:06Z\",\"message\":{{\"role\":"
                  "\"assistant\",\"content\":\"\"}},"
                  "\"done_reason\":\"stop\",\"done\":true,\"total_duration\":4935886791,\"load_duration\":"
                  "534986708,\"prompt_eval_count\":{},"
                  "\"prompt_eval_duration\":107345000,\"eval_count\":{},\"eval_duration\":4289432000}}\n",
                  call.input_tokens, call.output_tokens)};
}

// A message of AWS's event stream.
void aws_message(std::string& to, std::string_view type, std::string_view payload) {
  const auto be32 = [](std::string& out, size_t value) {
    for (const int shift : {24, 16, 8, 0}) out.push_back(static_cast<char>(value >> shift & 0xff));
  };
  const auto sum = [](std::string_view bytes) {
    return crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
  };
  std::string headers;
  for (const auto& [name, value] : {std::pair<std::string_view, std::string_view>{":event-type", type},
                                    {":content-type", "application/json"},
                                    {":message-type", "event"}}) {
    headers.push_back(static_cast<char>(name.size()));
    headers.append(name).append({'\7', '\0', static_cast<char>(value.size())}).append(value);
  }
  std::string message;
  be32(message, 16 + headers.size() + payload.size());
  be32(message, headers.size());
  be32(message, sum(message));
  message.append(headers).append(payload);
  be32(message, sum(message));
  to += message;
}
std::string aws_message(std::string_view type, std::string_view payload) {
  std::string message;
  aws_message(message, type, payload);
  return message;
}

Events bedrock_opening(const StreamedCall&) {
  return {aws_message("messageStart", R"({"p":"abcdefghijklmnopqrstu","role":"assistant"})")};
}
void bedrock_delta(std::string& event, const StreamedCall&, uint32_t, std::string_view word) {
  aws_message(
      event, "contentBlockDelta",
      fmt::format(R"({{"contentBlockIndex":0,"delta":{{"text":"{}"}},"p":"abcdefghijklmnopqrstuvwxyz"}})",
                  word));
}
Events bedrock_closing(const StreamedCall& call) {
  return {aws_message("contentBlockStop", R"({"contentBlockIndex":0,"p":"abcdefg"})"),
          aws_message("messageStop", R"({"p":"abcdefghijkl","stopReason":"end_turn"})"),
          aws_message(
              "metadata",
              fmt::format(R"({{"metrics":{{"latencyMs":551}},"p":"abc","usage":{{"inputTokens":{},)"
                          R"("outputTokens":{},"totalTokens":{}}}}})",
                          call.input_tokens, call.output_tokens, call.input_tokens + call.output_tokens))};
}

constexpr std::string_view kSse = "text/event-stream; charset=utf-8";
constexpr StreamDialect kDialects[] = {
    {"openai_chat", "api.openai.com", "/v1/chat/completions", "authorization: Bearer sk-bench\r\n", kSse,
     R"({"model":"gpt-4o-mini","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Tell me of the sea."}]})",
     chat_opening, chat_delta, chat_closing, 3},
    {"anthropic", "api.anthropic.com", "/v1/messages",
     "x-api-key: sk-ant-bench\r\nanthropic-version: 2023-06-01\r\n", kSse,
     R"({"model":"claude-sonnet-4-5","max_tokens":4096,"stream":true,"system":"Be brief.","messages":[{"role":"user","content":"Tell me of the sea."}]})",
     anthropic_opening, anthropic_delta, anthropic_closing, 5},
    {"openai_responses", "api.openai.com", "/v1/responses", "authorization: Bearer sk-bench\r\n", kSse,
     R"({"model":"gpt-5-mini","stream":true,"instructions":"Be brief.","input":"Tell me of the sea."})",
     responses_opening, responses_delta, responses_closing, 4},
    {"gemini", "generativelanguage.googleapis.com",
     "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", "x-goog-api-key: AIzaBench\r\n",
     "text/event-stream", R"({"contents":[{"role":"user","parts":[{"text":"Tell me of the sea."}]}]})",
     gemini_opening, gemini_delta, gemini_closing, 1},
    {"bedrock_converse", "bedrock-runtime.us-east-1.amazonaws.com",
     "/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse-stream",
     "authorization: AWS4-HMAC-SHA256 Credential=bench\r\n", "application/vnd.amazon.eventstream",
     R"({"messages":[{"role":"user","content":[{"text":"Tell me of the sea."}]}],"system":[{"text":"Be brief."}],"inferenceConfig":{"maxTokens":4096}})",
     bedrock_opening, bedrock_delta, bedrock_closing, 4},
    {"ollama", "127.0.0.1:11434", "/api/chat", "", "application/x-ndjson",
     R"({"model":"llama3.2","messages":[{"role":"user","content":"Tell me of the sea."}]})", ollama_opening,
     ollama_delta, ollama_closing, 1},
};

}  // namespace

std::span<const StreamDialect> stream_dialects() { return kDialects; }

}  // namespace llmtap::bench
