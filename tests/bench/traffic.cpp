// SPDX-License-Identifier: Apache-2.0
#include "bench/traffic.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "bench/dialects.h"
#include "bench/encoders.h"
#include "bench/event_writer.h"

namespace llmtap::bench {
namespace {

// Tokens as models send them, as JSON text: words, some punctuation, escapes and other scripts.
std::vector<std::string> vocabulary() {
  std::mt19937 random(1);
  std::vector<std::string> words;
  static constexpr std::string_view kOthers[] = {
      "\\n\\n", "\\n", ".", ",", " \\\"", "\\u2019s", "\xe6\xb5\xb7", "\xc3\xa9", " \xf0\x9f\x8c\x8a", "**"};
  for (size_t i = 0; i < 1000; ++i) {
    if (i % 12 == 0) {
      words.emplace_back(kOthers[i / 12 % std::size(kOthers)]);
      continue;
    }
    std::string word = i % 9 ? " " : "";
    for (size_t length = 1 + random() % 8; length > 0; --length)
      word += static_cast<char>('a' + random() % 26);
    words.push_back(word);
  }
  return words;
}

class Words {
 public:
  const std::string& next() { return words_[random_() % words_.size()]; }
  uint32_t below(uint32_t bound) { return static_cast<uint32_t>(random_() % bound); }
  std::string prose(size_t bytes) {
    std::string text;
    while (text.size() < bytes) text += next();
    return text;
  }
  // Source code as a tool returns it: short lines, quotes, tabs.
  std::string code(size_t bytes) {
    std::string text;
    while (text.size() < bytes)
      text += fmt::format("  {:5}\\t{}const{} = call(\\\"{}\\\", {});{}\\n", below(2000),
                          below(2) ? "\\t" : "    ", next(), next(), below(99), next());
    return text;
  }
  std::string base64(size_t bytes) {
    static constexpr std::string_view kDigits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text(bytes, 'A');
    for (char& c : text) c = kDigits[random_() % 64];
    return text;
  }

 private:
  std::mt19937 random_{7};
  std::vector<std::string> words_ = vocabulary();
};

std::string chunk(std::string_view data) { return fmt::format("{:x}\r\n{}\r\n", data.size(), data); }

std::string_view coding_header(Coding coding) {
  static constexpr std::string_view kHeaders[] = {"", "content-encoding: gzip\r\n",
                                                  "content-encoding: br\r\n", "content-encoding: zstd\r\n"};
  return kHeaders[static_cast<size_t>(coding)];
}

std::string request_head(std::string_view host, std::string_view target, std::string_view headers,
                         size_t length) {
  return fmt::format(
      "POST {} HTTP/1.1\r\nHost: {}\r\n{}Accept: */*\r\nUser-Agent: OpenAI/Python 1.99.0\r\nContent-Type: "
      "application/json\r\n"
      "Content-Length: {}\r\n\r\n",
      target, host, headers, length);
}

// A body in the making, coded or not.
class CodedBody {
 public:
  CodedBody(Traffic& traffic)
      : traffic_(traffic), encoder_(Encoder::make(traffic.coding)), number_(traffic.coded_bodies++) {}
  std::string add(std::string_view bytes, bool last = false) {
    traffic_.body_bytes += bytes.size();
    if (!encoder_) return std::string(bytes);
    std::string coded = encoder_->encode(bytes, last);
    traffic_.pieces.push_back({number_, traffic_.coded_bytes.size(), coded.size()});
    traffic_.coded_bytes += coded;
    return coded;
  }

