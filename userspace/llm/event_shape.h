// SPDX-License-Identifier: Apache-2.0
// A stream says the same thing thousands of times: its events differ in the text of one token and
// perhaps in a counter. The shape of an event is its bytes with the spans of its values; an event that
// equals it but for values whose content means nothing, or means a number or a length, says what the
// first one said with those numbers. Everything else is read by the scanner, so this is exact: it only
// knows when the scanner would find what it found before.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "llm/reply_record.h"

namespace llmtap {

class EventShape {
 public:
  // Larger events are rare and read by the scanner.
  static constexpr size_t kMaxBytes = 1024;
  static constexpr size_t kMaxNumbers = 8;

  struct Values {
    ReplyTexts texts;
    std::array<std::pair<Usage, uint64_t>, kMaxNumbers> numbers;
    size_t number_count = 0;
  };

  // What the record of an event says of all its values of one kind.
  struct Meaning {
    bool thought = false;       // its parts are
    bool modal_counts = false;  // counts by modality are of one that is billed by itself
  };

  // `text` is a whole event that the scanner read, `spans` its values.
  void learn(std::string_view text, std::span<const JsonSpan> spans, Meaning meaning);
  // Whether `text` has this shape; if so, its values. Remembers which values differ.
  bool match(std::string_view text, Values& values);

 private:
  using Kind = JsonSpan::Kind;
  struct Value {
    JsonSpan span;
    bool may_differ = false;  // its content decides nothing that is not in Values
    bool differs = false;     // it was seen to
  };
  // Equal bytes, then one value that differs.
  struct Step {
    uint16_t literal_begin = 0, literal_bytes = 0;
    uint16_t field = 0;
    Kind kind = Kind::kSpace;
  };

  bool may_differ(const JsonSpan& span, std::span<const JsonSpan> all) const;
  void make_steps();
  // The position in text_ of the first difference, or kWhole if there is none.
  static constexpr size_t kWhole = SIZE_MAX;
  size_t compare(std::string_view text, Values& values) const;
  const char* read_value(const Step& step, const char* p, const char* end, Values& values) const;

  std::string text_;
  std::vector<Value> values_;
  std::vector<Step> steps_;
  Meaning meaning_;
};

}  // namespace llmtap
