// SPDX-License-Identifier: Apache-2.0
#include "protocols/grpc_decoder.h"

#include <algorithm>

namespace llmtap {

bool GrpcDecoder::begin_message() {
  have_ = 0;
  // Bit 0: compressed. Bit 7 is grpc-web's: trailers. Nothing else is defined.
  if ((prefix_[0] & 0x7e) != 0) return false;
  trailers_ = (prefix_[0] & 0x80) != 0;
  compressed_ = (prefix_[0] & 1) != 0;
  left_ = static_cast<uint32_t>(prefix_[1]) << 24 |
          static_cast<uint32_t>(prefix_[2] << 16 | prefix_[3] << 8 | prefix_[4]);
  in_message_ = true;
  message_bytes_ = prefix_.size() + left_;
  cut_ = false;
  data_bytes_ = 0;
  first_byte_ns_ = 0;
  decoder_.reset();
  if (!compressed_ || trailers_) return true;
  if (coding_ == Coding::kIdentity || coding_ == Coding::kUnsupported) return false;
  decoder_ = ContentDecoder::make(coding_, *budget_);
  return decoder_ != nullptr;
}

bool GrpcDecoder::feed(std::span<const uint8_t> bytes, uint64_t time_ns, EventOutput& out) {
  while (!bytes.empty()) {
    if (!in_message_) {
      const size_t taken = std::min(prefix_.size() - have_, bytes.size());
      std::copy_n(bytes.begin(), taken, prefix_.begin() + static_cast<std::ptrdiff_t>(have_));
      have_ += taken;
      bytes = bytes.subspan(taken);
      if (have_ < prefix_.size()) return true;
      if (!begin_message()) return false;
    }
    const size_t used = std::min<size_t>(left_, bytes.size());
    left_ -= static_cast<uint32_t>(used);
    if (used > 0 && !cut_ && !trailers_ && !piece(bytes.first(used), time_ns, out)) return false;
    bytes = bytes.subspan(used);
    if (left_ == 0 && !end_message(time_ns, out)) return false;
  }
  return true;
}

bool GrpcDecoder::piece(std::span<const uint8_t> bytes, uint64_t time_ns, EventOutput& out) {
  if (data_bytes_ == 0 && first_byte_ns_ == 0) first_byte_ns_ = time_ns;
  const auto deliver = [&](std::span<const uint8_t> data) {
    data_bytes_ += data.size();
    out.data(data, time_ns);
  };
  if (!decoder_) {
    deliver(bytes);
    return true;
  }
  coded_bytes_ += bytes.size();
  return decoder_->decode(bytes, [&](std::span<const uint8_t> decoded) {
    decoded_bytes_ += decoded.size();
    if (decoded_bytes_ > limits_->decompress_floor_bytes &&
        decoded_bytes_ / limits_->decompress_ratio > coded_bytes_)
      return false;
    deliver(decoded);
    return true;
  });
}

bool GrpcDecoder::end_message(uint64_t time_ns, EventOutput& out) {
  in_message_ = false;
  if (left_ == 0) whole_bytes_ += message_bytes_;
  const bool damaged = decoder_ && !cut_ && !decoder_->at_end();
  decoder_.reset();
  if (!trailers_) out.end({{}, time_ns, first_byte_ns_, data_bytes_, !cut_ && !damaged});
  return !damaged;
}

bool GrpcDecoder::gap(uint64_t bytes, uint64_t time_ns, EventOutput& out) {
  if (in_message_ && bytes != 0 && bytes <= left_) {
    left_ -= static_cast<uint32_t>(bytes);
    cut_ = true;
    decoder_.reset();
    if (left_ == 0) end_message(time_ns, out);
    return true;
  }
  return false;
}

void GrpcDecoder::finish(uint64_t time_ns, EventOutput& out) {
  if (!in_message_) return;
  cut_ = true;
  end_message(time_ns, out);
}

}  // namespace llmtap
