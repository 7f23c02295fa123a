// SPDX-License-Identifier: Apache-2.0
// The headers of one event-stream message, pushed in pieces; only those that say what the message is
// are kept, and no more of them than a name has.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace llmtap {

class MessageHeaders {
 public:
  void begin(size_t max_value_bytes);
  // False: not what the format allows; nothing more may be fed.
  bool feed(std::span<const uint8_t> bytes);
  // Behind the last byte of the block: it ended between two headers.
  bool whole() const { return state_ == State::kNameLength; }

  // What the payload is called: of an exception or error its type, of an event its own.
  std::string_view name() const;
  bool is_error() const { return message_type_ == "exception" || message_type_ == "error"; }

 private:
  enum class State : uint8_t { kNameLength, kName, kType, kValueLength, kValue };
  size_t whole_header(std::span<const uint8_t> bytes);
  // Where the value of a header goes; null: nobody asks.
  std::string* choose(std::string_view name, uint8_t type);

  State state_ = State::kNameLength;
  size_t max_value_bytes_ = 0;
  size_t left_ = 0;      // of the name, length or value being read
  uint32_t length_ = 0;  // of a value, while its two bytes are read
  uint8_t type_ = 0;
  std::string header_;             // the name being read
  std::string* target_ = nullptr;  // of choose()
  std::string message_type_, event_type_, exception_type_, error_code_;
};

}  // namespace llmtap
