// SPDX-License-Identifier: Apache-2.0
// application/x-ndjson, jsonl: one event per line. Data is passed on in pieces and never kept.
#pragma once

#include <cstdint>
#include <span>

#include "protocols/event_output.h"

namespace llmtap {

class NdjsonDecoder {
 public:
  void feed(std::span<const uint8_t> bytes, uint64_t time_ns, EventOutput& out);
  void gap(uint64_t time_ns, EventOutput& out);  // goes on behind the next LF
  // `complete`: the message ended as HTTP says, so its last line needs no LF.
  void finish(bool complete, uint64_t time_ns, EventOutput& out);

 private:
  void emit(std::span<const uint8_t> bytes, uint64_t time_ns, EventOutput& out);
  void end_line(bool complete, uint64_t time_ns, EventOutput& out);

  bool hunting_ = false;
  bool pending_cr_ = false;  // a CR that may belong to the line's end
  uint64_t data_bytes_ = 0;
  uint64_t first_byte_ns_ = 0;
};

}  // namespace llmtap
