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
#include "protocols/http2/hpack_block.h"
#include "protocols/http2/hpack_decoder.h"
#include "redaction/target_redactor.h"

namespace llmtap {

class HpackRedactor {
 public:
  explicit HpackRedactor(size_t max_table_bytes) : table_(max_table_bytes) {}

  void begin_block() { block_.begin(); }
  // Delivers the fields as they are stored; a value is unknown that was not kept whole. Returns how many
  // bytes it took: fewer if the block is damaged there, and nothing more may be fed.
  size_t redact(std::span<uint8_t> bytes, http2::HpackFieldSink& fields);
  bool between_fields() const { return block_.between_fields(); }
  size_t table_bytes() const { return table_.bytes(); }

 private:
  friend class http2::HpackBlock;
  enum class Policy : uint8_t { kOverwrite, kWords, kTarget };

  bool on_index(size_t index);
  void on_table_size(size_t bytes) { table_.resize(bytes); }
  bool on_literal(size_t name_index, bool insert);
  bool on_string(const http2::HpackString& string);
  bool on_string_bytes(const http2::HpackString& string, std::span<uint8_t> piece);
  bool on_string_end(const http2::HpackString& string);
  bool name_bytes(const http2::HpackString& string, std::span<uint8_t> piece);
  void begin_value();
  bool huffman_bytes(const http2::HpackString& string, std::span<uint8_t> piece);
  uint8_t value_byte(uint8_t byte);

  http2::HeaderTable table_;
  http2::HpackBlock block_;
  http2::HpackFieldSink* fields_ = nullptr;  // while it redacts
  bool insert_ = false;
  std::string coded_;  // a name's
  http2::HeaderTable::Entry literal_;
  Policy policy_ = Policy::kOverwrite;
  SecretPrefix secret_;
  TargetRedactor target_;
  // Coded value: from this bit of it on there is filler to its end.
  bool filling_ = false;
  uint64_t fill_from_ = 0;
};

}  // namespace llmtap
