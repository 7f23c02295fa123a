// SPDX-License-Identifier: Apache-2.0
// Header blocks of one direction of an HTTP/2 connection (RFC 7541), redacted in place: representations,
// indices and lengths stay, and with them what the dynamic table refers to.
//
// A value's bytes are overwritten where they lie. Where it is coded by Huffman's code and some of it stays,
// what goes is filled with letters whose codes take as many bits in all; how many letters they were is not
// kept, and a piece that ends inside such a string is filled from there to the string's end. An encoder that
// makes a string longer by that code (no header field's usual text) leaves a filler of more letters than
// there were, with which a full table may forget a field sooner than its encoder does: it is unknown then.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "llm/secret_prefix.h"
#include "protocols/http2/hpack_decoder.h"
#include "redaction/target_redactor.h"

namespace llmtap {

class HpackRedactor {
 public:
  explicit HpackRedactor(size_t max_table_bytes) : table_(max_table_bytes) {}

  void begin_block();
  // Delivers the fields as they are stored; a value is unknown that was not kept whole. Returns how many
  // bytes it took: fewer if the block is damaged there, and nothing more may be fed.
  size_t redact(std::span<uint8_t> bytes, http2::HpackFieldSink& fields);
  bool between_fields() const { return step_ == Step::kField; }
  size_t table_bytes() const { return table_.bytes(); }

 private:
  enum class Step : uint8_t {
    kField,
    kIndex,
    kNameIndex,
    kTableSize,
    kNameLength,
    kName,
    kValueLength,
    kValue
  };
  enum class Policy : uint8_t { kOverwrite, kWords, kTarget };

  bool begin_field(uint8_t first, http2::HpackFieldSink& fields);
  bool begin_integer(Step step, uint8_t first, uint8_t mask, http2::HpackFieldSink& fields);
  bool end_integer(http2::HpackFieldSink& fields);
  bool indexed(size_t index, http2::HpackFieldSink& fields);
  bool name_by_index(size_t index);
  bool name_bytes(std::span<uint8_t> piece);
  void begin_value();
  bool value_bytes(std::span<uint8_t> piece);
  bool huffman_bytes(std::span<uint8_t> piece);
  uint8_t value_byte(uint8_t byte);
  void end_field(http2::HpackFieldSink& fields);

  http2::HeaderTable table_;
  Step step_ = Step::kField;
  bool in_integer_ = false, huffman_ = false, insert_ = false, first_in_block_ = true;
  uint64_t integer_ = 0;
  unsigned shift_ = 0;
  uint64_t left_ = 0;   // of the string
  uint64_t total_ = 0;  // its bytes
  std::string coded_;   // a name's
  http2::HeaderTable::Entry literal_;
  Policy policy_ = Policy::kOverwrite;
  SecretPrefix secret_;
  TargetRedactor target_;
  // Coded value: from this bit of it on there is filler to its end.
  bool filling_ = false;
  uint64_t fill_from_ = 0;
};

}  // namespace llmtap
