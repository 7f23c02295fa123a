// SPDX-License-Identifier: Apache-2.0
// gRPC's length-prefixed messages (gRPC over HTTP/2, "Length-Prefixed-Message"): one event each, each
// decompressed by itself. Data is passed on in pieces and never kept.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "llmtap/limits.h"
#include "protocols/content_decoder.h"
#include "protocols/event_output.h"

namespace llmtap {

class GrpcDecoder {
 public:
  GrpcDecoder(Coding coding, const Limits& limits, DecoderBudget& budget)
      : coding_(coding), limits_(&limits), budget_(&budget) {}

  // False: damaged, or its coding cannot be removed; nothing more may be fed.
  bool feed(std::span<const uint8_t> bytes, uint64_t time_ns, EventOutput& out);
  // Bytes were lost here. False: the next message cannot be found.
  bool gap(uint64_t bytes, uint64_t time_ns, EventOutput& out);
  // Of the body, up to the end of its last whole message.
  uint64_t whole_bytes() const { return whole_bytes_; }
  // The body is over: a message that it is in is incomplete.
  void finish(uint64_t time_ns, EventOutput& out);

 private:
  bool begin_message();
  bool piece(std::span<const uint8_t> bytes, uint64_t time_ns, EventOutput& out);
  bool end_message(uint64_t time_ns, EventOutput& out);

  Coding coding_;
  const Limits* limits_;
  DecoderBudget* budget_;
  std::array<uint8_t, 5> prefix_{};  // compressed flag, length
  size_t have_ = 0;
  bool in_message_ = false, compressed_ = false;
  bool cut_ = false;       // bytes of the message were lost
  bool trailers_ = false;  // grpc-web carries them as a last frame
  uint32_t left_ = 0;
  std::unique_ptr<ContentDecoder> decoder_;
  uint64_t data_bytes_ = 0, first_byte_ns_ = 0;
  uint64_t message_bytes_ = 0, whole_bytes_ = 0;
  uint64_t coded_bytes_ = 0, decoded_bytes_ = 0;  // of the whole body
};

}  // namespace llmtap
