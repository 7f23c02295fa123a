// SPDX-License-Identifier: Apache-2.0
#include "protocols/eventstream/chunk_bytes.h"

#include <string_view>

namespace llmtap {
namespace {

constexpr std::string_view kWanted = "bytes";
constexpr uint8_t kNoMatch = 0xff;

constexpr std::array<uint8_t, 256> kSextets = [] {
  std::array<uint8_t, 256> values{};
  values.fill(0xff);
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < kAlphabet.size(); ++i)
    values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<uint8_t>(i);
  return values;
}();

bool is_space(uint8_t c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

}  // namespace

bool ChunkBytes::base64(uint8_t c) {
  if (c == '=') return ++padding_ <= 2;
  const uint8_t value = kSextets[c];
  if (value == 0xff || padding_ != 0) return false;
  quad_ = quad_ << 6 | value;
  if (++sextets_ < 4) return true;
  for (const int shift : {16, 8, 0}) out_[out_bytes_++] = static_cast<uint8_t>(quad_ >> shift);
  quad_ = 0;
  sextets_ = 0;
  return true;
}

// RFC 4648 4; padding that is missing or of another length is taken as it is.
bool ChunkBytes::end_base64() {
  if (sextets_ == 1) return false;
  if (sextets_ >= 2) out_[out_bytes_++] = static_cast<uint8_t>(quad_ >> (sextets_ == 2 ? 4 : 10));
  if (sextets_ == 3) out_[out_bytes_++] = static_cast<uint8_t>(quad_ >> 2);
  sextets_ = 0;
  quad_ = 0;
  padding_ = 0;
  return true;
}

void ChunkBytes::flush(const std::function<void(std::span<const uint8_t>)>& output) {
  if (out_bytes_ != 0) output({out_.data(), out_bytes_});
  out_bytes_ = 0;
}

bool ChunkBytes::read(uint8_t c) {
  switch (state_) {
    case State::kStart:
      if (is_space(c)) break;
      if (c != '{') return false;
      state_ = State::kName;
      break;
    case State::kName:
      if (is_space(c) || c == ',') break;
      if (c == '}') {
        state_ = State::kEnd;
      } else if (c == '"') {
        name_matched_ = 0;
        state_ = State::kNameString;
      } else {
        return false;
      }
      break;
    case State::kNameString:
      if (c == '"' && !escaped_) {
        state_ = State::kColon;
        break;
      }
      if (name_matched_ < kWanted.size() && c == static_cast<uint8_t>(kWanted[name_matched_]))
        ++name_matched_;
      else
        name_matched_ = kNoMatch;
      escaped_ = c == '\\' && !escaped_;
      break;
    case State::kColon:
      if (is_space(c)) break;
      if (c != ':') return false;
      state_ = State::kValue;
      break;
    case State::kValue:
      if (is_space(c)) break;
      if (c == '"') {
        state_ = name_matched_ == kWanted.size() ? State::kBase64 : State::kString;
      } else if (c == '{' || c == '[') {
        depth_ = 1;
        state_ = State::kNested;
      } else {
        state_ = State::kScalar;
      }
      break;
    case State::kBase64:
      if (c == '"') {
        if (!end_base64()) return false;
        state_ = State::kName;
      } else if (c == '\\' && !escaped_) {
        escaped_ = true;  // "\/" is how some write "/"
        break;
      } else if ((escaped_ && c != '/') || !base64(c)) {
        return false;
      }
      escaped_ = false;
      break;
    case State::kString:
      if (c == '"' && !escaped_) state_ = State::kName;
      escaped_ = c == '\\' && !escaped_;
      break;
    case State::kScalar:
      if (c == ',') state_ = State::kName;
      if (c == '}') state_ = State::kEnd;
      break;
    case State::kNested:
      if (c == '"') {
        escaped_ = false;
        state_ = State::kNestedString;
      } else if (c == '{' || c == '[') {
        ++depth_;
      } else if ((c == '}' || c == ']') && --depth_ == 0) {
        state_ = State::kName;
      }
      break;
    case State::kNestedString:
      if (c == '"' && !escaped_) state_ = State::kNested;
      escaped_ = c == '\\' && !escaped_;
      break;
    case State::kEnd:
      if (!is_space(c)) return false;
      break;
  }
  return true;
}

// What was decoded before damage is passed on, however the bytes were cut.
bool ChunkBytes::feed(std::span<const uint8_t> bytes,
                      const std::function<void(std::span<const uint8_t>)>& output) {
  bool good = true;
  for (const uint8_t c : bytes) {
    good = read(c);
    if (!good) break;
    if (out_bytes_ + 3 > out_.size()) flush(output);
  }
  flush(output);
  return good;
}

}  // namespace llmtap
