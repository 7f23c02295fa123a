// SPDX-License-Identifier: Apache-2.0
// First byte: bit 0 a budget of few streams. Then turns of two bytes and as many as they say: the top bit
// says the server's, the next that the turn is lost, the others its length. Redacted as `record --redact`
// does.
#include <array>
#include <cstdio>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/ascii.h"
#include "base/check.h"
#include "protocols/connection_readers.h"
#include "protocols/http2/frame.h"
#include "redaction/plaintext_redactor.h"
#include "unit/protocols/heap.h"

namespace {

using namespace llmtap;

// Begins as a credential does: stays nowhere unless it is the end of a longer word.
constexpr std::string_view kCredential = "sk-CaNaRy/42+Zq7";
// No identifier of any API: stays in no body.
constexpr std::string_view kWords = "ToPsEcReT!42";

struct Turn {
  size_t side;  // 1: the server's
  bool lost;
  size_t begin, length;  // in its direction
};

struct Conversation {
  explicit Conversation(std::span<const uint8_t> input) {
    while (input.size() > 2) {
      const size_t side = input[0] >> 7;
      const size_t length = std::min<size_t>((input[0] & 0x3fU) << 8 | input[1], input.size() - 2);
      turns.push_back({side, (input[0] & 0x40) != 0, sent[side].size(), length});
      sent[side].append(reinterpret_cast<const char*>(input.data()) + 2, length);
      input = input.subspan(2 + length);
    }
    lost = std::ranges::any_of(turns, &Turn::lost);
  }
  std::vector<Turn> turns;
  std::array<std::string, 2> sent;
  bool lost = false;
};

struct Redacted {
  std::array<std::string, 2> bytes;
  std::array<std::vector<bool>, 2> opaque;
  bool gaps = false;
  bool operator==(const Redacted&) const = default;
};

// `cut(side, turn, at)`: whether a record may end at this place of the direction.
template <typename Cut>
Redacted redact(const Conversation& talk, const Limits& limits, const Cut& cut) {
  constexpr size_t kConnectionBytes = 4096;
  Redacted out;
  const auto budgets = std::make_shared<RecordingBudgets>(limits);
  {
    const auto terms = std::make_shared<ConnectionTerms>(budgets);
    std::array<PlaintextRedactor, 2> redactors{PlaintextRedactor(terms), PlaintextRedactor(terms)};
    ptrdiff_t kept = 0;
    for (const Turn& turn : talk.turns) {
      PlaintextRedactor& redactor = redactors[turn.side];
      out.opaque[turn.side].resize(turn.begin + turn.length, turn.lost);
      if (turn.lost) {
        redactor.gap(turn.length);
        out.bytes[turn.side].append(turn.length, '\0');
        continue;
      }
      for (size_t at = turn.begin, end = at; at < turn.begin + turn.length; at = end) {
        for (++end; end < turn.begin + turn.length && !cut(turn, at, end);) ++end;
        // A copy of its size: a write beyond it is found.
        std::vector<uint8_t> record(talk.sent[turn.side].begin() + static_cast<std::ptrdiff_t>(at),
                                    talk.sent[turn.side].begin() + static_cast<std::ptrdiff_t>(end));
        const size_t before = test::heap_bytes();
        size_t done = 0;
        for (const ByteRange& range : redactor.redact(record)) {
          LLMTAP_CHECK(range.offset >= done && range.length > 0);
          done = range.offset + range.length;
          LLMTAP_CHECK(done <= record.size());
          for (size_t i = range.offset; i < done; ++i) out.opaque[turn.side][at + i] = true;
          out.gaps = true;
        }
        kept += static_cast<ptrdiff_t>(test::heap_bytes() - before);
        const size_t counted = kConnectionBytes + budgets->kept.used() + budgets->inflaters.used();
        LLMTAP_CHECK(kept <= static_cast<ptrdiff_t>(counted + test::kHeapNoise));
        LLMTAP_CHECK(budgets->kept.used() <= limits.redaction_bytes);
        out.bytes[turn.side].append(record.begin(), record.end());
      }
    }
  }
  LLMTAP_CHECK(budgets->kept.used() == 0 && budgets->inflaters.used() == 0);
  return out;
}

// Where a record's end does not matter. It does within a header block, and in front of what looks like a
// head, which ends a loss if a record begins with it.
class Cuts {
 public:
  explicit Cuts(const Conversation& talk) : talk_(talk) {
    for (size_t side = 0; side < 2; ++side) {
      const std::string& bytes = talk.sent[side];
      if (bytes.starts_with('\0')) walk(side, 0);
      for (size_t at = 0; (at = bytes.find(http2::kConnectionPreface, at)) != std::string::npos;)
        walk(side, at += http2::kConnectionPreface.size());
    }
  }
  bool operator()(const Turn& turn, size_t at) const {
    constexpr size_t kHeadBytes = 32;
    return !blocks_[turn.side].contains(at) && !head(turn.side, at) &&
           (at - turn.begin >= kHeadBytes || !head(turn.side, turn.begin));
  }

