// SPDX-License-Identifier: Apache-2.0
// The grammar of header blocks (RFC 7541 5 and 6), pushed in pieces: which byte is what. What it means, and
// whether it can be, is for a listener to say, which has
//
//   bool on_index(size_t);                            an indexed field
//   void on_table_size(size_t);
//   bool on_literal(size_t name_index, bool insert);  0: its name comes, then its value; else its value
//   bool on_string(const HpackString&);               of which nothing came yet
//   bool on_string_bytes(const HpackString&, std::span<Byte>);
//   bool on_string_end(const HpackString&);
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace llmtap::http2 {

struct HpackString {
  bool is_name = false, huffman = false;
  uint64_t bytes = 0;  // as coded
  uint64_t at = 0;     // of them came before
};

class HpackBlock {
 public:
  void begin() {
    step_ = Step::kField;
    in_integer_ = false;
    first_in_block_ = true;
  }
  bool between_fields() const { return step_ == Step::kField; }

  // Returns how many bytes it took: fewer if the block is damaged there, or the listener says that it is, and
  // nothing more may be fed. A string's piece that is refused is not taken.
  template <typename Byte, typename Listener>
  size_t read(std::span<Byte> bytes, Listener& listener) {
    for (size_t at = 0; at < bytes.size();) {
      size_t used = 1;
      if (step_ == Step::kString) {
        used = static_cast<size_t>(std::min<uint64_t>(string_.bytes - string_.at, bytes.size() - at));
        if (!listener.on_string_bytes(string_, bytes.subspan(at, used))) return at;
        string_.at += used;
        if (string_.at == string_.bytes && !end_string(listener)) return at;
      } else if (!read_byte(bytes[at], listener)) {
        return at;
      }
      at += used;
    }
    return bytes.size();
  }

 private:
  // What the next bytes are.
  enum class Step : uint8_t { kField, kIndex, kNameIndex, kTableSize, kNameLength, kValueLength, kString };

  // Lengths and indices beyond this are no block that anybody sends.
  static constexpr uint64_t kMaxInteger = 1 << 28;

  template <typename Listener>
  bool read_byte(uint8_t byte, Listener& listener) {
    if (in_integer_) {
      integer_ += static_cast<uint64_t>(byte & 0x7f) << shift_;
      shift_ += 7;
      if (integer_ > kMaxInteger || shift_ > 35) return false;
      return (byte & 0x80) != 0 || end_integer(listener);
    }
    if (step_ == Step::kNameLength || step_ == Step::kValueLength) {
      string_.huffman = (byte & 0x80) != 0;
      return begin_integer(step_, byte, 0x7f, listener);
    }
    // RFC 7541 6.3: the size changes at the begin of a block only (4.2).
    if ((byte & 0xe0) == 0x20)
      return first_in_block_ && begin_integer(Step::kTableSize, byte, 0x1f, listener);
    first_in_block_ = false;
    if (byte & 0x80) return begin_integer(Step::kIndex, byte, 0x7f, listener);
    insert_ = (byte & 0x40) != 0;
    return begin_integer(Step::kNameIndex, byte, insert_ ? 0x3f : 0x0f, listener);
  }

  template <typename Listener>
  bool begin_integer(Step step, uint8_t first, uint8_t mask, Listener& listener) {
    step_ = step;
    integer_ = first & mask;
    shift_ = 0;
    in_integer_ = integer_ == mask;
    return in_integer_ || end_integer(listener);
  }

  template <typename Listener>
  bool end_integer(Listener& listener) {
    in_integer_ = false;
    switch (step_) {
      case Step::kIndex: step_ = Step::kField; return listener.on_index(integer_);
      case Step::kTableSize:
        step_ = Step::kField;
        listener.on_table_size(integer_);
        return true;
      case Step::kNameIndex:
        step_ = integer_ == 0 ? Step::kNameLength : Step::kValueLength;
        return listener.on_literal(integer_, insert_);
      default: break;
    }
    string_ = {step_ == Step::kNameLength, string_.huffman, integer_, 0};
    step_ = Step::kString;
    return listener.on_string(string_) && (integer_ != 0 || end_string(listener));
  }

  template <typename Listener>
  bool end_string(Listener& listener) {
    step_ = string_.is_name ? Step::kValueLength : Step::kField;
    return listener.on_string_end(string_);
  }

  Step step_ = Step::kField;
  bool in_integer_ = false, insert_ = false;
  bool first_in_block_ = true;  // only a change of the table's size came so far
  uint64_t integer_ = 0;
  unsigned shift_ = 0;
  HpackString string_;
};

}  // namespace llmtap::http2
