// SPDX-License-Identifier: Apache-2.0
#include "pipeline/redacting_sink.h"

#include <algorithm>
#include <cstring>

namespace llmtap {
namespace {

// Both directions with the longest names and values, and the deepest nesting, that they keep.
constexpr size_t kConnectionBytes = 4096;

}  // namespace

void RedactingSink::on_event(const llmtap_event_hdr& event) {
  if (event.type == LLMTAP_EVENT_DATA) {
    on_data(reinterpret_cast<const llmtap_data_event&>(event));
    return;
  }
  if (event.type == LLMTAP_EVENT_CONN_END) {
    const uint32_t reason = reinterpret_cast<const llmtap_conn_end_event&>(event).reason;
    if (reason != LLMTAP_END_SHUTDOWN_WRITE && reason != LLMTAP_END_EOF) connections_.erase(event.conn_id);
  }
  next_.on_event(event);
}

void RedactingSink::on_data(const llmtap_data_event& event) {
  auto found = connections_.find(event.hdr.conn_id);
  if (found == connections_.end()) {
    MemoryShare memory(budgets_->kept);
    if (!memory.resize(kConnectionBytes)) {
      bytes_dropped_ += event.captured_bytes;
      pass_on(event, 0, event.original_bytes, nullptr);
      return;
    }
    const auto terms = std::make_shared<ConnectionTerms>(budgets_);
    found = connections_.try_emplace(event.hdr.conn_id, std::move(memory), terms).first;
  }
  Stream& stream = found->second.streams[event.direction == LLMTAP_WRITE ? 1 : 0];
  const uint64_t expected = stream.next_offset.value_or(0);
  if (event.offset != expected) stream.redactor.gap(event.offset > expected ? event.offset - expected : 0);

  const auto* payload = reinterpret_cast<const uint8_t*>(&event + 1);
  bytes_.assign(payload, payload + event.captured_bytes);
  const std::vector<ByteRange> unreadable = stream.redactor.redact(bytes_);
  if (event.captured_bytes < event.original_bytes)
    stream.redactor.gap(event.original_bytes - event.captured_bytes);
  stream.next_offset = event.offset + event.original_bytes;

  // A record holds a prefix of what it stands for: one record for each readable part and what follows it.
  uint32_t position = 0;
  for (const ByteRange& range : unreadable) {
    const auto begin = static_cast<uint32_t>(std::min<size_t>(range.offset, event.captured_bytes));
    const auto end =
        static_cast<uint32_t>(std::min<size_t>(range.offset + range.length, event.captured_bytes));
    if (begin >= end || begin < position) continue;
    if (begin > position) pass_on(event, position, begin, bytes_.data());
    // What was lost at the end of the record anyway belongs to the same gap.
    const bool last = end == event.captured_bytes;
    pass_on(event, begin, last ? event.original_bytes : end, nullptr);
    bytes_dropped_ += end - begin;
    position = last ? event.original_bytes : end;
  }
  if (position < event.original_bytes || event.original_bytes == 0)
    pass_on(event, position, event.original_bytes, bytes_.data());
}

void RedactingSink::pass_on(const llmtap_data_event& event, uint32_t begin, uint32_t end,
                            const uint8_t* payload) {
  const uint32_t captured_end = std::min(end, event.captured_bytes);
  const uint32_t captured = payload && captured_end > begin ? captured_end - begin : 0;
  llmtap_data_event part = event;
  part.hdr.size = static_cast<uint32_t>(sizeof(part)) + captured;
  part.offset = event.offset + begin;
  part.original_bytes = end - begin;
  part.captured_bytes = captured;
  if (begin > 0) part.hdr.flags &= static_cast<uint16_t>(~LLMTAP_FLAG_TURN);
  if (end < event.original_bytes) part.hdr.flags |= LLMTAP_FLAG_MORE;
  if (captured == part.original_bytes)
    part.loss = LLMTAP_LOST_NONE;
  else if (part.loss == LLMTAP_LOST_NONE)
    part.loss = LLMTAP_LOST_REDACTED;
  record_.resize((part.hdr.size + 7) / 8);
  std::memcpy(record_.data(), &part, sizeof(part));
  if (captured > 0)
    std::memcpy(reinterpret_cast<uint8_t*>(record_.data()) + sizeof(part), payload + begin, captured);
  next_.on_event(*reinterpret_cast<const llmtap_event_hdr*>(record_.data()));
}

}  // namespace llmtap
