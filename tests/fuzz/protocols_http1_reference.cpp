// SPDX-License-Identifier: Apache-2.0
// First byte: bit 0 replies (to four requests that came before), else requests; the rest how it is cut.
// Then the bytes of that side up to its end. Oracle: what http_parser (Node's, before llhttp) reads as whole
// messages, ours reads too: the same start lines, fields, trailers' place and length of the body.
#include <http_parser.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "base/ascii.h"
#include "base/check.h"
#include "protocols/connection_readers.h"
#include "protocols/http1/head.h"

namespace {

using namespace llmtap;

struct Message {
  std::string start;  // method and target, or status
  std::vector<std::pair<std::string, std::string>> fields;
  uint64_t body_bytes = 0;
  bool ended = false, other_coding = false;
};

// RFC 9112 5.2: a folded line is joined by one or more blanks. All runs of them become one.
std::string plain_value(std::string_view text) {
  std::string value;
  for (const char c : text) {
    const bool blank = c == ' ' || c == '\t' || c == '\r' || c == '\n';
    if (!blank)
      value += c;
    else if (!value.empty() && value.back() != ' ')
      value += ' ';
  }
  if (value.ends_with(' ')) value.pop_back();
  return value;
}

class Ours final : public MessageSink, public VerdictSink {
 public:
  explicit Ours(Side side) : side_(side) {}
  std::vector<Message> messages;

  void on_request_head(const ConnectionFacts&, ExchangeId, const RequestHead& head) override {
    if (side_ == Side::kRequest) add(std::string(head.method) + " " + std::string(head.target), head.headers);
  }
  void on_response_head(const ConnectionFacts&, ExchangeId, const ResponseHead& head) override {
    if (side_ == Side::kResponse) add(std::to_string(head.status), head.headers);
  }
  void on_body(ExchangeId, Side, std::span<const uint8_t>, uint64_t) override {}
  void on_event_data(ExchangeId, Side, std::span<const uint8_t>, uint64_t) override {}
  void on_event_end(ExchangeId, Side, const EventEnd&) override {}
  void on_message_end(ExchangeId, Side side, const MessageEnd& end) override {
    if (side != side_) return;
    messages.back().body_bytes = end.wire_bytes;
    messages.back().ended = true;
  }
  void on_exchange_end(ExchangeId, const ExchangeEnd&) override {}
  void set_verdict(uint64_t, Verdict) override {}

 private:
  void add(std::string start, std::span<const HeaderField> fields) {
    messages.push_back({std::move(start), {}, 0, false, false});
    for (const HeaderField& field : fields)
      messages.back().fields.emplace_back(field.name, plain_value(field.value));
  }
  Side side_;
};

std::vector<Message> read(std::string_view input, Side side, size_t step) {
  Ours ours(side);
  Limits limits;
  limits.pipelined_requests = 100'000;
  ConnectionReaders readers(limits, ours, ours);
  ConnectionFacts facts;
  facts.id = 1;
  facts.role = Role::kClient;
  facts.first_byte_seen = true;
  readers.on_open(facts);
  const auto bytes_of = [](std::string_view text) {
    return std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  };
  uint64_t offset = 0;
  if (side == Side::kResponse)
    for (int i = 0; i < 4; ++i) {
      static constexpr std::string_view kAsk = "GET / HTTP/1.1\r\nhost: h\r\n\r\n";
      readers.on_chunk(facts, Direction::kWrite, {bytes_of(kAsk), offset, 1});
      offset += kAsk.size();
    }
  const Direction direction = side == Side::kRequest ? Direction::kWrite : Direction::kRead;
  for (size_t at = 0; at < input.size(); at += std::min(step, input.size() - at)) {
    const std::string piece(input.substr(at, step));
    readers.on_chunk(facts, direction, {bytes_of(piece), at, 2});
  }
  readers.on_end(facts, EndReason::kPeerClosed, 3);
  return ours.messages;
}

// Whole messages of versions 1.0 and 1.1; ends in front of the first other one.
class Theirs {
 public:
  std::vector<Message> messages;

