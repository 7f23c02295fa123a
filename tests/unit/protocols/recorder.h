// SPDX-License-Identifier: Apache-2.0
// Drives ConnectionReaders with a script and writes down what comes out, one line per call, adjacent
// pieces of one body merged: what must not depend on how the bytes were cut.
#pragma once

#include <functional>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "llmtap/message.h"
#include "llmtap/verdict.h"
#include "protocols/connection_readers.h"

namespace llmtap::test {

inline std::span<const uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

inline std::string_view name_of(Defect defect) {
  static constexpr std::string_view kNames[] = {"ok", "lost", "mid", "truncated", "parse", "decompress"};
  return kNames[static_cast<size_t>(defect)];
}

inline std::string_view name_of(ExchangeEnd::How how) {
  static constexpr std::string_view kNames[] = {"complete",       "no_response", "client_aborted",
                                                "server_aborted", "lost",        "upgraded"};
  return kNames[static_cast<size_t>(how)];
}

class Recorder : public MessageSink, public VerdictSink {
 public:
  std::vector<std::string> lines;
  bool with_fields = false;
  Verdict verdict = Verdict::kUndecided;
  uint64_t last_end_ns = 0;

  void on_request_head(const ConnectionFacts&, ExchangeId id, const RequestHead& head) override {
    std::string line = prefix(id, Side::kRequest) + "head " + std::string(head.method) + " " +
                       std::string(head.target) + " " + std::string(head.authority) +
                       (head.fields_unknown ? " unknown" : "");
    add(line, head.headers);
  }
  void on_response_head(const ConnectionFacts&, ExchangeId id, const ResponseHead& head) override {
    add(prefix(id, Side::kResponse) + "head " + std::to_string(head.status) +
            (head.fields_unknown ? " unknown" : ""),
        head.headers);
  }
  void on_body(ExchangeId id, Side side, std::span<const uint8_t> bytes, uint64_t) override {
    piece(id, side, "body ", bytes);
  }
  void on_event_data(ExchangeId id, Side side, std::span<const uint8_t> bytes, uint64_t) override {
    piece(id, side, "data ", bytes);
  }
  void on_event_end(ExchangeId id, Side side, const EventEnd& end) override {
    line(prefix(id, side) + "event [" + std::string(end.name) + "] " + std::to_string(end.data_bytes) +
         (end.complete ? "" : " incomplete"));
  }
  void on_trailers(ExchangeId id, Side side, std::span<const HeaderField> fields, uint64_t) override {
    std::string text = prefix(id, side) + "trailers";
    for (const HeaderField& field : fields)
      text += " {" + std::string(field.name) + "|" + std::string(field.value) + "}";
    line(std::move(text));
  }
  void on_message_end(ExchangeId id, Side side, const MessageEnd& end) override {
    last_end_ns = end.time_ns;
    line(prefix(id, side) + "end " + std::to_string(end.wire_bytes) + "/" + std::to_string(end.body_bytes) +
         " " + std::string(name_of(end.defect)));
  }
  void on_exchange_end(ExchangeId id, const ExchangeEnd& end) override {
    line(std::to_string(id.number) + " " + std::string(name_of(end.how)) + " " +
         std::string(name_of(end.defect)) +
         (end.response_bytes != 0 ? " after " + std::to_string(end.response_bytes) : ""));
  }
  void set_verdict(uint64_t, Verdict value) override { verdict = value; }

