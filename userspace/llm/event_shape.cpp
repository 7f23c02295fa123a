// SPDX-License-Identifier: Apache-2.0
#include "llm/event_shape.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/check.h"
#include "llm/byte_search.h"
#include "llm/number_checks.h"

namespace llmtap {
namespace {

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
bool begins_scalar(char c) { return (c >= '0' && c <= '9') || c == '-' || c == 't' || c == 'f' || c == 'n'; }
bool ends_scalar(char c) {
  return is_space(c) || c == ',' || c == '}' || c == ']' || c == '"' || c == '{' || c == '[' || c == ':';
}

const char* scalar_end(const char* p, const char* end) {
  if (p == end || !begins_scalar(*p)) return nullptr;
  while (p < end && !ends_scalar(*p)) ++p;
  return p;
}

// The text of a string up to its closing quote; null for what only the scanner reads: no end,
// surrogates, escapes that are none.
const char* read_text(const char* p, const char* end, TextCount& count) {
  for (;;) {
    p = count_text(p, end, count.characters, count.wide);
    if (p == end) return nullptr;
    if (*p == '"') return p;
    const size_t length = escape_length(p, end);
    if (length == 0) return nullptr;
    ++count.characters;
    if (length == 6) {
      const int high = json_hex_digit(p[2]) << 4 | json_hex_digit(p[3]);
      if (high >= 0xd8 && high < 0xe0) return nullptr;
      if (high >= 0x08) ++count.wide;
    }
    p += length;
  }
}

// Behind the bracket that closes the container whose inside begins at `p`.
const char* container_end(const char* p, const char* end) {
  for (size_t depth = 1;;) {
    p = find_container_special(p, end);
    if (p == end) return nullptr;
    const char c = *p++;
    if (c == '"') {
      for (p = find_string_special(p, end); p < end && *p == '\\';)
        p = end - p > 2 ? find_string_special(p + 2, end) : end;
      if (p == end) return nullptr;
      ++p;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (--depth == 0) {
      return p;
    }
  }
}

// Gemini says its counts once more by modality; those of text are nothing new.
bool is_modal_count(uint16_t field) {
  return field == static_cast<uint16_t>(ReplyField::kInputCount) ||
         field == static_cast<uint16_t>(ReplyField::kOutputCount);
}

TextCount* text_of(uint16_t field, bool thought, ReplyTexts& texts) {
  switch (static_cast<ReplyField>(field)) {
    case ReplyField::kContent:
    case ReplyField::kTextOutput: return &texts.content;
    case ReplyField::kChoiceText: return &texts.choice_text;
    case ReplyField::kReasoning: return &texts.reasoning;
    case ReplyField::kToolText: return &texts.tool_text;
    case ReplyField::kAudioText: return &texts.audio;
    case ReplyField::kDeltaString: return &texts.delta;
    case ReplyField::kPartText: return thought ? &texts.part_reasoning : &texts.part_content;
    default: return nullptr;
  }
}

}  // namespace

bool EventShape::may_differ(const JsonSpan& span, std::span<const JsonSpan> all) const {
  switch (span.kind) {
    case Kind::kSpace:
    case Kind::kSkippedString:
    case Kind::kSkippedScalar:
    case Kind::kSkippedContainer:
    case Kind::kText: return true;
    // Only that there is one means something.
    case Kind::kString: return span.field == static_cast<uint16_t>(ReplyField::kCreatedAt);
    // A count, if nothing else in the event says it: then the last one counts.
    case Kind::kScalar:
      return (span.field < kUsageFields || (is_modal_count(span.field) && !meaning_.modal_counts)) &&
             scalar_end(text_.data() + span.begin, text_.data() + span.end) != nullptr &&
             text_[span.begin] >= '0' && text_[span.begin] <= '9' &&
             (is_modal_count(span.field) || std::ranges::count_if(all, [&](const JsonSpan& other) {
                                              return other.kind == Kind::kScalar && other.field == span.field;
                                            }) == 1);
  }
  return false;
}

void EventShape::learn(std::string_view text, std::span<const JsonSpan> spans, Meaning meaning) {
  LLMTAP_CHECK(text.size() <= kMaxBytes);
  const bool same_values = spans.size() == values_.size() &&
                           std::ranges::equal(spans, values_, [](const JsonSpan& a, const Value& b) {
                             return a.kind == b.span.kind && a.field == b.span.field;
                           });
  text_.assign(text);
  meaning_ = meaning;
  values_.resize(spans.size());
  for (size_t i = 0; i < spans.size(); ++i) {
    const bool may = may_differ(spans[i], spans);
    // Texts always do; what differed before will again.
    values_[i] = {spans[i], may,
                  may && (spans[i].kind == Kind::kText || (same_values && values_[i].differs))};
  }
  make_steps();
}

void EventShape::make_steps() {
  steps_.clear();
  uint16_t at = 0;
  for (const Value& value : values_) {
    if (!value.differs) continue;
    steps_.push_back({at, static_cast<uint16_t>(value.span.begin - at), value.span.field, value.span.kind});
    at = value.span.end;
  }
  steps_.push_back({at, static_cast<uint16_t>(text_.size() - at), 0, Kind::kSpace});
}

// Behind the value at `p`; null if there is none of this kind.
const char* EventShape::read_value(const Step& step, const char* p, const char* end, Values& values) const {
  switch (step.kind) {
    case Kind::kSpace:
      while (p < end && is_space(*p)) ++p;
      return p;
    case Kind::kSkippedString: p = skip_string(p, end); return p < end && *p == '"' ? p : nullptr;
    case Kind::kString: p = find_string_special(p, end); return p < end && *p == '"' ? p : nullptr;
    case Kind::kSkippedScalar: return scalar_end(p, end);
    case Kind::kSkippedContainer: return container_end(p, end);
    case Kind::kText: {
      TextCount unused;
      TextCount* const count = text_of(step.field, meaning_.thought, values.texts);
      return read_text(p, end, count == nullptr ? unused : *count);
    }
    case Kind::kScalar: {
      const char* const stop = scalar_end(p, end);
      if (stop == nullptr) return nullptr;
      JsonNumber number{.integer = true};
      const auto parsed = std::from_chars(p, stop, number.whole);
      if (parsed.ec != std::errc{} || parsed.ptr != stop) return nullptr;
      number.value = static_cast<double>(number.whole);
      const auto count = as_count(number);
      if (!count) return nullptr;
      if (is_modal_count(step.field)) return stop;
      if (values.number_count == kMaxNumbers) return nullptr;
      values.numbers[values.number_count++] = {static_cast<Usage>(step.field), *count};
      return stop;
    }
  }
  return nullptr;
}

size_t EventShape::compare(std::string_view text, Values& values) const {
  const char* p = text.data();
  const char* const end = p + text.size();
  for (const Step& step : steps_) {
    const char* const literal = text_.data() + step.literal_begin;
    const auto left = static_cast<size_t>(end - p);
    if (left < step.literal_bytes || std::memcmp(p, literal, step.literal_bytes) != 0) {
      const auto [in_shape, in_text] = std::mismatch(literal, literal + step.literal_bytes, p, end);
      return static_cast<size_t>(in_shape - text_.data());
    }
    p += step.literal_bytes;
    if (&step == &steps_.back()) break;
    p = read_value(step, p, end, values);
    if (p == nullptr) return text_.size() + 1;  // no value of another content mends that
  }
  return p == end ? kWhole : text_.size();
}

bool EventShape::match(std::string_view text, Values& values) {
  // Each round but the last finds one more value that differs.
  for (size_t round = 0; round <= values_.size(); ++round) {
    values.texts = {};
    values.number_count = 0;
    const size_t at = compare(text, values);
    if (at == kWhole) return true;
    const auto different = std::ranges::find_if(values_, [at](const Value& value) {
      return value.may_differ && !value.differs && value.span.begin <= at && at <= value.span.end;
    });
    if (different == values_.end()) return false;
    different->differs = true;
    make_steps();
  }
  return false;
}

}  // namespace llmtap