  void parse(std::string_view input, bool replies) {
    http_parser parser;
    http_parser_init(&parser, replies ? HTTP_RESPONSE : HTTP_REQUEST);
    parser.data = this;
    http_parser_settings settings;
    http_parser_settings_init(&settings);
    settings.on_message_begin = [](http_parser* p) {
      auto& self = of(p);
      self.now_ = {};
      self.in_value_ = self.in_trailers_ = false;
      return 0;
    };
    settings.on_url = [](http_parser* p, const char* at, size_t n) {
      of(p).now_.start.append(at, n);
      return 0;
    };
    settings.on_header_field = [](http_parser* p, const char* at, size_t n) {
      auto& self = of(p);
      if (self.in_trailers_) return 0;
      if (self.in_value_ || self.now_.fields.empty()) self.now_.fields.emplace_back();
      self.in_value_ = false;
      self.now_.fields.back().first.append(at, n);
      return 0;
    };
    settings.on_header_value = [](http_parser* p, const char* at, size_t n) {
      auto& self = of(p);
      if (self.in_trailers_) return 0;
      self.in_value_ = true;
      self.now_.fields.back().second.append(at, n);
      return 0;
    };
    settings.on_headers_complete = [](http_parser* p) {
      of(p).in_trailers_ = true;
      return 0;
    };
    end_ = input.data() + input.size();
    settings.on_body = [](http_parser* p, const char* at, size_t n) {
      of(p).now_.body_bytes += n;
      // It takes any two bytes for the line end behind a chunk.
      const bool in_chunk = (p->flags & F_CHUNKED) != 0 && p->content_length == 0;
      return in_chunk && std::string_view(at + n, of(p).end_).substr(0, 2) != "\r\n" ? 1 : 0;
    };
    settings.on_message_complete = [](http_parser* p) {
      auto& self = of(p);
      // 0.9, 2.x; tunnels, which are no messages any more.
      if (p->http_major != 1 || p->http_minor > 9 || p->upgrade) return 1;
      if (p->type == HTTP_RESPONSE) {
        if (p->status_code == 101 || p->status_code < 100) return 1;
        self.now_.start = std::to_string(p->status_code);
        if (p->status_code < 200) return 0;  // ours does not deliver them
      } else {
        self.now_.start =
            std::string(http_method_str(static_cast<http_method>(p->method))) + " " + self.now_.start;
      }
      self.now_.ended = true;
      for (auto& [name, value] : self.now_.fields) {
        std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
        // Elements of a list may be empty, blanks stand behind (RFC 9110 5.6.1): it knows the bare word.
        if (name == "transfer-encoding" && value != "chunked") self.now_.other_coding = true;
        value = plain_value(value);
      }
      self.messages.push_back(self.now_);
      return 0;
    };
    const size_t used = http_parser_execute(&parser, &settings, input.data(), input.size());
    if (used == input.size() && HTTP_PARSER_ERRNO(&parser) == HPE_OK)
      http_parser_execute(&parser, &settings, nullptr, 0);
  }

 private:
  static Theirs& of(http_parser* p) { return *static_cast<Theirs*>(p->data); }
  Message now_;
  const char* end_ = nullptr;
  bool in_value_ = false, in_trailers_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1 || size > 4096) return 0;
  const bool replies = (data[0] & 1) != 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  // Its table of hexadecimal digits has only half its rows: the others count as 0.
  if (std::ranges::any_of(input, [](char c) { return (c & 0x80) != 0; })) return 0;
  // RFC 9112 2.2: a CR alone is no end of a line; an LF alone is, but not to http_parser in every place.
  for (size_t at = 0; at < input.size(); ++at) {
    if (input[at] == '\r' && input.substr(at + 1, 1) != "\n") return 0;
    if (input[at] == '\n' && (at == 0 || input[at - 1] != '\r')) return 0;
  }
  // It takes any four bytes that begin with H for HTTP.
  for (size_t at = input.find('H'); at != std::string_view::npos; at = input.find('H', at + 1)) {
    const bool inside = at > 0 && input[at - 1] != ' ' && input[at - 1] != '\n';
    const std::string_view version = input.substr(at, 8);
    if (!inside && version != "HTTP/1.1" && version != "HTTP/1.0") return 0;
    // And any number of zeros in front of a status.
    if (!inside && replies && input.substr(at + 8, 2) == " 0") return 0;
  }
  // A connection is known by its first bytes: no empty lines, no other methods in front.
  if ((replies ? http1::match_response_start(input) : http1::match_request_start(input)) !=
      http1::Match::kYes)
    return 0;
  Theirs theirs;
  theirs.parse(input, replies);
  const size_t count = std::min<size_t>(theirs.messages.size(), replies ? 4 : SIZE_MAX);
  if (count == 0) return 0;
  const std::vector<Message> ours =
      read(input, replies ? Side::kResponse : Side::kRequest, 1 + (data[0] >> 1));
  for (size_t i = 0; i < count; ++i) {
    const Message& want = theirs.messages[i];
    // RFC 9112 6.3: 204 and 304 have no body, whatever their fields say; and longer names are others.
    const auto coding = [](const auto& each) {
      return each.first.starts_with("transfer-encoding") && each.first != "transfer-encoding";
    };
    if (want.other_coding || std::ranges::any_of(want.fields, coding)) break;
    if ((want.start == "204" || want.start == "304") && want.body_bytes != 0) break;
    // A target has no tabs (RFC 9112 3.2).
    if (std::ranges::any_of(want.start, [](char c) { return c < ' '; })) break;
    // It does not look at blanks in a field's name.
    const auto blank = [](const auto& each) { return each.first.find(' ') != std::string::npos; };
    if (std::ranges::any_of(want.fields, blank)) break;
    const bool same = i < ours.size() && ours[i].start == want.start && ours[i].fields == want.fields &&
                      ours[i].ended && ours[i].body_bytes == want.body_bytes;
    if (!same) {
      const auto show = [](const char* who, const Message& m) {
        std::fprintf(stderr, "%s: %s, %llu bytes, %s\n", who, m.start.c_str(),
                     static_cast<unsigned long long>(m.body_bytes), m.ended ? "ended" : "open");
        for (const auto& [name, value] : m.fields)
          std::fprintf(stderr, "  %s: %s\n", name.c_str(), value.c_str());
      };
      std::fprintf(stderr, "message %zu of %zu, ours has %zu\n", i, count, ours.size());
      show("http_parser", want);
      if (i < ours.size()) show("ours", ours[i]);
    }
    LLMTAP_CHECK(same);
  }
  return 0;
}
