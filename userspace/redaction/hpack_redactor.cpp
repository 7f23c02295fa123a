// SPDX-License-Identifier: Apache-2.0
#include "redaction/hpack_redactor.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/ascii.h"
#include "llm/header_policy.h"
#include "protocols/http2/hpack_huffman.h"
#include "protocols/http2/hpack_static_table.h"

namespace llmtap {
namespace {

constexpr uint8_t kFiller = 'x';
constexpr size_t kMaxNameBytes = 128;
constexpr size_t kMaxValueBytes = 256;  // kept, of fields that say how a body is to be read

// RFC 7541 appendix B: letters by the length of their codes.
struct Letter {
  unsigned bits;
  uint8_t code;
};
constexpr Letter kLetters[] = {{5, 0x03}, {6, 0x2a}, {7, 0x79}, {8, 0xfc}};  // a n x X
constexpr const Letter& letter_of(size_t bits) { return kLetters[bits - 5]; }
constexpr unsigned kLongestLetter = 8;

void put_bit(std::span<uint8_t> bytes, size_t at, bool bit) {
  const auto place = static_cast<uint8_t>(0x80 >> (at % 8));
  bytes[at / 8] = static_cast<uint8_t>(bit ? bytes[at / 8] | place : bytes[at / 8] & ~place);
}

void put_letter(std::span<uint8_t> bytes, size_t& at, size_t bits) {
  for (size_t i = 0; i < bits; ++i) put_bit(bytes, at++, (letter_of(bits).code >> (bits - 1 - i) & 1) != 0);
}

// Letters of exactly the bits that the codes in [at, end) had: nine cannot be.
void fill_between(std::span<uint8_t> bytes, size_t at, size_t end) {
  while (end - at >= 10 + kLongestLetter) put_letter(bytes, at, kLongestLetter);
  if (end - at > 16) put_letter(bytes, at, 5);
  const size_t bits = end - at;
  if (bits > kLongestLetter) {
    put_letter(bytes, at, bits / 2);
    put_letter(bytes, at, bits - bits / 2);
  } else if (bits >= 5) {
    put_letter(bytes, at, bits);
  }
}

// The longest letters from bit `from` of a string on to its end, and padding (RFC 7541 5.2); `piece` begins
// at bit `begin`.
void fill_rest(std::span<uint8_t> piece, uint64_t begin, uint64_t from, uint64_t end) {
  const uint64_t letters_end = from + (end - from) / kLongestLetter * kLongestLetter;
  const uint8_t code = letter_of(kLongestLetter).code;
  for (uint64_t at = std::max(begin, from); at < begin + piece.size() * 8; ++at)
    put_bit(piece, static_cast<size_t>(at - begin),
            at >= letters_end || (code >> (7 - (at - from) % kLongestLetter) & 1) != 0);
}

std::string_view text_of(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool is_name(std::string_view name) {
  if (name.starts_with(':')) name.remove_prefix(1);
  return !name.empty() && std::ranges::all_of(name, is_token_char);
}

}  // namespace

size_t HpackRedactor::redact(std::span<uint8_t> bytes, http2::HpackFieldSink& fields) {
  fields_ = &fields;
  return block_.read(bytes, *this);
}

bool HpackRedactor::on_index(size_t index) {
  if (index == 0) return false;
  if (index <= http2::kStaticTable.size()) {
    fields_->on_field({http2::kStaticTable[index - 1].name, http2::kStaticTable[index - 1].value});
    return true;
  }
  const http2::HeaderTable::Entry* entry = table_.at(index - http2::kStaticTable.size() - 1);
  if (!entry) return !table_.complete();
  fields_->on_field({entry->name, entry->value, entry->name_known, entry->value_known});
  return true;
}

bool HpackRedactor::on_literal(size_t name_index, bool insert) {
  insert_ = insert;
  literal_ = {};
  return name_index == 0 || table_.name(name_index, literal_);
}

bool HpackRedactor::on_string(const http2::HpackString& string) {
  if (!string.is_name) {
    begin_value();
    return true;
  }
  coded_.clear();
  return string.bytes > 0;
}

bool HpackRedactor::on_string_bytes(const http2::HpackString& string, std::span<uint8_t> piece) {
  if (string.is_name) return name_bytes(string, piece);
  if (string.huffman) return huffman_bytes(string, piece);
  for (uint8_t& byte : piece) {
    const uint8_t stored = value_byte(byte);
    if (stored != byte) literal_.value_known = false;
    byte = stored;
    if (literal_.value.size() < kMaxValueBytes) literal_.value.push_back(static_cast<char>(stored));
  }
  return true;
}

// Names stay; what is too long to be one does not.
bool HpackRedactor::name_bytes(const http2::HpackString& string, std::span<uint8_t> piece) {
  if (string.bytes > kMaxNameBytes) {
    literal_.name_known = false;
    if (string.huffman)
      fill_rest(piece, string.at * 8, 0, string.bytes * 8);
    else
      std::ranges::fill(piece, kFiller);
    return true;
  }
  coded_.append(text_of(piece));
  if (!string.huffman && !is_name(coded_ == ":" ? ":x" : coded_)) return false;
  if (coded_.size() < string.bytes) return true;
  if (!string.huffman)
    literal_.name = coded_;
  else if (!http2::huffman_decode(coded_, literal_.name) || !is_name(literal_.name))
    return false;
  return true;
}

void HpackRedactor::begin_value() {
  const std::string_view name = literal_.name;
  policy_ = Policy::kOverwrite;
  if (literal_.name_known && name == ":path")
    policy_ = Policy::kTarget;
  else if (literal_.name_known &&
           (name == ":authority" || name == ":method" || name == ":scheme" || name == ":status" ||
            name == ":protocol" || (is_allowed_header(name) && !is_credential_header(name))))
    policy_ = Policy::kWords;
  secret_.reset();
  target_.reset();
  literal_.value_known = policy_ != Policy::kOverwrite;
  filling_ = policy_ == Policy::kOverwrite;
  fill_from_ = 0;
}

uint8_t HpackRedactor::value_byte(uint8_t byte) {
  if (policy_ == Policy::kOverwrite) return kFiller;
  if (policy_ == Policy::kTarget) return target_.push(byte);
  if (byte == ' ' || byte == '\t') {
    secret_.reset();
    return byte;
  }
  return !secret_.hides(static_cast<char>(byte)) && byte >= 0x20 && byte < 0x7F ? byte : kFiller;
}

bool HpackRedactor::huffman_bytes(const http2::HpackString& string, std::span<uint8_t> piece) {
  const uint64_t begin = string.at * 8;
  if (!filling_) {
    const std::string coded(text_of(piece));
    constexpr size_t kNothing = std::string::npos;
    size_t hidden = kNothing;  // where what goes begins
    size_t at = 0;
    for (size_t here = 0;; here = at) {
      const std::optional<uint8_t> symbol = http2::huffman_symbol(coded, at);
      if (!symbol) break;
      // Filler that was there before is no more than filler inside of what goes.
      const uint8_t stored = value_byte(*symbol);
      if (stored == *symbol && (hidden == kNothing || stored != kFiller)) {
        if (hidden != kNothing) fill_between(piece, hidden, here);
        hidden = kNothing;
        if (literal_.value.size() < kMaxValueBytes) literal_.value.push_back(static_cast<char>(stored));
      } else if (hidden == kNothing) {
        hidden = here;
        literal_.value_known = false;
      }
    }
    const bool whole = string.at + piece.size() == string.bytes;
    if (whole && !http2::huffman_padding(coded, at)) return false;
    if (whole && hidden == kNothing) return true;
    filling_ = true;
    fill_from_ = begin + (hidden == kNothing ? at : hidden);
    literal_.value_known = false;
  }
  fill_rest(piece, begin, fill_from_, string.bytes * 8);
  return true;
}

bool HpackRedactor::on_string_end(const http2::HpackString& string) {
  if (string.is_name) return true;
  if (literal_.value.size() >= kMaxValueBytes) literal_.value_known = false;
  if (!literal_.value_known) std::string().swap(literal_.value);  // with its memory
  fields_->on_field({literal_.name, literal_.value, literal_.name_known, literal_.value_known});
  if (insert_) table_.insert(std::exchange(literal_, {}));
  return true;
}

}  // namespace llmtap
