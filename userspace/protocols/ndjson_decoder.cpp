// SPDX-License-Identifier: Apache-2.0
#include "protocols/ndjson_decoder.h"

#include <cstring>

namespace llmtap {

void NdjsonDecoder::emit(std::span<const uint8_t> bytes, uint64_t time_ns, EventOutput& out) {
  static constexpr uint8_t kCr = '\r';
  if (bytes.empty()) return;
  if (data_bytes_ == 0) first_byte_ns_ = time_ns;
  if (pending_cr_) {
    pending_cr_ = false;
    data_bytes_++;
    out.data({&kCr, 1}, time_ns);
  }
  data_bytes_ += bytes.size();
  out.data(bytes, time_ns);
}

// Empty lines are keep-alives, not events.
void NdjsonDecoder::end_line(bool complete, uint64_t time_ns, EventOutput& out) {
  pending_cr_ = false;
  if (data_bytes_ != 0) out.end({{}, time_ns, first_byte_ns_, data_bytes_, complete});
  data_bytes_ = 0;
}

void NdjsonDecoder::feed(std::span<const uint8_t> bytes, uint64_t time_ns, EventOutput& out) {
  while (!bytes.empty()) {
    const void* found = std::memchr(bytes.data(), '\n', bytes.size());
    const size_t length =
        found ? static_cast<size_t>(static_cast<const uint8_t*>(found) - bytes.data()) : bytes.size();
    std::span<const uint8_t> line = bytes.first(length);
    bytes = bytes.subspan(found ? length + 1 : length);
    if (hunting_) {
      hunting_ = !found;
      continue;
    }
    if (found && data_bytes_ == 0 && !pending_cr_) {
      if (!line.empty() && line.back() == '\r') line = line.first(line.size() - 1);
      if (!line.empty()) out.whole(line, {{}, time_ns, time_ns, line.size(), true});
      continue;
    }
    if (!line.empty()) {
      const bool cr = line.back() == '\r';
      if (cr) line = line.first(line.size() - 1);
      if (cr && line.empty() && pending_cr_) {
        static constexpr uint8_t kCr = '\r';
        pending_cr_ = false;
        emit({&kCr, 1}, time_ns, out);
      }
      emit(line, time_ns, out);
      pending_cr_ = cr;
    }
    if (found) end_line(true, time_ns, out);
  }
}

void NdjsonDecoder::gap(uint64_t time_ns, EventOutput& out) {
  end_line(false, time_ns, out);
  hunting_ = true;
}

void NdjsonDecoder::finish(bool complete, uint64_t time_ns, EventOutput& out) {
  if (!hunting_) end_line(complete, time_ns, out);
}

}  // namespace llmtap
