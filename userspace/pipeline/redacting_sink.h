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
  // `next` outlives it. Beyond `max_connections` open ones, bytes are recorded as lost, not as they are.
  explicit RedactingSink(EventSink& next, size_t max_connections = 100'000)
      : next_(next), max_connections_(max_connections) {}

  void on_event(const llmtap_event_hdr& event) override;
  // Bytes that could not be kept in a readable form; they are gaps in the recording.
  uint64_t bytes_dropped() const { return bytes_dropped_; }

 private:
  struct Stream {
    PlaintextRedactor redactor;
    std::optional<uint64_t> next_offset;
  };
  struct Connection {
    explicit Connection(const std::shared_ptr<ConnectionTerms>& terms)
        : streams{Stream{PlaintextRedactor(terms), {}}, Stream{PlaintextRedactor(terms), {}}} {}
    std::array<Stream, 2> streams;  // by direction
  };

  void on_data(const llmtap_data_event& event);
  // The part [begin, end) of `event`; its bytes from `payload`, or as a gap if that is null.
  void pass_on(const llmtap_data_event& event, uint32_t begin, uint32_t end, const uint8_t* payload);

  EventSink& next_;
  const size_t max_connections_;
  const std::shared_ptr<DecoderBudget> inflaters_ = std::make_shared<DecoderBudget>(Limits{}.decoder_bytes);
  std::unordered_map<uint64_t, Connection> connections_;
  std::vector<uint8_t> bytes_;
  std::vector<uint64_t> record_;
  uint64_t bytes_dropped_ = 0;
};

}  // namespace llmtap
