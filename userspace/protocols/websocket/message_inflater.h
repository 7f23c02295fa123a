// SPDX-License-Identifier: Apache-2.0
// permessage-deflate of one direction (RFC 7692 7.2.2): raw deflate, each message without the last four
// bytes of its flush; the window lasts from message to message unless that was negotiated away.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <functional>
#include <span>

#include "llmtap/limits.h"
#include "protocols/decoder_budget.h"

namespace llmtap::websocket {

class MessageInflater {
 public:
  using Output = std::function<void(std::span<const uint8_t>)>;

  MessageInflater(bool keeps_context, const Limits& limits, DecoderBudget& budget);
  ~MessageInflater();
  MessageInflater(const MessageInflater&) = delete;
  MessageInflater& operator=(const MessageInflater&) = delete;

  // False: damaged, over a bound, or behind a loss. The rest of the message is not read, nor what
  // depends on it.
  bool feed(std::span<const uint8_t> bytes, const Output& output);
  bool end_message(const Output& output);
  // The rest of this message is missing.
  void lose();
  bool keeps_context() const { return keeps_context_; }

 private:
  bool fail();
  void forget();

  bool keeps_context_;
  const Limits* limits_;
  z_stream stream_{};
  bool open_ = false, lost_ = false;
  uint64_t in_bytes_ = 0, out_bytes_ = 0;  // of the message
};

}  // namespace llmtap::websocket