 private:
  bool head(size_t side, size_t at) const {
    const std::string_view text = std::string_view(talk_.sent[side]).substr(at, 10);
    return text.starts_with("HTTP/1.") || (text.find(" /") != std::string_view::npos && is_upper(text[0]));
  }
  void walk(size_t side, size_t at) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(talk_.sent[side].data());
    const size_t size = talk_.sent[side].size();
    while (at + http2::kFrameHeaderBytes < size) {
      const http2::FrameHeader frame = http2::parse_frame_header(bytes + at);
      at += http2::kFrameHeaderBytes;
      const size_t end = std::min<size_t>(size, at + frame.length);
      const bool block = frame.type == http2::FrameType::kHeaders ||
                         frame.type == http2::FrameType::kPushPromise ||
                         frame.type == http2::FrameType::kContinuation;
      for (size_t i = at; block && i < end; ++i) blocks_[side].insert(i);
      at = end;
    }
  }
  const Conversation& talk_;
  std::array<std::set<size_t>, 2> blocks_;
};

// What a reader of the recording sees: the text of each message, and what messages there were.
class Reader : public MessageSink, public VerdictSink {
 public:
  std::map<std::string, std::string> bodies;
  std::string heads, shape;
  bool damaged = false;  // not all of it was understood

  void on_request_head(const ConnectionFacts&, ExchangeId id, const RequestHead& head) override {
    heads.append("\n").append(head.target).append("\n").append(head.authority);
    fields(head.headers);
    asked_.insert(id.number);
    shape += key(id, Side::kRequest) + "head " + std::string(head.method) + "\n";
  }
  void on_response_head(const ConnectionFacts&, ExchangeId id, const ResponseHead& head) override {
    fields(head.headers);
    shape += key(id, Side::kResponse) + "head " + std::to_string(head.status) + "\n";
  }
  void on_body(ExchangeId id, Side side, std::span<const uint8_t> bytes, uint64_t) override {
    add(id, side, bytes);
  }
  void on_event_data(ExchangeId id, Side side, std::span<const uint8_t> bytes, uint64_t) override {
    add(id, side, bytes);
  }
  void on_event_end(ExchangeId id, Side side, const EventEnd& end) override {
    heads.append("\n").append(end.name);
    bodies[key(id, side)] += '\n';
  }
  void on_trailers(ExchangeId, Side, std::span<const HeaderField> trailers, uint64_t) override {
    fields(trailers);
  }
  void on_message_end(ExchangeId id, Side side, const MessageEnd& end) override {
    damaged |= end.defect == Defect::kParseError;
    shape += key(id, side) + "ends " + std::to_string(end.wire_bytes) + " " +
             std::to_string(static_cast<int>(end.defect)) + "\n";
  }
  void on_exchange_end(ExchangeId id, const ExchangeEnd& end) override {
    damaged |= end.defect == Defect::kParseError || !asked_.contains(id.number);
    shape += key(id, Side::kRequest) + "is over " + std::to_string(static_cast<int>(end.how)) + " " +
             std::to_string(static_cast<int>(end.defect)) + "\n";
  }
  void set_verdict(uint64_t, Verdict) override {}

 private:
  std::set<uint64_t> asked_;

