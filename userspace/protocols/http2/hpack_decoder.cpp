// SPDX-License-Identifier: Apache-2.0
#include "protocols/http2/hpack_decoder.h"

#include <algorithm>
#include <utility>

#include "protocols/http2/hpack_huffman.h"
#include "protocols/http2/hpack_static_table.h"

namespace llmtap::http2 {
namespace {

// Lengths and indices beyond this are no block that anybody sends.
constexpr uint64_t kMaxInteger = 1 << 28;

}  // namespace

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

void HeaderTable::forget() {
  entries_.clear();
  bytes_ = 0;
  // A change of the size may be among what was lost.
  max_bytes_ = cap_bytes_;
  complete_ = false;
}

void HpackDecoder::begin_block() {
  step_ = Step::kField;
  in_integer_ = false;
  first_in_block_ = true;
}

void HpackDecoder::forget() {
  table_.forget();
  begin_block();
}

bool HpackDecoder::end_block() {
  if (step_ == Step::kField) return true;
  forget();
  return false;
}

bool HpackDecoder::feed(std::span<const uint8_t> bytes, HpackFieldSink& sink) {
  bool ok = true;
  while (ok && !bytes.empty()) {
    if (in_integer_) {
      const uint8_t byte = bytes[0];
      bytes = bytes.subspan(1);
      integer_ += static_cast<uint64_t>(byte & 0x7f) << shift_;
      shift_ += 7;
      if (integer_ > kMaxInteger || shift_ > 35)
        ok = false;
      else if ((byte & 0x80) == 0)
        ok = end_integer(sink);
      continue;
    }
    switch (step_) {
      case Step::kName:
      case Step::kValue: {
        const size_t used = static_cast<size_t>(std::min<uint64_t>(left_, bytes.size()));
        const std::string_view piece(reinterpret_cast<const char*>(bytes.data()), used);
        if (!too_long_)
          (huffman_ ? coded_ : step_ == Step::kName ? literal_.name : literal_.value).append(piece);
        left_ -= used;
        bytes = bytes.subspan(used);
        if (left_ == 0) ok = end_string(sink);
        break;
      }
      case Step::kNameLength:
      case Step::kValueLength:
        huffman_ = (bytes[0] & 0x80) != 0;
        ok = begin_integer(step_, bytes[0], 0x7f, sink);
        bytes = bytes.subspan(1);
        break;
      default: ok = begin_field(bytes[0], sink); bytes = bytes.subspan(1);
    }
  }
  if (!ok) forget();
  return ok;
}

bool HpackDecoder::begin_field(uint8_t first, HpackFieldSink& sink) {
  // RFC 7541 6.3: the size changes at the begin of a block only (4.2).
  if ((first & 0xe0) == 0x20) return first_in_block_ && begin_integer(Step::kTableSize, first, 0x1f, sink);
  first_in_block_ = false;
  if (first & 0x80) return begin_integer(Step::kIndex, first, 0x7f, sink);
  insert_ = (first & 0x40) != 0;
  literal_ = {};
  return begin_integer(Step::kNameIndex, first, insert_ ? 0x3f : 0x0f, sink);
}

bool HpackDecoder::begin_integer(Step step, uint8_t first, uint8_t mask, HpackFieldSink& sink) {
  step_ = step;
  integer_ = first & mask;
  shift_ = 0;
  in_integer_ = integer_ == mask;
  return in_integer_ || end_integer(sink);
}

bool HpackDecoder::end_integer(HpackFieldSink& sink) {
  in_integer_ = false;
  switch (step_) {
    case Step::kIndex: step_ = Step::kField; return indexed(integer_, sink);
    case Step::kTableSize:
      step_ = Step::kField;
      table_.resize(integer_);
      return true;
    case Step::kNameIndex:
      step_ = integer_ == 0 ? Step::kNameLength : Step::kValueLength;
      return integer_ == 0 || name_by_index(integer_);
    case Step::kNameLength: return begin_string(Step::kName, sink);
    default: return begin_string(Step::kValue, sink);
  }
}

bool HpackDecoder::begin_string(Step step, HpackFieldSink& sink) {
  step_ = step;
  left_ = integer_;
  too_long_ = left_ > max_string_bytes_;
  coded_.clear();
  return left_ != 0 || end_string(sink);
}

bool HpackDecoder::end_string(HpackFieldSink& sink) {
  const bool is_name = step_ == Step::kName;
  std::string& text = is_name ? literal_.name : literal_.value;
  if (too_long_)
    (is_name ? literal_.name_known : literal_.value_known) = false;
  else if (huffman_ && !huffman_decode(coded_, text))
    return false;
  step_ = is_name ? Step::kValueLength : Step::kField;
  if (!is_name) end_literal(sink);
  return true;
}

bool HpackDecoder::indexed(size_t index, HpackFieldSink& sink) {
  if (index == 0) return false;
  if (index <= kStaticTable.size()) {
    sink.on_field({kStaticTable[index - 1].name, kStaticTable[index - 1].value});
    return true;
  }
  const HeaderTable::Entry* entry = table_.at(index - kStaticTable.size() - 1);
  if (!entry && table_.complete()) return false;
  if (entry)
    sink.on_field({entry->name, entry->value, entry->name_known, entry->value_known});
  else
    sink.on_field({{}, {}, false, false});
  return true;
}

bool HpackDecoder::name_by_index(size_t index) {
  if (index <= kStaticTable.size()) {
    literal_.name = kStaticTable[index - 1].name;
    return true;
  }
  const HeaderTable::Entry* entry = table_.at(index - kStaticTable.size() - 1);
  if (!entry && table_.complete()) return false;
  literal_.name_known = entry && entry->name_known;
  if (entry) literal_.name = entry->name;
  return true;
}

void HpackDecoder::end_literal(HpackFieldSink& sink) {
  sink.on_field({literal_.name, literal_.value, literal_.name_known, literal_.value_known});
  if (insert_) table_.insert(std::exchange(literal_, {}));
}

}  // namespace llmtap::http2
