// SPDX-License-Identifier: Apache-2.0
// text/event-stream, as WHATWG HTML 9.2.6 says. Data is passed on in pieces as it comes and never kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "protocols/event_output.h"

namespace llmtap {

class SseDecoder {
 public:
  explicit SseDecoder(size_t max_name_bytes) : max_name_bytes_(max_name_bytes) {}

  void feed(std::span<const uint8_t> bytes, uint64_t time_ns, EventOutput& out);
  // Bytes were lost here: the current event is incomplete; goes on behind the next blank line.
  void gap(uint64_t time_ns, EventOutput& out);
  // The stream is over. An event without its blank line is incomplete, also says the standard.
  void finish(uint64_t time_ns, EventOutput& out);

 private:
  enum class State : uint8_t { kBom, kFieldName, kValueStart, kData, kEventName, kSkipLine, kHunt };

  class LineEnds;

  const uint8_t* whole_event(const uint8_t* p, const uint8_t* end, LineEnds& line_ends, uint64_t time_ns,
                             EventOutput& out) const;
  void begin_field(uint64_t time_ns, EventOutput& out);
  void end_line(uint64_t time_ns, EventOutput& out);
  void begin_data(uint64_t time_ns, EventOutput& out);
  void emit(std::span<const uint8_t> bytes, uint64_t time_ns, EventOutput& out);
  void dispatch(bool complete, uint64_t time_ns, EventOutput& out);

  size_t max_name_bytes_;
  State state_ = State::kBom;
  bool skip_lf_ = false;    // the last line ended by CR: an LF now belongs to it
  bool line_empty_ = true;  // kHunt: no byte of this line so far
  bool hunt_first_line_ = false;
  bool has_data_ = false;  // the event has a data field
  uint8_t name_bytes_ = 0;
  char name_[6] = {};  // of the field; longer than any that counts means none of them
  std::string event_name_;
  uint64_t data_bytes_ = 0;
  uint64_t first_byte_ns_ = 0;
};

}  // namespace llmtap