  static std::string key(ExchangeId id, Side side) {
    return std::to_string(id.number) + (side == Side::kRequest ? " request " : " reply ");
  }
  void add(ExchangeId id, Side side, std::span<const uint8_t> bytes) {
    bodies[key(id, side)].append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  void fields(std::span<const HeaderField> list) {
    for (const HeaderField& field : list)
      heads.append("\n").append(field.name).append(": ").append(field.value);
  }
};

Reader read(const Conversation& talk, const Redacted& text) {
  Limits limits;
  limits.decompress_floor_bytes = 1 << 20;
  Reader reader;
  ConnectionReaders readers(limits, reader, reader);
  ConnectionFacts facts;
  facts.id = 1;
  facts.role = Role::kClient;
  facts.first_byte_seen = true;
  readers.on_open(facts);
  uint64_t now = 0;
  for (const Turn& turn : talk.turns) {
    const std::vector<bool>& opaque = text.opaque[turn.side];
    const Direction direction = turn.side == 1 ? Direction::kRead : Direction::kWrite;
    for (size_t at = turn.begin, end = at; at < turn.begin + turn.length; at = end) {
      while (end < turn.begin + turn.length && opaque[end] == opaque[at]) ++end;
      const auto* bytes = reinterpret_cast<const uint8_t*>(text.bytes[turn.side].data()) + at;
      if (opaque[at])
        readers.on_gap(facts, direction, end - at, ++now);
      else
        readers.on_chunk(facts, direction, {{bytes, end - at}, at, ++now});
    }
  }
  readers.on_end(facts, EndReason::kClosed, now + 1);
  LLMTAP_CHECK(readers.counters().exchanges_begun == readers.counters().exchanges_ended);
  reader.damaged |= readers.books().bytes_lost > 0;
  return reader;
}

bool tells(std::string_view text, std::string_view secret, bool whole_word) {
  for (size_t at = 0; (at = text.find(secret, at)) != std::string_view::npos; ++at)
    if (!whole_word || at == 0 || !is_alnum(text[at - 1])) return true;
  return false;
}

// `sure`: behind no gap, where what is a head for one may be a body for the other.
void check_secrets(const Reader& reader, bool sure) {
  LLMTAP_CHECK(!tells(reader.heads, kCredential, true));
  for (const auto& [key, body] : reader.bodies) {
    LLMTAP_CHECK(!tells(body, kCredential, true));
    LLMTAP_CHECK(!sure || !tells(body, kWords, false));
  }
}

// What nothing frames but HTTP/1: not even behind a letter that did not stay. A line's end may be a chunk's,
// and what came before it the begin of the word.
void check_bytes(const Conversation& talk, const Redacted& left) {
  if (talk.lost) return;
  for (const std::string& bytes : talk.sent)
    if (icontains(bytes, "upgrade") || bytes.find("PRI ") != std::string::npos || bytes.starts_with('\0'))
      return;
  for (size_t side = 0; side < 2; ++side) {
    const std::string_view sent = talk.sent[side], bytes = left.bytes[side];
    for (size_t at = 0; (at = sent.find(kCredential, at + 1)) != std::string_view::npos;)
      LLMTAP_CHECK(is_alnum(sent[at - 1]) || sent[at - 1] == '\n' ||
                   !bytes.substr(at).starts_with(kCredential));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1 || size > 8192) return 0;
  const Conversation talk({data + 1, size - 1});
  Limits limits;
  if ((data[0] & 1) != 0) limits.redaction_bytes = 12 * 1024;

  Redacted sent;
  for (size_t side = 0; side < 2; ++side) {
    sent.bytes[side] = talk.sent[side];
    for (const Turn& turn : talk.turns)
      if (turn.side == side) sent.opaque[side].resize(turn.begin + turn.length, turn.lost);
  }
  // However it is cut, nothing is told.
  for (const size_t step : {size_t{1}, size_t{7}, SIZE_MAX}) {
    const auto cut = [step](const Turn&, size_t at, size_t end) { return end - at == step; };
    const Redacted left = redact(talk, limits, cut);
    check_bytes(talk, left);
    check_secrets(read(talk, left), !left.gaps && !talk.lost);
  }
  // Compressed messages are gaps now.
  limits.decoder_bytes = 0;
  const Redacted whole = redact(talk, limits, [](const Turn&, size_t, size_t) { return false; });
  if (!whole.gaps && !talk.lost) {
    // Where a value was damaged there may be filler, which is not.
    const Reader want = read(talk, sent), got = read(talk, whole);
    const bool same = want.damaged || want.shape == got.shape;
    if (!same) std::fprintf(stderr, "--- sent\n%s--- redacted\n%s", want.shape.c_str(), got.shape.c_str());
    LLMTAP_CHECK(same);
  }
  if (icontains(talk.sent[0], "h2c") || icontains(talk.sent[1], "h2c")) return 0;
  const Cuts cuts(talk);
  for (const size_t step : {1, 3, 17}) {
    const auto cut = [&](const Turn& turn, size_t at, size_t end) {
      return end - at >= step && cuts(turn, end);
    };
    LLMTAP_CHECK(redact(talk, limits, cut) == whole);
  }
  return 0;
}
