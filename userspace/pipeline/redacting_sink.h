// SPDX-License-Identifier: Apache-2.0
// Between the events and the file of `llmtap record --redact`: credentials and content overwritten,
// lengths, offsets and times as they were.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "llmtap/facts.h"
#include "redaction/plaintext_redactor.h"

namespace llmtap {

class RedactingSink : public EventSink {
 public:
  // `next` outlives it. What is beyond the limits is recorded as lost, not as it is.
  explicit RedactingSink(EventSink& next, const Limits& limits = {})
      : next_(next), budgets_(std::make_shared<RecordingBudgets>(limits)) {}

  void on_event(const llmtap_event_hdr& event) override;
  // Bytes that could not be kept in a readable form; they are gaps in the recording.
  uint64_t bytes_dropped() const { return bytes_dropped_; }

 private:
  struct Stream {
    PlaintextRedactor redactor;
    std::optional<uint64_t> next_offset;
  };
  struct Connection {
    Connection(MemoryShare&& share, const std::shared_ptr<ConnectionTerms>& terms)
        : memory(std::move(share)),
          streams{Stream{PlaintextRedactor(terms), {}}, Stream{PlaintextRedactor(terms), {}}} {}
    MemoryShare memory;
    std::array<Stream, 2> streams;  // by direction
  };

  void on_data(const llmtap_data_event& event);
  // The part [begin, end) of `event`; its bytes from `payload`, or as a gap if that is null.
  void pass_on(const llmtap_data_event& event, uint32_t begin, uint32_t end, const uint8_t* payload);

  EventSink& next_;
  const std::shared_ptr<RecordingBudgets> budgets_;
  std::unordered_map<uint64_t, Connection> connections_;
  std::vector<uint8_t> bytes_;
  std::vector<uint64_t> record_;
  uint64_t bytes_dropped_ = 0;
};

}  // namespace llmtap
