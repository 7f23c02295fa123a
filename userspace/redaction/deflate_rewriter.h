// SPDX-License-Identifier: Apache-2.0
// Messages of permessage-deflate (RFC 7692) of one direction of a WebSocket: decompressed, redacted, and
// compressed again into exactly as many bytes as there were, so that frames, offsets and sizes stay.
//
// Filler compresses better than what it stands for. What is left over is filled with empty blocks, and where
// blocks of ten bits cannot fill it with one blank behind the message's text, or a longer table of codes. A
// piece may end anywhere: the bits that it has no room for come in the next. A message that does not fit all
// the same is not kept.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "llmtap/limits.h"
#include "protocols/websocket/message_inflater.h"
#include "redaction/bit_queue.h"
#include "redaction/memory_budget.h"
#include "redaction/message_redactor.h"

namespace llmtap {

class DeflateRewriter {
 public:
  // `budgets` outlive it.
  explicit DeflateRewriter(RecordingBudgets& budgets);

  void begin_message();
  // A piece of the message's payload, unmasked, in place. `last`: the message ends with it. `keeps_context`:
  // who reads what is written keeps its window from message to message. False: the piece is of no use but its
  // length, and so is what depends on it.
  bool rewrite(std::span<uint8_t> piece, bool last, bool keeps_context);

 private:
  struct Attempt;

  void text(std::span<const uint8_t> plain);
  void compress(const Attempt&, std::string_view text, BitQueue& out) const;
  void compress_now();
  bool finish(std::span<uint8_t> piece);
  bool overwrite_event_id();
  void remember(std::string_view text);
  bool keep();
  bool lose();

  MemoryShare memory_;
  websocket::MessageInflater inflater_;
  MessageRedactor redactor_;
  std::string text_;    // redacted, not yet compressed
  std::string window_;  // what was compressed before
  BitQueue bits_;
  size_t most_bits_ = 0;       // of it
  bool lost_ = false;          // for good
  bool message_lost_ = false;  // this one
};

}  // namespace llmtap