 private:
  Traffic& traffic_;
  std::unique_ptr<Encoder> encoder_;
  uint32_t number_;
};

void begin_stream(EventWriter& writer, Traffic& traffic, const StreamDialect& dialect, uint64_t connection) {
  writer.write(connection,
               request_head(dialect.host, dialect.target, dialect.headers, dialect.request_body.size()),
               true);
  writer.write(connection, dialect.request_body, false);
  traffic.body_bytes += dialect.request_body.size();
  writer.tick(20'000);
  writer.read(connection,
              fmt::format("HTTP/1.1 200 OK\r\nDate: Fri, 02 Jan 2026 03:04:05 GMT\r\nContent-Type: "
                          "{}\r\n{}Transfer-Encoding: chunked\r\n"
                          "Connection: keep-alive\r\nx-request-id: req_{}\r\n\r\n",
                          dialect.content_type, coding_header(traffic.coding), connection),
              true);
  writer.tick(1000);
}

const StreamDialect& find_dialect(std::string_view name) {
  const auto dialects = stream_dialects();
  const auto found = std::ranges::find(dialects, name, &StreamDialect::name);
  LLMTAP_CHECK(found != dialects.end());
  return *found;
}

}  // namespace

Traffic stream_traffic(const StreamKind& kind, uint64_t target_bytes) {
  const StreamDialect& dialect = find_dialect(kind.dialect);
  Traffic traffic;
  traffic.coding = kind.coding;
  traffic.records.reserve(target_bytes / 4);
  EventWriter writer(traffic);
  Words words;
  std::vector<uint32_t> order(kind.streams);
  for (uint32_t i = 0; i < kind.streams; ++i) {
    order[i] = i;
    writer.open(i + 1);
  }
  std::mt19937 random(3);
  std::string event;
  while (traffic.body_bytes < target_bytes) {
    std::vector<StreamedCall> calls(kind.streams);
    std::vector<CodedBody> bodies;
    bodies.reserve(kind.streams);
    const auto send = [&](uint32_t stream, std::string_view data, bool last = false) {
      writer.read(stream + 1, chunk(bodies[stream].add(data, last)) + (last ? "0\r\n\r\n" : ""), false);
      writer.tick(300);
      traffic.events++;
    };
    for (uint32_t i = 0; i < kind.streams; ++i) {
      calls[i] = {fmt::format("{:024x}", traffic.expected.calls + i), 20 + words.below(4000),
                  kind.events_per_call};
      begin_stream(writer, traffic, dialect, i + 1);
      bodies.emplace_back(traffic);
      for (const std::string& each : dialect.opening(calls[i])) send(i, each);
      traffic.expected.input_tokens += calls[i].input_tokens;
      traffic.expected.output_tokens += calls[i].output_tokens;
    }
    for (uint32_t number = 0; number < kind.events_per_call; ++number) {
      std::ranges::shuffle(order, random);
      for (const uint32_t i : order) {
        event.clear();
        dialect.delta(event, calls[i], number, words.next());
        send(i, event);
      }
    }
    for (uint32_t i = 0; i < kind.streams; ++i) {
      const auto closing = dialect.closing(calls[i]);
      for (const std::string& each : closing) send(i, each, &each == &closing.back());
    }
    traffic.expected.calls += kind.streams;
    traffic.expected.chunks += uint64_t{kind.streams} * (kind.events_per_call + dialect.other_chunks);
  }
  for (uint32_t i = 0; i < kind.streams; ++i) writer.close(i + 1);
  return traffic;
}

namespace {

std::string agent_request(Words& words) {
  std::string body = R"({"model":"claude-sonnet-4-5","max_tokens":32000,"system":[{"type":"text","text":")" +
                     words.prose(9000) + R"(","cache_control":{"type":"ephemeral"}}],"tools":[)";
  for (int i = 0; i < 14; ++i)
    body += fmt::format(
        "{}{{\"name\":\"Tool{}\",\"description\":\"{}\",\"input_schema\":{{\"type\":\"object\","
        "\"properties\":{{\"file_path\":"
        "{{\"type\":\"string\",\"description\":\"{}\"}},\"limit\":{{\"type\":\"number\"}}}},\"required\":["
        "\"file_path\"],"
        "\"additionalProperties\":false}}}}",
        i ? "," : "", i, words.prose(900), words.prose(60));
  body += R"(],"messages":[{"role":"user","content":[{"type":"text","text":")" + words.prose(400) + R"("}]})";
  for (int turn = 0; body.size() < 60'000; ++turn) {
    body += fmt::format(
        ",{{\"role\":\"assistant\",\"content\":[{{\"type\":\"text\",\"text\":\"{}\"}},{{\"type\":\"tool_"
        "use\",\"id\":\"toolu_{:020}\","
        "\"name\":\"Tool{}\",\"input\":{{\"file_path\":\"/src/{}.cpp\",\"limit\":200}}}}]}}",
        words.prose(180), turn, turn % 14, turn);
    body += fmt::format(
        ",{{\"role\":\"user\",\"content\":[{{\"tool_use_id\":\"toolu_{:020}\",\"type\":\"tool_result\","
        "\"content\":\"{}\"}}]}}",
        turn, words.code(std::min<size_t>(4000, 64'000 - body.size())));
  }
  return body + R"(],"temperature":1,"stream":false})";
}

std::string image_request(Words& words) {
  return R"({"model":"claude-sonnet-4-5","max_tokens":1024,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":")" +
         words.base64((1 << 20) - 400) + R"("}},{"type":"text","text":"What is in this picture?"}]}]})";
}

