// SPDX-License-Identifier: Apache-2.0
#include "protocols/eventstream/message_headers.h"

#include <algorithm>
#include <array>

namespace llmtap {
namespace {

constexpr uint8_t kByteArray = 6, kString = 7;
// Bytes of the values of the other types: true, false, i8, i16, i32, i64, -, -, timestamp, uuid.
constexpr std::array<uint8_t, 10> kFixedBytes{0, 0, 1, 2, 4, 8, 0, 0, 8, 16};

}  // namespace

void MessageHeaders::begin(size_t max_value_bytes) {
  max_value_bytes_ = max_value_bytes;
  state_ = State::kNameLength;
  for (std::string* value : {&header_, &message_type_, &event_type_, &exception_type_, &error_code_})
    value->clear();
}

std::string_view MessageHeaders::name() const {
  if (message_type_ == "exception") return exception_type_;
  return message_type_ == "error" ? error_code_ : event_type_;
}

std::string* MessageHeaders::choose(std::string_view name, uint8_t type) {
  if (type != kString) return nullptr;
  std::string* const target = name == ":message-type"     ? &message_type_
                              : name == ":event-type"     ? &event_type_
                              : name == ":exception-type" ? &exception_type_
                              : name == ":error-code"     ? &error_code_
                                                          : nullptr;
  if (target) target->clear();
  return target;
}

// Nearly every header: one of text, in this buffer. Returns its size; 0 if it is anything else.
size_t MessageHeaders::whole_header(std::span<const uint8_t> bytes) {
  const size_t name_bytes = bytes[0], value_at = name_bytes + 4;
  if (name_bytes == 0 || bytes.size() < value_at || bytes[name_bytes + 1] != kString) return 0;
  const size_t value_bytes = static_cast<size_t>(bytes[name_bytes + 2] << 8 | bytes[name_bytes + 3]);
  if (bytes.size() < value_at + value_bytes) return 0;
  const auto* text = reinterpret_cast<const char*>(bytes.data());
  if (std::string* const target = choose({text + 1, name_bytes}, kString))
    target->assign(text + value_at, std::min(value_bytes, max_value_bytes_));
  return value_at + value_bytes;
}

bool MessageHeaders::feed(std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    switch (state_) {
      case State::kNameLength:
        if (const size_t taken = whole_header(bytes); taken != 0) {
          bytes = bytes.subspan(taken);
          break;
        }
        left_ = bytes[0];
        if (left_ == 0) return false;
        header_.clear();
        state_ = State::kName;
        bytes = bytes.subspan(1);
        break;
      case State::kName: {
        const size_t taken = std::min(left_, bytes.size());
        header_.append(reinterpret_cast<const char*>(bytes.data()), taken);
        bytes = bytes.subspan(taken);
        left_ -= taken;
        if (left_ == 0) state_ = State::kType;
        break;
      }
      case State::kType:
        type_ = bytes[0];
        if (type_ >= kFixedBytes.size()) return false;
        bytes = bytes.subspan(1);
        target_ = choose(header_, type_);
        if (type_ == kByteArray || type_ == kString) {
          left_ = 2;
          length_ = 0;
          state_ = State::kValueLength;
        } else {
          left_ = kFixedBytes[type_];
          state_ = left_ == 0 ? State::kNameLength : State::kValue;
        }
        break;
      case State::kValueLength:
        length_ = length_ << 8 | bytes[0];
        bytes = bytes.subspan(1);
        if (--left_ > 0) break;
        left_ = length_;
        state_ = left_ == 0 ? State::kNameLength : State::kValue;
        break;
      case State::kValue: {
        const size_t taken = std::min(left_, bytes.size());
        if (target_)
          target_->append(reinterpret_cast<const char*>(bytes.data()),
                          std::min(taken, max_value_bytes_ - std::min(max_value_bytes_, target_->size())));
        bytes = bytes.subspan(taken);
        left_ -= taken;
        if (left_ == 0) state_ = State::kNameLength;
        break;
      }
    }
  }
  return true;
}

}  // namespace llmtap
