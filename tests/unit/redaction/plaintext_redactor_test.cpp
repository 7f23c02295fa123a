// SPDX-License-Identifier: Apache-2.0
#include "redaction/plaintext_redactor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace llmtap {
namespace {

struct Redacted {
  std::string text;
  size_t opaque_bytes = 0;
  bool operator==(const Redacted&) const = default;
  friend void PrintTo(const Redacted& redacted, std::ostream* out) {
    *out << redacted.opaque_bytes << " opaque in\n" << redacted.text;
  }
};

// Pushes the pieces between `cuts`.
Redacted redact(std::string text, const std::vector<size_t>& cuts = {}) {
  PlaintextRedactor redactor;
  Redacted result;
  size_t begin = 0;
  const auto push = [&](size_t end) {
    auto* data = reinterpret_cast<uint8_t*>(text.data()) + begin;
    for (const auto& range : redactor.redact({data, end - begin})) result.opaque_bytes += range.length;
    begin = end;
  };
  for (const size_t cut : cuts) push(cut);
  push(text.size());
  result.text = text;
  return result;
}

std::string post(std::string_view body, std::string_view type = "application/json") {
  return "POST /v1/x HTTP/1.1\r\nContent-Type: " + std::string(type) +
         "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

std::string body_of(const std::string& message) { return message.substr(message.find("\r\n\r\n") + 4); }

struct Case {
  const char* name;
  std::string in, want;
  size_t opaque = 0;
  friend void PrintTo(const Case& test, std::ostream* out) { *out << test.name; }
};
class Plaintext : public ::testing::TestWithParam<Case> {};

TEST_P(Plaintext, IsTheSameHoweverItIsSplit) {
  const auto& [name, in, text, opaque] = GetParam();
  const Redacted want{text, opaque};
  ASSERT_EQ(in.size(), text.size());
  ASSERT_EQ(redact(in), want);
  for (size_t cut = 0; cut <= in.size(); ++cut) EXPECT_EQ(redact(in, {cut}), want) << "split at byte " << cut;
  std::vector<size_t> every;
  for (size_t i = 1; i < in.size(); ++i) every.push_back(i);
  EXPECT_EQ(redact(in, every), want);
  std::mt19937 random(1);
  for (int round = 0; round < 1000; ++round) {
    std::vector<size_t> cuts;
    for (int i = 0; i < 5; ++i) cuts.push_back(random() % (in.size() + 1));
    std::ranges::sort(cuts);
    EXPECT_EQ(redact(in, cuts), want);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Cases, Plaintext,
    ::testing::Values(
        Case{"RequestHead",
             "POST /v1beta/models/g-2:go?key=SECRET&alt=sse HTTP/1.1\r\nHost: api.test\r\nAuthorization: "
             "Bearer abc\r\n"
             "x-goog-api-key:abc\r\nX-My-Thing: hello you\r\nContent-Length: 0\r\n\r\n",
             "POST /v1beta/models/g-2:go?key=xxxxxx&alt=sse HTTP/1.1\r\nHost: api.test\r\nAuthorization: "
             "xxxxxx xxx\r\n"
             "x-goog-api-key:xxx\r\nX-My-Thing: xxxxx xxx\r\nContent-Length: 0\r\n\r\n"},
        Case{"SecretsInKeptPlaces",
             "GET /a/sk-abcdef/b?model=sk-abc HTTP/1.1\r\nUser-Agent: x/1 hf_abc end\r\n\r\n",
             "GET /a/sk-xxxxxx/b?model=sk-xxx HTTP/1.1\r\nUser-Agent: x/1 hf_xxx end\r\n\r\n"},
        // Not even the letter before it is one then.
        Case{
            "SecretsBehindWhatGoes",
            "HTTP/1.1 200 OK\r\nVia: a\x80sk-abc\r\nContent-Type: text/event-stream\r\n\r\nevent: "
            "a/sk-abc\n\n",
            "HTTP/1.1 200 xx\r\nVia: axsk-xxx\r\nContent-Type: text/event-stream\r\n\r\nevent: axsk-xxx\n\n"},
        Case{"Folded", "GET / HTTP/1.1\r\nCookie: a=b;\r\n c=d\r\n\r\n",
             "GET / HTTP/1.1\r\nCookie: xxxx\r\n xxx\r\n\r\n"},
        Case{"AbsoluteForm", "GET http://u:p@h/v1 HTTP/1.1\r\n\r\n", "GET xxxx://x:xxx/xx HTTP/1.1\r\n\r\n"},
        Case{"ReplyHead",
             "HTTP/1.1 429 Too Many\r\nset-cookie: __cf_bm=1\r\nx-request-id: req_1\r\nopenai-organization: "
             "acme\r\n"
             "x-ratelimit-limit-tokens: 5\r\ncontent-length: 0\r\n\r\n",
             "HTTP/1.1 429 xxx xxxx\r\nset-cookie: xxxxxxxxx\r\nx-request-id: req_1\r\nopenai-organization: "
             "xxxx\r\n"
             "x-ratelimit-limit-tokens: 5\r\ncontent-length: 0\r\n\r\n"},
        Case{
            "Chat",
            post(
                R"({"model":"gpt-5.5","messages":[{"role":"user","name":"Jo","content":"Hi \"you\" é\u00e9"}],"n":12,"stream":true,"user":"u-1"})"),
            post(
                R"({"model":"gpt-5.5","messages":[{"role":"user","name":"xx","content":"xxxxxxxxxxxxxxxxxxx"}],"n":12,"stream":true,"user":"xxx"})")},
        Case{
            "ToolCalls",
            post(
                R"({"tools":[{"type":"function","function":{"name":"get_x","description":"D","parameters":{"type":"object","properties":{"secret_key":{"type":"string"}},"required":["q"]}}}],"tool_use":{"name":"n","input":{"id":"42","age":42}}})"),
            post(
                R"({"tools":[{"type":"function","function":{"name":"get_x","description":"x","parameters":{"type":"object","properties":{"xxxxxxxxxx":{"xxxx":"xxxxxx"}},"required":["x"]}}}],"tool_use":{"name":"x","input":{"xx":"xx","xxx":11}}})")},
        Case{
            "Vectors",
            post(
                R"({"object":"list","data":[{"embedding":[0.25,-3e-5],"index":7}],"usage":{"prompt_tokens":5}})"),
            post(
                R"({"object":"list","data":[{"embedding":[1.11,-1e-1],"index":7}],"usage":{"prompt_tokens":5}})")},
        Case{
            "KeysThatQuote",
            post(
                R"({"type":"sk-abcdef","id":"two words","code":"import os","error":{"code":"x_y","message":"m"}})"),
            post(
                R"({"type":"sk-xxxxxx","id":"twoxxxxxx","code":"importxxx","error":{"code":"x_y","message":"x"}})")},
        Case{"Ndjson",
             post("{\"model\":\"m\",\"response\":\"a\"}\n{\"done\":true,\"eval_count\":3}\n",
                  "application/x-ndjson"),
             post("{\"model\":\"m\",\"response\":\"x\"}\n{\"done\":true,\"eval_count\":3}\n",
                  "application/x-ndjson")},
        Case{"NotJson", post("{\"a\":1} call 555 now", "application/json"),
             post("{\"a\":1} xxxx xxx xxx", "application/json")},
        Case{"FreeTextInJson", post("[true,trust me 5]"), post("[true,truxx xx xx")},
        Case{"SniffedJson", post("{\"a\":\"b\"}", "text/plain"), post("{\"a\":\"x\"}", "text/plain")},
        Case{"Multipart", post("--b\r\nsecret", "multipart/form-data; boundary=b"),
             post("xxxxxxxxxxx", "multipart/form-data; boundary=b"), 11},
        Case{"Compressed",
             "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: "
             "4\r\n\r\n\x1f\x8b{\"HTTP/1.1 204 OK\r\n\r\n",
             "HTTP/1.1 200 xx\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: "
             "4\r\n\r\nxxxxHTTP/1.1 204 xx\r\n\r\n",
             4},
        Case{
            "SseChunked",
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            "21;e=f\r\nevent: content_block_delta\ndata: \r\n18\r\n{\"type\":\"t\",\"text\":\"hi\"}\r\n"
            "1b\r\n\n\n: note\n\ndata: [DONE]\n\n\n\n\n\r\n0\r\nX-Trailer: v\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
            "HTTP/1.1 200 xx\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            "21;xxx\r\nevent: content_block_delta\ndata: \r\n18\r\n{\"type\":\"t\",\"text\":\"xx\"}\r\n"
            "1b\r\n\n\n: xxxx\n\ndata: [DONE]\n\n\n\n\n\r\n0\r\nX-Trailer: x\r\n\r\nHTTP/1.1 204 xx\r\n\r\n"},
        Case{
            "SseCrLfTwoLines",
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: "
            "{\"id\":\"a\",\r\ndata:\"text\":\"secret\"}\r\n\r\nid: 5f\r\nfoo: bar\r\ndata: plain 12\r\n\r\n",
            "HTTP/1.1 200 xx\r\nContent-Type: text/event-stream\r\n\r\ndata: "
            "{\"id\":\"a\",\r\ndata:\"text\":\"xxxxxx\"}\r\n\r\nid: xx\r\nxxxx xxx\r\ndata: xxxxx "
            "xx\r\n\r\n"},
        Case{"Http2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
        Case{"NoPreface", "PRI * HTTP/3.0\r\n\r\nSM", "PRI * HTTP/xxxxxxxxx", 9},
        Case{"Upgrade", "HTTP/1.1 101 Switch\r\nUpgrade: websocket\r\n\r\n\x81\x02hi",
             "HTTP/1.1 101 xxxxxx\r\nUpgrade: websocket\r\n\r\n\x81\x02xx"},
        Case{"UpgradeToOther", "HTTP/1.1 101 Switch\r\nUpgrade: tls\r\n\r\n\x81\x02hi",
             "HTTP/1.1 101 xxxxxx\r\nUpgrade: tls\r\n\r\nxxxx", 4},
        // A message in two frames, one of bytes, a close frame with a reason, damage.
        Case{"WebSocketReply",
             "HTTP/1.1 101 Switch\r\nUpgrade: WebSocket\r\n\r\n" + std::string("\x01\x0b{\"type\":\"a.", 13) +
                 std::string("\x80\x0f"
                             "b\",\"text\":\"hi\"}",
                             17) +
                 std::string("\x82\x7e\x00\x02"
                             "hi",
                             6) +
                 std::string("\x88\x05\x03\xe8why", 7) + "\xb1secret",
             "HTTP/1.1 101 xxxxxx\r\nUpgrade: WebSocket\r\n\r\n" + std::string("\x01\x0b{\"type\":\"a.", 13) +
                 std::string("\x80\x0f"
                             "b\",\"text\":\"xx\"}",
                             17) +
                 std::string("\x82\x7e\x00\x02"
                             "xx",
                             6) +
                 std::string("\x88\x05\x03\xe8xxx", 7) + "xxxxxxx",
             7},
        // Masked by zeros, so that it can be read here; and by what is no zeros.
        Case{"WebSocketRequest",
             "GET /v1/realtime HTTP/1.1\r\nUpgrade: websocket\r\n\r\n" +
                 std::string("\x81\x8f\0\0\0\0{\"key\":\"secret\"", 21) +
                 std::string("\x81\x83\x01\x02\x03\x04"
                             "abc",
                             9),
             "GET /v1/realtime HTTP/1.1\r\nUpgrade: websocket\r\n\r\n" +
                 std::string("\x81\x8f\0\0\0\0{\"key\":\"xxxxxx\"", 21) +
                 std::string("\x81\x83\x01\x02\x03\x04yz{", 9)},
        Case{"RefusedUpgrade",
             "GET /v1/realtime HTTP/1.1\r\nUpgrade: websocket\r\n\r\nGET / HTTP/1.1\r\nCookie: a\r\n\r\n",
             "GET /v1/realtime HTTP/1.1\r\nUpgrade: websocket\r\n\r\nGET / HTTP/1.1\r\nCookie: x\r\n\r\n"},
        Case{"TwoLengths", "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
             "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 2},
        Case{"TlsRecord", "\x16\x03\x01 client hello", "xxxxxxxxxxxxxxxx", 16}),
    [](const auto& test) { return test.param.name; });

TEST(PlaintextRedactorState, AfterAGapOnlyACertainHeadIsRead) {
  PlaintextRedactor redactor;
  const auto push = [&](std::string text) {
    size_t opaque = 0;
    for (const auto& range : redactor.redact({reinterpret_cast<uint8_t*>(text.data()), text.size()}))
      opaque += range.length;
    return std::pair(text, opaque);
  };
  EXPECT_EQ(push("POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n{\"a\":").second, 0u);
  redactor.gap();
  EXPECT_EQ(push("\"id\":\"secret\"}"), std::pair(std::string(14, 'x'), size_t{14}));
  EXPECT_EQ(push("POST"), std::pair(std::string("xxxx"), size_t{4}));
  EXPECT_EQ(push("HTTP/1.1 200 OK\r\nCookie: a\r\n\r\n").first, "HTTP/1.1 200 xx\r\nCookie: x\r\n\r\n");
}

// A reply to HEAD says how long a content would be that does not come.
TEST(PlaintextRedactorState, RepliesToHeadHaveNoContent) {
  for (const std::string framing : {"Content-Length: 44", "Transfer-Encoding: chunked"}) {
    PlaintextRedactor redactor;
    const auto push = [&](std::string text) {
      EXPECT_TRUE(redactor.redact({reinterpret_cast<uint8_t*>(text.data()), text.size()}).empty());
      return text;
    };
    const std::string head = "HTTP/1.1 200 xx\r\nContent-Type: application/json\r\n" + framing + "\r\n\r\n";
    EXPECT_EQ(push(head), head);
    EXPECT_EQ(push("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 24\r\n\r\n"),
              "HTTP/1.1 200 xx\r\nContent-Type: application/json\r\nContent-Length: 24\r\n\r\n");
    // Content that came begins as a text: no head.
    EXPECT_EQ(push(R"({"id":"a","text":"HTTP"})"), R"({"id":"a","text":"xxxx"})");
  }
}

TEST(PlaintextRedactorState, DeepNestingIsOverwritten) {
  const std::string body = std::string(1000, '[') + "\"secret\"";
  const std::string out = body_of(redact(post(body)).text);
  EXPECT_EQ(out.size(), body.size());
  EXPECT_THAT(out, ::testing::Not(::testing::HasSubstr("secret")));
}

// Whatever the bytes: same length, no crash, and a marked word behind a non-allowed key never stays.
TEST(PlaintextRedactorState, DamagedMessagesKeepTheirSecrets) {
  const std::string good =
      "POST /v1/m HTTP/1.1\r\nAuthorization: Bearer TOPSECRET\r\nContent-Type: application/json\r\n"
      "Content-Length: 34\r\n\r\n{\"text\":\"TOPSECRET\",\"b\":[1,true]}";
  std::mt19937 random(7);
  for (int round = 0; round < 3000; ++round) {
    std::string text = good;
    const size_t at = random() % (text.size() - 1);
    const size_t header = text.find("Authorization"), value = text.find("\"text\"");
    // Damage everywhere but in the two names that say what the secret is.
    if ((at >= header && at < header + 15) || (at >= value && at < value + 9)) continue;
    text[at] = static_cast<char>(random());
    const std::string out = redact(text).text;
    ASSERT_EQ(out.size(), text.size());
    EXPECT_THAT(out, ::testing::Not(::testing::HasSubstr("TOPSECRET"))) << at << "\n" << text;
  }
}

}  // namespace
}  // namespace llmtap