 private:
  static std::string prefix(ExchangeId id, Side side) {
    return std::to_string(id.number) + (side == Side::kRequest ? " > " : " < ");
  }
  void add(std::string text, std::span<const HeaderField> fields) {
    if (with_fields)
      for (const HeaderField& field : fields)
        text += " {" + std::string(field.name) + "|" + std::string(field.value) + "}";
    line(std::move(text));
  }
  void line(std::string text) {
    open_.clear();
    lines.push_back(std::move(text));
  }
  void piece(ExchangeId id, Side side, std::string_view kind, std::span<const uint8_t> bytes) {
    const std::string key = prefix(id, side) + std::string(kind);
    if (open_ != key) lines.push_back(key);
    open_ = key;
    lines.back().append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  std::string open_;
};

struct Step {
  enum class Kind : uint8_t { kBytes, kGap, kDirectionEnd, kEnd };
  Kind kind = Kind::kBytes;
  Direction direction = Direction::kRead;
  std::string bytes = {};
  uint64_t gap = 0;
  EndReason reason = EndReason::kClosed;
};
using Script = std::vector<Step>;

// As a client sees it: requests are written, replies read.
inline Step ask(std::string bytes) { return {Step::Kind::kBytes, Direction::kWrite, std::move(bytes)}; }
inline Step reply(std::string bytes) { return {Step::Kind::kBytes, Direction::kRead, std::move(bytes)}; }
inline Step reply_gap(uint64_t bytes) { return {Step::Kind::kGap, Direction::kRead, {}, bytes}; }
inline Step ask_gap(uint64_t bytes) { return {Step::Kind::kGap, Direction::kWrite, {}, bytes}; }
inline Step close_by(EndReason reason) { return {Step::Kind::kEnd, Direction::kRead, {}, 0, reason}; }
inline Step end_of_file() {
  return {Step::Kind::kDirectionEnd, Direction::kRead, {}, 0, EndReason::kPeerClosed};
}
inline Step shutdown_write() {
  return {Step::Kind::kDirectionEnd, Direction::kWrite, {}, 0, EndReason::kClosed};
}

inline Script server_side(Script script) {
  for (Step& step : script)
    step.direction = step.direction == Direction::kRead ? Direction::kWrite : Direction::kRead;
  return script;
}

// Where to cut a piece of `size` bytes: ascending offsets.
using Cutter = std::function<std::vector<size_t>(size_t step, size_t size)>;
inline std::vector<size_t> no_cut(size_t, size_t) { return {}; }
inline std::vector<size_t> every_byte(size_t, size_t size) {
  std::vector<size_t> cuts;
  for (size_t i = 1; i < size; ++i) cuts.push_back(i);
  return cuts;
}

inline ConnectionFacts client_facts(Role role = Role::kClient, bool first_byte_seen = true) {
  ConnectionFacts facts;
  facts.id = 7;
  facts.role = role;
  facts.first_byte_seen = first_byte_seen;
  return facts;
}

struct Outcome {
  std::vector<std::string> lines;
  Verdict verdict = Verdict::kUndecided;
  ProtocolCounters counters;
  StageBooks books;
  size_t decoder_bytes = 0;
};

inline Outcome run(const Script& script, const ConnectionFacts& facts = client_facts(),
                   const Cutter& cutter = no_cut, const Limits& limits = {}, bool with_fields = false) {
  Recorder recorder;
  recorder.with_fields = with_fields;
  ConnectionReaders readers(limits, recorder, recorder);
  readers.on_open(facts);
  uint64_t now = 1000;
  uint64_t offsets[2] = {0, 0};
  for (size_t i = 0; i < script.size(); ++i) {
    const Step& step = script[i];
    now += 10;
    uint64_t& offset = offsets[static_cast<size_t>(step.direction)];
    switch (step.kind) {
      case Step::Kind::kBytes: {
        std::vector<size_t> cuts = cutter(i, step.bytes.size());
        cuts.push_back(step.bytes.size());
        size_t begin = 0;
        for (const size_t cut : cuts) {
          // A copy of exactly that size: the sanitizer sees a read beyond it.
          const std::vector<uint8_t> piece(step.bytes.begin() + static_cast<std::ptrdiff_t>(begin),
                                           step.bytes.begin() + static_cast<std::ptrdiff_t>(cut));
          if (!piece.empty()) readers.on_chunk(facts, step.direction, {piece, offset + begin, now});
          begin = cut;
        }
        offset += step.bytes.size();
        break;
      }
      case Step::Kind::kGap:
        readers.on_gap(facts, step.direction, step.gap, now);
        offset += step.gap;
        break;
      case Step::Kind::kDirectionEnd:
        readers.on_direction_end(facts, step.direction, step.reason, now);
        break;
      case Step::Kind::kEnd: readers.on_end(facts, step.reason, now); break;
    }
  }
  return {recorder.lines, recorder.verdict, readers.counters(), readers.books(), readers.decoder_bytes()};
}

// Every single cut of every step, byte by byte, and `rounds` seeded multi-cuts.
inline void for_each_split(const Script& script,
                           const std::function<void(const Cutter&, const std::string&)>& check,
                           int rounds = 100) {
  for (size_t step = 0; step < script.size(); ++step)
    for (size_t at = 1; at < script[step].bytes.size(); ++at)
      check([=](size_t i, size_t) { return i == step ? std::vector<size_t>{at} : std::vector<size_t>{}; },
            "step " + std::to_string(step) + " cut at " + std::to_string(at));
  check(every_byte, "byte by byte");
  for (int seed = 0; seed < rounds; ++seed) {
    std::mt19937 random(static_cast<unsigned>(seed));
    check(
        [&random](size_t, size_t size) {
          std::vector<size_t> cuts;
          for (size_t at = 1 + random() % 40; at < size; at += 1 + random() % 40) cuts.push_back(at);
          return cuts;
        },
        "seed " + std::to_string(seed));
  }
}

}  // namespace llmtap::test
