// SPDX-License-Identifier: Apache-2.0
#include "llm/json_scanner.h"

#include <charconv>

#include "llm/byte_search.h"

namespace llmtap {
namespace {

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

// Bytes that end a number or a word: a table, for they come one by one.
constexpr std::array<bool, 256> kEndsScalar = [] {
  std::array<bool, 256> ends{};
  for (const char c : {',', '}', ']', ' ', '\n', '\r', '\t', '"', '{', '[', ':'})
    ends[static_cast<unsigned char>(c)] = true;
  return ends;
}();
bool ends_scalar(char c) { return kEndsScalar[static_cast<unsigned char>(c)]; }

// A number of more digits is no count of anything: it is skipped.
constexpr size_t kMaxScalarBytes = 64;

}  // namespace

void JsonScanner::reset() {
  depth_ = 0;
  mode_ = Mode::kTop;
  node_ = nullptr;
  skip_depth_ = 0;
  place_.levels = 0;
  in_skipped_string_ = skipped_escape_ = cut_ = false;
  high_surrogate_ = 0;
  value_.clear();
}

void JsonScanner::note(JsonSpan::Kind kind, const char* begin, const char* end) {
  trace_->push_back({.begin = static_cast<uint16_t>(begin - trace_base_),
                     .end = static_cast<uint16_t>(end - trace_base_),
                     .field = node_ == nullptr ? JsonPaths::kNone : node_->field,
                     .kind = kind});
}

void JsonScanner::note_end(const char* end) { trace_->back().end = static_cast<uint16_t>(end - trace_base_); }

void JsonScanner::feed(std::string_view bytes) {
  const char* p = bytes.data();
  trace_base_ = p;
  const char* const end = p + bytes.size();
  while (p < end) {
    switch (mode_) {
      case Mode::kMalformed: return;
      case Mode::kSkipContainer: p = skip_container(p, end); break;
      case Mode::kString: p = string_bytes(p, end); break;
      case Mode::kEscape:
      case Mode::kHex: p = escape_bytes(p); break;
      case Mode::kScalar:
        while (p < end && !ends_scalar(*p)) {
          if (value_.size() <= kMaxScalarBytes) value_.push_back(*p);
          ++p;
        }
        if (trace_ != nullptr) note_end(p);
        if (p < end) end_scalar();
        break;
      case Mode::kSkipScalar:
        while (p < end && !ends_scalar(*p)) ++p;
        if (trace_ != nullptr) note_end(p);
        if (p < end) end_value();
        break;
      default: p = structural(p, end); break;  // the rest: between tokens
    }
  }
}

JsonState JsonScanner::finish() {
  if (mode_ == Mode::kScalar) end_scalar();
  if (mode_ == Mode::kSkipScalar) end_value();
  if (mode_ == Mode::kMalformed) return JsonState::kMalformed;
  if ((mode_ == Mode::kString || mode_ == Mode::kEscape || mode_ == Mode::kHex) && counts())
    deliver_text(false);
  return mode_ == Mode::kTop ? JsonState::kOk : JsonState::kIncomplete;
}

const char* JsonScanner::structural(const char* p, const char* end) {
  if (is_space(*p)) {
    const char* const from = p;
    while (p < end && is_space(*p)) ++p;
    if (trace_ != nullptr) note(JsonSpan::Kind::kSpace, from, p);
    if (p == end) return p;
  }
  const char c = *p;
  switch (mode_) {
    case Mode::kTop:
      // Blank lines before a body (DeepSeek under load) and values one after the other (NDJSON sent
      // as plain JSON) are both just top level.
      node_ = paths_->root();
      return begin_value(p, end);
    case Mode::kFirstElement:
      if (c == ']') {
        close(true);
        return p + 1;
      }
      [[fallthrough]];
    case Mode::kValue: return begin_value(p, end);
    case Mode::kFirstName:
      if (c == '}') {
        close(false);
        return p + 1;
      }
      [[fallthrough]];
    case Mode::kName:
      if (c != '"') {
        fail();
        return end;
      }
      return begin_name(p + 1, end);
    case Mode::kColon:
      if (c != ':') {
        fail();
        return end;
      }
      mode_ = Mode::kValue;
      return p + 1;
    case Mode::kAfter: {
      Frame& frame = top();
      if (c == ',') {
        if (frame.array) {
          if (!frame.top_array && place_.levels <= JsonPlace::kLevels) ++place_.at[place_.levels - 1u];
          node_ = frame.top_array ? paths_->root() : paths_->element(frame.node);
          mode_ = Mode::kValue;
        } else {
          mode_ = Mode::kName;
        }
        return p + 1;
      }
      if (c == (frame.array ? ']' : '}')) {
        close(frame.array);
        return p + 1;
      }
      fail();
      return end;
    }
    default: fail(); return end;
  }
}

const char* JsonScanner::begin_value(const char* p, const char* end) {
  using Kind = JsonSpan::Kind;
  const char c = *p;
  if (c == '"') {
    if (node_ == nullptr || node_->field == JsonPaths::kNone) {
      const char* const stop = skip_string(p + 1, end);
      if (trace_ != nullptr) note(Kind::kSkippedString, p + 1, stop);
      if (stop < end && *stop == '"') {
        end_value();
        return stop + 1;
      }
      use_ = Use::kSkip;
      mode_ = Mode::kString;
      return stop;
    }
    use_ = node_->want == JsonWant::kText    ? Use::kText
           : node_->want == JsonWant::kCount ? Use::kCount
                                             : Use::kValue;
    if (trace_ != nullptr) note(counts() ? Kind::kText : Kind::kString, p + 1, p + 1);
    if (counts()) {
      text_ = {};
      hash_ = {};
    }
    value_.clear();
    cut_ = false;
    mode_ = Mode::kString;
    return p + 1;
  }
  if (c == '{' || c == '[') {
    open(c == '[');
    if (mode_ == Mode::kSkipContainer && trace_ != nullptr) note(Kind::kSkippedContainer, p + 1, p + 1);
    return p + 1;
  }
  if ((c >= '0' && c <= '9') || c == '-' || c == 't' || c == 'f' || c == 'n') {
    const bool wanted = node_ != nullptr && node_->field != JsonPaths::kNone;
    if (trace_ != nullptr) note(wanted ? Kind::kScalar : Kind::kSkippedScalar, p, p);
    value_.clear();
    mode_ = wanted ? Mode::kScalar : Mode::kSkipScalar;
    return p;
  }
  fail();
  return end;
}

const char* JsonScanner::begin_name(const char* p, const char* end) {
  for (const char* q = p; q < end; ++q) {
    if (*q == '"') {
      end_name({p, static_cast<size_t>(q - p)});
      if (q + 1 < end && q[1] == ':') {
        mode_ = Mode::kValue;
        return q + 2;
      }
      return q + 1;
    }
    if (*q == '\\') break;
  }
  use_ = Use::kName;
  value_.clear();
  cut_ = false;
  mode_ = Mode::kString;
  return p;
}

void JsonScanner::end_name(std::string_view name) {
  node_ = paths_->name(top().node, name);
  mode_ = Mode::kColon;
}

void JsonScanner::open(bool array) {
  if (depth_ == 0 && array) {
    frames_[depth_++] = {.node = paths_->root(), .array = true, .record = false, .top_array = true};
    node_ = paths_->root();
    mode_ = Mode::kFirstElement;
    return;
  }
  const bool record = !array && (depth_ == 0 || (depth_ == 1 && top().top_array));
  if (record) handler_->on_json_record_begin();
  if (node_ != nullptr && node_->open_field != JsonPaths::kNone)
    handler_->on_json_open(node_->open_field, place_);
  const bool follow = node_ != nullptr && (array ? node_->element != 0 : node_->has_names());
  if (!follow && !record) {
    skip_depth_ = 1;
    in_skipped_string_ = skipped_escape_ = false;
    mode_ = Mode::kSkipContainer;
    return;
  }
  frames_[depth_++] = {.node = node_, .array = array, .record = record, .top_array = false};
  if (array) {
    if (place_.levels < JsonPlace::kLevels) place_.at[place_.levels] = 0;
    ++place_.levels;
    node_ = paths_->element(node_);
    mode_ = Mode::kFirstElement;
  } else {
    mode_ = Mode::kFirstName;
  }
}

void JsonScanner::close(bool array) {
  const Frame frame = top();
  --depth_;
  if (array && !frame.top_array) --place_.levels;
  if (frame.record) handler_->on_json_record_end();
  end_value();
}

void JsonScanner::end_value() { mode_ = depth_ == 0 ? Mode::kTop : Mode::kAfter; }

const char* JsonScanner::skip_container(const char* p, const char* end) {
  while (p < end) {
    if (skipped_escape_) {
      skipped_escape_ = false;
      ++p;
      continue;
    }
    if (in_skipped_string_) {
      p = find_string_special(p, end);
      if (p == end) return p;
      in_skipped_string_ = *p != '"';
      skipped_escape_ = in_skipped_string_;
      ++p;
      continue;
    }
    p = find_container_special(p, end);
    if (p == end) return p;
    const char c = *p++;
    if (c == '"') {
      in_skipped_string_ = true;
    } else if (c == '{' || c == '[') {
      ++skip_depth_;
    } else if (--skip_depth_ == 0) {
      if (trace_ != nullptr) note_end(p);
      end_value();
      return p;
    }
  }
  return p;
}

void JsonScanner::end_scalar() {
  end_value();
  if (value_ == "true" || value_ == "false") {
    handler_->on_json_bool(node_->field, place_, value_ == "true");
  } else if (value_ == "null") {
    handler_->on_json_null(node_->field, place_);
  } else if (value_.size() <= kMaxScalarBytes) {
    const char* const first = value_.data();
    const char* const last = first + value_.size();
    JsonNumber number;
    const auto whole = std::from_chars(first, last, number.whole);
    if (whole.ec == std::errc{} && whole.ptr == last) {
      number.integer = true;
      number.value = static_cast<double>(number.whole);
    } else {
      number.whole = 0;
      const auto real = std::from_chars(first, last, number.value);
      if (real.ec == std::errc::result_out_of_range) return;
      if (real.ec != std::errc{} || real.ptr != last) return fail();
    }
    handler_->on_json_number(node_->field, place_, number);
  }
}

}  // namespace llmtap
