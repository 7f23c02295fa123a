// SPDX-License-Identifier: Apache-2.0
// An HTTP exchange written as text, played into a MessageSink in pieces of any size. Knows just
// enough of SSE and NDJSON for well-formed test input.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "llm/call_tracker.h"

namespace llmtap::test {

struct ExchangeText {
  std::string request;  // head, blank line, body; empty: was not seen
  std::string reply;    // empty: none came
  ExchangeEnd::How how = ExchangeEnd::How::kComplete;
  Defect defect = Defect::kNone;
  bool last_event_cut = false;  // the last event of the reply never ended
};

struct RecordingSink : CallSink, VerdictSink {
  std::vector<LlmCall> opened, finished;
  std::vector<HttpExchange> http_opened, http_finished;
  std::vector<Verdict> verdicts;
  void on_call_open(const LlmCall& call) override { opened.push_back(call); }
  void on_call_finished(const LlmCall& call) override { finished.push_back(call); }
  void on_http_open(const HttpExchange& http) override { http_opened.push_back(http); }
  void on_http_finished(const HttpExchange& http) override { http_finished.push_back(http); }
  void set_verdict(uint64_t, Verdict verdict) override { verdicts.push_back(verdict); }
};

inline constexpr uint64_t kMs = 1'000'000;
// request head at 1,000 ms, its end at 1,002; reply head at 1,100, body from 1,200, 10 ms per event.
inline constexpr uint64_t kRequestNs = 1000 * kMs, kReplyNs = 1100 * kMs, kBodyNs = 1200 * kMs,
                          kEventNs = 10 * kMs;

class Player {
 public:
  Player(MessageSink& sink, ConnectionFacts connection, size_t piece)
      : sink_(sink), connection_(std::move(connection)), piece_(piece) {}

  void play(const ExchangeText& text, uint64_t number = 0) {
    id_ = {connection_.id, number};
    if (!text.request.empty()) {
      const Parsed request = parse(text.request);
      const size_t method = request.start.find(' '), target = request.start.rfind(' ');
      RequestHead head;
      head.method = std::string_view(request.start).substr(0, method);
      head.target = std::string_view(request.start).substr(method + 1, target - method - 1);
      head.headers = request.fields;
      head.authority = head.header("host");
      head.version = HttpVersion::kHttp11;
      head.start_ns = head.time_ns = kRequestNs;
      sink_.on_request_head(connection_, id_, head);
      body(Side::kRequest, request.body, kRequestNs + kMs);
      if (text.how == ExchangeEnd::How::kComplete || !text.reply.empty())
        sink_.on_message_end(id_, Side::kRequest,
                             {kRequestNs + 2 * kMs, request.body.size(), request.body.size(), Defect::kNone});
    }
    uint64_t end_ns = kReplyNs;
    if (!text.reply.empty()) {
      const Parsed reply = parse(text.reply);
      ResponseHead head;
      head.status = std::stoi(reply.start.substr(reply.start.find(' ') + 1));
      head.headers = reply.fields;
      head.version = HttpVersion::kHttp11;
      head.start_ns = head.time_ns = kReplyNs;
      sink_.on_response_head(connection_, id_, head);
      const std::string_view type = head.header("content-type");
      end_ns = kBodyNs;
      // The payloads of AWS frames are written as events, too: name and data are what crosses.
      if (type.starts_with("text/event-stream") || type.starts_with("application/vnd.amazon"))
        end_ns = events(reply.body, "\n\n", text.last_event_cut);
      else if (type == "application/x-ndjson")
        end_ns = events(reply.body, "\n", text.last_event_cut);
      else
        body(Side::kResponse, reply.body, kBodyNs);
      if (text.how == ExchangeEnd::How::kComplete)
        sink_.on_message_end(id_, Side::kResponse,
                             {end_ns, reply.body.size(), reply.body.size(), text.defect});
    }
    sink_.on_exchange_end(id_, {text.how, end_ns + kMs, text.defect});
  }

 private:
  struct Parsed {
    std::string start;
    std::vector<std::pair<std::string, std::string>> storage;
    std::vector<HeaderField> fields;
    std::string body;
  };

  static Parsed parse(const std::string& text) {
    Parsed parsed;
    const size_t blank = text.find("\n\n");
    const std::string head = text.substr(0, blank);
    if (blank != std::string::npos) parsed.body = text.substr(blank + 2);
    size_t at = head.find('\n');
    parsed.start = head.substr(0, at);
    while (at != std::string::npos) {
      const size_t next = head.find('\n', at + 1);
      const std::string line = head.substr(at + 1, next == std::string::npos ? next : next - at - 1);
      const size_t colon = line.find(": ");
      parsed.storage.emplace_back(line.substr(0, colon), line.substr(colon + 2));
      at = next;
    }
    for (const auto& [name, value] : parsed.storage) parsed.fields.push_back({name, value});
    return parsed;
  }

  static std::span<const uint8_t> bytes(std::string_view text) {
    return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
  }

  void body(Side side, std::string_view all, uint64_t time_ns) {
    for (size_t at = 0; at < all.size(); at += piece_)
      sink_.on_body(id_, side, bytes(all.substr(at, piece_)), time_ns);
  }

  uint64_t events(std::string_view all, std::string_view separator, bool last_cut) {
    uint64_t now = kBodyNs;
    while (!all.empty()) {
      size_t end = all.find(separator);
      const bool cut = end == std::string_view::npos;
      if (cut) end = all.size();
      std::string name, data;
      if (separator == "\n") {
        data = all.substr(0, end);
      } else {
        for (std::string_view rest = all.substr(0, end); !rest.empty();) {
          const size_t line_end = std::min(rest.find('\n'), rest.size());
          const std::string_view line = rest.substr(0, line_end);
          if (line.starts_with("data: ")) data += (data.empty() ? "" : "\n") + std::string(line.substr(6));
          if (line.starts_with("event: ")) name = line.substr(7);
          rest.remove_prefix(std::min(rest.size(), line_end + 1));
        }
      }
      all.remove_prefix(std::min(all.size(), end + separator.size()));
      for (size_t at = 0; at < data.size(); at += piece_)
        sink_.on_event_data(id_, Side::kResponse, bytes(std::string_view(data).substr(at, piece_)), now);
      if (!data.empty() || !name.empty())
        sink_.on_event_end(id_, Side::kResponse, {name, now, now, data.size(), !(cut && last_cut)});
      now += kEventNs;
    }
    return now;
  }

  MessageSink& sink_;
  ConnectionFacts connection_;
  size_t piece_;
  ExchangeId id_;
};

}  // namespace llmtap::test