std::string reply(const std::string& id, const std::string& text, uint64_t input, uint64_t output) {
  return fmt::format(
      "{{\"model\":\"claude-sonnet-4-5-20250929\",\"id\":\"msg_{}\",\"type\":\"message\",\"role\":"
      "\"assistant\",\"content\":[{{\"type\":\"text\","
      "\"text\":\"{}\"}}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{{\"input_tokens\":{}"
      ",\"output_tokens\":{}}}}}",
      id, text, input, output);
}

}  // namespace

Traffic body_traffic(BodyKind kind, Coding coding, uint64_t target_bytes) {
  static constexpr std::string_view kHeaders = "x-api-key: sk-ant-bench\r\nanthropic-version: 2023-06-01\r\n";
  constexpr size_t kBodies = 16;
  Traffic traffic;
  traffic.coding = coding;
  traffic.records.reserve(target_bytes / 6);
  EventWriter writer(traffic);
  writer.open(1);
  Words words;
  std::vector<std::string> requests;
  for (size_t i = 0; i < (kind == BodyKind::kReplies         ? 1
                          : kind == BodyKind::kImageRequests ? 4
                                                             : kBodies);
       ++i)
    requests.push_back(kind == BodyKind::kAgentRequests ? agent_request(words)
                       : kind == BodyKind::kImageRequests
                           ? image_request(words)
                           : std::string(find_dialect("anthropic").request_body));
  while (traffic.body_bytes < target_bytes) {
    const uint64_t number = traffic.expected.calls++;
    const uint64_t input = 100 + number % 1000, output = 10 + number % 77;
    traffic.expected.input_tokens += input;
    traffic.expected.output_tokens += output;
    const bool code_request = kind != BodyKind::kReplies;
    const std::string& plain = requests[number % requests.size()];
    std::string request = plain;
    if (code_request)
      request = CodedBody(traffic).add(plain, true);
    else
      traffic.body_bytes += plain.size();
    writer.write(1,
                 request_head("api.anthropic.com", "/v1/messages",
                              fmt::format("{}{}", kHeaders, code_request ? coding_header(coding) : ""),
                              request.size()),
                 true);
    for (size_t at = 0; at < request.size(); at += 256 * 1024)
      writer.write(1, std::string_view(request).substr(at, 256 * 1024), false);
    writer.tick(50'000);
    const std::string id = fmt::format("{:020x}", number);
    const std::string answer = reply(id, words.prose(code_request ? 40 : 64'000), input, output);
    std::string body = answer;
    if (code_request) {
      traffic.body_bytes += answer.size();
    } else {
      // Servers flush whole buffers of a reply that they have whole.
      CodedBody coded(traffic);
      body.clear();
      for (size_t at = 0; at < answer.size(); at += 16'384)
        body += coded.add(std::string_view(answer).substr(at, 16'384), at + 16'384 >= answer.size());
    }
    const std::string data =
        fmt::format("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{}Content-Length: {}\r\n\r\n{}",
                    code_request ? "" : coding_header(coding), body.size(), body);
    for (size_t at = 0; at < data.size(); at += 16'384) {
      writer.read(1, std::string_view(data).substr(at, 16'384), at == 0);
      writer.tick(5000);
    }
  }
  writer.close(1);
  return traffic;
}

Traffic open_streams(uint32_t streams) {
  const StreamDialect& dialect = find_dialect("openai_chat");
  Traffic traffic;
  EventWriter writer(traffic);
  Words words;
  for (uint32_t i = 1; i <= streams; ++i) {
    const StreamedCall call{fmt::format("{:024x}", i), 20, 100};
    writer.open(i);
    begin_stream(writer, traffic, dialect, i);
    for (const std::string& each : dialect.opening(call)) writer.read(i, chunk(each), false);
    for (uint32_t number = 0; number < 4; ++number) {
      std::string event;
      dialect.delta(event, call, number, words.next());
      // The last one is cut in its middle: what a reader keeps for half an event counts too.
      const std::string bytes = chunk(event);
      writer.read(
          i, std::string_view(bytes).substr(0, number == 3 && i % 10 == 0 ? bytes.size() / 2 : bytes.size()),
          false);
      traffic.events++;
      writer.tick(300);
    }
  }
  return traffic;
}

}  // namespace llmtap::bench
