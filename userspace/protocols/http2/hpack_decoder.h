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

#include "protocols/http2/hpack_block.h"

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
  // The name at an index of static and dynamic table in one (RFC 7541 2.3.3), as a literal's. False: there is
  // no such entry.
  bool name(size_t index, Entry& literal) const;
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
  friend class HpackBlock;

  bool on_index(size_t index);
  void on_table_size(size_t bytes) { table_.resize(bytes); }
  bool on_literal(size_t name_index, bool insert);
  bool on_string(const HpackString& string);
  bool on_string_bytes(const HpackString& string, std::span<const uint8_t> piece);
  bool on_string_end(const HpackString& string);

  HeaderTable table_;
  const size_t max_string_bytes_;
  HpackBlock block_;
  HpackFieldSink* sink_ = nullptr;  // while it is fed
  bool insert_ = false, too_long_ = false;
  std::string coded_;  // of a Huffman string that reached the end of a piece
  HeaderTable::Entry literal_;
};

}  // namespace llmtap::http2
