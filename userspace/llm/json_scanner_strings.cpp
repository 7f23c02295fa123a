// SPDX-License-Identifier: Apache-2.0
// What a string holds: escapes, surrogates, and a value or a text made of it.
#include "llm/byte_search.h"
#include "llm/json_scanner.h"

namespace llmtap {

const char* JsonScanner::string_bytes(const char* p, const char* end) {
  const char* run = p;
  if (use_ == Use::kText) {
    p = count_text(p, end, text_.characters, text_.wide);
  } else {
    p = find_string_special(p, end);
  }
  if (p > run) {
    if (use_ != Use::kSkip) flush_surrogate();
    if (use_ == Use::kText) {
      const auto n = static_cast<size_t>(p - run);
      text_.bytes += n;
      hash_.add(run, n);
    } else if (use_ == Use::kValue && p < end && *p == '"' && value_.empty() && !cut_ &&
               static_cast<size_t>(p - run) <= max_string_) {
      // The common case: the whole value lies in this piece.
      const std::string_view whole(run, static_cast<size_t>(p - run));
      end_value();
      handler_->on_json_string(node_->field, place_, whole, false);
      return p + 1;
    } else if (use_ != Use::kSkip) {
      emit(run, static_cast<size_t>(p - run));
    }
  }
  if (p == end) return p;
  if (*p == '"') {
    end_string();
  } else {
    mode_ = Mode::kEscape;
  }
  return p + 1;
}

const char* JsonScanner::escape_bytes(const char* p) {
  const char c = *p;
  if (mode_ == Mode::kHex) {
    uint16_t digit = 0;
    if (c >= '0' && c <= '9')
      digit = static_cast<uint16_t>(c - '0');
    else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
      digit = static_cast<uint16_t>((c | 0x20) - 'a' + 10);
    else
      return fail(), p + 1;
    hex_ = static_cast<uint16_t>((hex_ << 4) | digit);
    if (++hex_digits_ < 4) return p + 1;
    mode_ = Mode::kString;
    if (use_ == Use::kSkip) return p + 1;
    if (hex_ >= 0xd800 && hex_ < 0xdc00) {
      flush_surrogate();
      high_surrogate_ = hex_;
    } else if (hex_ >= 0xdc00 && hex_ < 0xe000) {
      const uint32_t high = high_surrogate_;
      high_surrogate_ = 0;
      emit_code_point(high ? 0x10000u + ((high - 0xd800u) << 10) + (hex_ - 0xdc00u) : 0xfffdu);
    } else {
      flush_surrogate();
      emit_code_point(hex_);
    }
    return p + 1;
  }
  mode_ = Mode::kString;
  char plain = c;
  switch (c) {
    case 'u':
      hex_ = 0;
      hex_digits_ = 0;
      mode_ = Mode::kHex;
      return p + 1;
    case 'n': plain = '\n'; break;
    case 't': plain = '\t'; break;
    case 'r': plain = '\r'; break;
    case 'b': plain = '\b'; break;
    case 'f': plain = '\f'; break;
    case '"':
    case '\\':
    case '/': break;
    default: return fail(), p + 1;
  }
  if (use_ == Use::kSkip) return p + 1;
  flush_surrogate();
  emit_code_point(static_cast<unsigned char>(plain));
  return p + 1;
}

// A high surrogate without its low one is one broken character.
void JsonScanner::flush_surrogate() {
  if (high_surrogate_ == 0) return;
  high_surrogate_ = 0;
  emit_code_point(0xfffd);
}

void JsonScanner::emit_code_point(uint32_t c) {
  char utf8[4];
  size_t n = 0;
  if (c < 0x80) {
    utf8[n++] = static_cast<char>(c);
  } else if (c < 0x800) {
    utf8[n++] = static_cast<char>(0xc0 | (c >> 6));
    utf8[n++] = static_cast<char>(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    utf8[n++] = static_cast<char>(0xe0 | (c >> 12));
    utf8[n++] = static_cast<char>(0x80 | ((c >> 6) & 0x3f));
    utf8[n++] = static_cast<char>(0x80 | (c & 0x3f));
  } else {
    utf8[n++] = static_cast<char>(0xf0 | (c >> 18));
    utf8[n++] = static_cast<char>(0x80 | ((c >> 12) & 0x3f));
    utf8[n++] = static_cast<char>(0x80 | ((c >> 6) & 0x3f));
    utf8[n++] = static_cast<char>(0x80 | (c & 0x3f));
  }
  if (use_ == Use::kText) {
    ++text_.characters;
    if (c >= 0x800) ++text_.wide;
    text_.bytes += n;
    hash_.add(utf8, n);
  } else {
    emit(utf8, n);
  }
}

void JsonScanner::emit(const char* bytes, size_t n) {
  const size_t room = max_string_ > value_.size() ? max_string_ - value_.size() : 0;
  if (n > room) {
    n = room;
    cut_ = true;
  }
  value_.append(bytes, n);
}

void JsonScanner::end_string() {
  if (use_ != Use::kSkip) flush_surrogate();
  switch (use_) {
    case Use::kSkip: end_value(); break;
    case Use::kText: deliver_text(true); break;
    case Use::kName: end_name(cut_ ? std::string_view{} : std::string_view(value_)); break;
    case Use::kValue:
      if (cut_)  // not in the middle of a character
        while (!value_.empty() && (static_cast<unsigned char>(value_.back()) & 0x80) != 0) {
          const bool lead = (static_cast<unsigned char>(value_.back()) & 0xc0) == 0xc0;
          value_.pop_back();
          if (lead) break;
        }
      end_value();
      handler_->on_json_string(node_->field, place_, value_, cut_);
      break;
  }
}

void JsonScanner::deliver_text(bool complete) {
  text_.hash = hash_.value();
  text_.complete = complete;
  end_value();
  handler_->on_json_text(node_->field, place_, text_);
}

}  // namespace llmtap
