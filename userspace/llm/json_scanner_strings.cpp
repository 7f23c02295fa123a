// SPDX-License-Identifier: Apache-2.0
// What a string holds: escapes, surrogates, and a value or a text made of it.
#include "llm/byte_search.h"
#include "llm/json_scanner.h"

namespace llmtap {
namespace {

// Decoded at a time: long enough for wide loops, short enough for the first cache.
constexpr size_t kDecodedBytes = 4096;

}  // namespace

const char* JsonScanner::string_bytes(const char* p, const char* end) {
  if (counts()) {
    p = text_bytes(p, end);
  } else if (use_ == Use::kSkip) {
    p = skip_string(p, end);
  } else {
    const char* const run = p;
    p = find_string_special(p, end);
    if (p > run) flush_surrogate();
    const auto n = static_cast<size_t>(p - run);
    if (n > 0 && use_ == Use::kValue && p < end && *p == '"' && value_.empty() && !cut_ && n <= max_string_) {
      // The common case: the whole value lies in this piece.
      if (trace_ != nullptr) note_end(p);
      end_value();
      handler_->on_json_string(node_->field, place_, {run, n}, false);
      return p + 1;
    }
    if (n > 0) emit(run, n);
  }
  if (p == end) return p;
  if (*p == '"') {
    if (trace_ != nullptr && use_ != Use::kName) note_end(p);
    end_string();
  } else {
    mode_ = Mode::kEscape;
  }
  return p + 1;
}

// Counts up to the closing quote; most escapes on the way, others are the caller's.
const char* JsonScanner::text_bytes(const char* p, const char* end) {
  char decoded[kDecodedBytes];
  for (;;) {
    char* out = decoded;
    unescape_text(p, end, out, decoded + sizeof(decoded));
    if (const auto n = static_cast<size_t>(out - decoded); n > 0) {
      flush_surrogate();
      count_characters(decoded, n, text_.characters, text_.wide);
      text_.bytes += n;
      if (use_ == Use::kText) hash_.add(decoded, n);
    }
    if (p == end || *p == '"') return p;
    if (*p != '\\') continue;  // no room was left
    const size_t length = escape_length(p, end);
    if (length == 2) continue;  // nor was there
    // Surrogates, and what is cut or no escape, byte by byte.
    if (length == 0) return p;
    uint32_t code_point = 0;
    for (int i = 2; i < 6; ++i) code_point = code_point << 4 | static_cast<uint32_t>(json_hex_digit(p[i]));
    if (code_point >= 0xd800 && code_point < 0xe000) return p;
    flush_surrogate();
    emit_code_point(code_point);
    p += 6;
  }
}

const char* JsonScanner::escape_bytes(const char* p) {
  const char c = *p;
  if (mode_ == Mode::kHex) {
    const int digit = json_hex_digit(c);
    if (digit < 0) return fail(), p + 1;
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
  if (c == 'u') {
    hex_ = 0;
    hex_digits_ = 0;
    mode_ = Mode::kHex;
    return p + 1;
  }
  const char plain = json_unescaped(c);
  if (plain == 0) return fail(), p + 1;
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
  if (counts()) {
    ++text_.characters;
    if (c >= 0x800) ++text_.wide;
    text_.bytes += n;
    if (use_ == Use::kText) hash_.add(utf8, n);
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
    case Use::kText:
    case Use::kCount: deliver_text(true); break;
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
  text_.hash = use_ == Use::kText ? hash_.value() : 0;
  text_.complete = complete;
  end_value();
  handler_->on_json_text(node_->field, place_, text_);
}

}  // namespace llmtap
