// SPDX-License-Identifier: Apache-2.0
// Header blocks of one direction of a connection (RFC 7541), pushed in pieces. Unlike an endpoint's
// decoder it goes on when entries of its dynamic table are not known: the connection was met in the
// middle, or bytes were lost. A reference to such an entry is a field that is not known; the table
// fills again as the encoder inserts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>

namespace llmtap::http2 {

// An unknown part was sent, and is empty here.
struct HpackField {
  std::string_view name, value;
  bool name_known = true, value_known = true;
};

class HpackFieldSink {
 public:
  virtual ~HpackFieldSink() = default;
  virtual void on_field(const HpackField&) = 0;  // views valid during the call only
};

// Entries newest first. Entries kept longer than the encoder keeps them do no harm: it does not refer
// to what it evicted. So a bound that is not known may be taken too large, and entries behind those
// that are known are unknown ones.
class HeaderTable {
 public:
  struct Entry {
    std::string name, value;
    bool name_known = true, value_known = true;
    size_t bytes() const { return 32 + name.size() + value.size(); }  // RFC 7541 4.1
  };

  explicit HeaderTable(size_t cap_bytes) : cap_bytes_(cap_bytes), max_bytes_(kInitialBytes) { limit(); }

  const Entry* at(size_t index) const { return index < entries_.size() ? &entries_[index] : nullptr; }
  void insert(Entry entry);
  void resize(size_t max_bytes);
  void forget();
  // Every entry is known that the encoder can refer to.
  bool complete() const { return complete_; }
  size_t bytes() const { return bytes_; }

 private:
  static constexpr size_t kInitialBytes = 4096;  // RFC 9113 6.5.2, SETTINGS_HEADER_TABLE_SIZE
  void limit();
  void evict(size_t room);

  std::deque<Entry> entries_;
  size_t bytes_ = 0;
  size_t cap_bytes_;
  size_t max_bytes_;  // the encoder's, as far as known
  bool complete_ = true;
};

class HpackDecoder {
 public:
  // Table and strings beyond their bounds are not kept, and so unknown.
  HpackDecoder(size_t max_table_bytes, size_t max_string_bytes)
      : table_(max_table_bytes), max_string_bytes_(max_string_bytes) {}

  void begin_block();
  // False: the block is damaged. The table is forgotten, the rest of the block must not be fed.
  bool feed(std::span<const uint8_t> bytes, HpackFieldSink& sink);
  // False: it ended inside a field.
  bool end_block();
  // Bytes of this direction were lost, or never seen.
  void forget();
  size_t table_bytes() const { return table_.bytes(); }

 private:
  // What the next bytes are.
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

  bool begin_field(uint8_t first, HpackFieldSink& sink);
  bool begin_integer(Step step, uint8_t first, uint8_t mask, HpackFieldSink& sink);
  bool end_integer(HpackFieldSink& sink);
  bool begin_string(Step step, HpackFieldSink& sink);
  bool end_string(HpackFieldSink& sink);
  bool indexed(size_t index, HpackFieldSink& sink);
  bool name_by_index(size_t index);
  void end_literal(HpackFieldSink& sink);

  HeaderTable table_;
  const size_t max_string_bytes_;
  Step step_ = Step::kField;
  bool in_integer_ = false;
  bool huffman_ = false, insert_ = false, too_long_ = false;
  bool first_in_block_ = true;  // only a change of the table's size came so far
  uint64_t integer_ = 0;
  unsigned shift_ = 0;
  uint64_t left_ = 0;  // of the string
  std::string coded_;  // of a Huffman string that reached the end of a piece
  HeaderTable::Entry literal_;
};

}  // namespace llmtap::http2
