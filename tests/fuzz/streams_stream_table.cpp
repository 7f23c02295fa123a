// SPDX-License-Identifier: Apache-2.0
// Input: records as in an event file, without its header. Oracle: books balance, bounds hold, and the
// calls on each connection come in the order that stream.h promises.
#include <algorithm>
#include <cstring>
#include <map>
#include <vector>

#include "base/check.h"
#include "streams/stream_table.h"

namespace {

using namespace llmtap;

class OrderCheck : public StreamSink {
 public:
  void on_open(const ConnectionFacts& facts) override {
    LLMTAP_CHECK(open_.emplace(facts.id, State{}).second);
  }
  void on_facts(const ConnectionFacts& facts) override { state(facts); }
  void on_chunk(const ConnectionFacts& facts, Direction direction, const StreamChunk& chunk) override {
    LLMTAP_CHECK(!chunk.bytes.empty());
    uint64_t& next = state(facts).next[static_cast<size_t>(direction)];
    LLMTAP_CHECK(chunk.offset >= next);
    next = std::max(next, chunk.offset + chunk.bytes.size());
  }
  void on_gap(const ConnectionFacts& facts, Direction, uint64_t bytes, uint64_t) override {
    state(facts);
    LLMTAP_CHECK(bytes != 0);
  }
  void on_direction_end(const ConnectionFacts& facts, Direction, EndReason, uint64_t) override {
    state(facts);
  }
  void on_end(const ConnectionFacts& facts, EndReason, uint64_t) override {
    state(facts);
    open_.erase(facts.id);
  }

 private:
  struct State {
    uint64_t next[2] = {0, 0};
  };
  State& state(const ConnectionFacts& facts) {
    const auto found = open_.find(facts.id);
    LLMTAP_CHECK(found != open_.end());
    return found->second;
  }
  std::map<uint64_t, State> open_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Limits limits;
  limits.connections = 4;
  limits.processes = 4;
  limits.ended_processes = 2;
  OrderCheck sink;
  StreamTable table(limits, sink);
  while (size >= sizeof(llmtap_event_hdr)) {
    llmtap_event_hdr header;
    std::memcpy(&header, data, sizeof(header));
    const size_t bytes = std::clamp<size_t>(header.size, sizeof(header), size);
    header.size = static_cast<uint32_t>(bytes);
    header.type %= 12;
    header.conn_id %= 8;
    header.tgid %= 8;
    std::vector<uint64_t> record((bytes + 7) / 8);
    std::memcpy(record.data(), data, bytes);
    std::memcpy(record.data(), &header, sizeof(header));
    table.on_event(*reinterpret_cast<const llmtap_event_hdr*>(record.data()));
    const size_t step = std::min((bytes + 7) / 8 * 8, size);
    data += step;
    size -= step;
    LLMTAP_CHECK(table.open_connections() <= limits.connections);
  }
  const StageBooks& books = table.books();
  LLMTAP_CHECK(books.bytes_in == books.bytes_out + books.bytes_left_out + books.bytes_lost);
  LLMTAP_CHECK(books.items_in == books.items_out + books.items_lost);
  return 0;
}
