// SPDX-License-Identifier: Apache-2.0
#include "protocols/http2/hpack_decoder.h"

#include <utility>

#include "protocols/http2/hpack_huffman.h"
#include "protocols/http2/hpack_static_table.h"

namespace llmtap::http2 {

void HeaderTable::limit() {
  if (max_bytes_ <= cap_bytes_) return;
  max_bytes_ = cap_bytes_;
  complete_ = false;
}

void HeaderTable::evict(size_t room) {
  while (!entries_.empty() && bytes_ > room) {
    bytes_ -= entries_.back().bytes();
    entries_.pop_back();
  }
}

void HeaderTable::insert(Entry entry) {
  const size_t bytes = entry.bytes();
  // RFC 7541 4.4: an entry larger than the table empties it.
  evict(bytes > max_bytes_ ? 0 : max_bytes_ - bytes);
  if (bytes > max_bytes_) return;
  bytes_ += bytes;
  entries_.push_front(std::move(entry));
}

void HeaderTable::resize(size_t max_bytes) {
  max_bytes_ = max_bytes;
  limit();
  evict(max_bytes_);
}

bool HeaderTable::name(size_t index, Entry& literal) const {
  if (index <= kStaticTable.size()) {
    literal.name = kStaticTable[index - 1].name;
    return true;
  }
  const Entry* entry = at(index - kStaticTable.size() - 1);
  if (!entry && complete_) return false;
  literal.name_known = entry && entry->name_known;
  if (entry) literal.name = entry->name;
  return true;
}

void HeaderTable::forget() {
  entries_.clear();
  bytes_ = 0;
  // A change of the size may be among what was lost.
  max_bytes_ = cap_bytes_;
  complete_ = false;
}

void HpackDecoder::begin_block() { block_.begin(); }

void HpackDecoder::forget() {
  table_.forget();
  begin_block();
}

bool HpackDecoder::end_block() {
  if (block_.between_fields()) return true;
  forget();
  return false;
}

bool HpackDecoder::feed(std::span<const uint8_t> bytes, HpackFieldSink& sink) {
  sink_ = &sink;
  if (block_.read(bytes, *this) == bytes.size()) return true;
  forget();
  return false;
}

bool HpackDecoder::on_index(size_t index) {
  if (index == 0) return false;
  if (index <= kStaticTable.size()) {
    sink_->on_field({kStaticTable[index - 1].name, kStaticTable[index - 1].value});
    return true;
  }
  const HeaderTable::Entry* entry = table_.at(index - kStaticTable.size() - 1);
  if (!entry && table_.complete()) return false;
  if (entry)
    sink_->on_field({entry->name, entry->value, entry->name_known, entry->value_known});
  else
    sink_->on_field({{}, {}, false, false});
  return true;
}

bool HpackDecoder::on_literal(size_t name_index, bool insert) {
  insert_ = insert;
  literal_ = {};
  return name_index == 0 || table_.name(name_index, literal_);
}

bool HpackDecoder::on_string(const HpackString& string) {
  too_long_ = string.bytes > max_string_bytes_;
  coded_.clear();
  return true;
}

bool HpackDecoder::on_string_bytes(const HpackString& string, std::span<const uint8_t> piece) {
  if (too_long_) return true;
  (string.huffman   ? coded_
   : string.is_name ? literal_.name
                    : literal_.value)
      .append(reinterpret_cast<const char*>(piece.data()), piece.size());
  return true;
}

bool HpackDecoder::on_string_end(const HpackString& string) {
  if (too_long_)
    (string.is_name ? literal_.name_known : literal_.value_known) = false;
  else if (string.huffman && !huffman_decode(coded_, string.is_name ? literal_.name : literal_.value))
    return false;
  if (string.is_name) return true;
  sink_->on_field({literal_.name, literal_.value, literal_.name_known, literal_.value_known});
  if (insert_) table_.insert(std::exchange(literal_, {}));
  return true;
}

}  // namespace llmtap::http2
