// SPDX-License-Identifier: Apache-2.0
// One codec per connection: recognises the protocol, finds out which direction asks, and answers
// capture what the connection deserves.
#pragma once

#include <cstdint>
#include <memory>

#include "base/flat_map.h"
#include "base/stats.h"
#include "llmtap/limits.h"
#include "llmtap/message.h"
#include "llmtap/stream.h"
#include "llmtap/verdict.h"
#include "protocols/codec.h"

namespace llmtap {

// Books: bytes are those of chunks; lost are those that no exchange is made of ("not_read": another
// protocol, "resync": hunting for a head, "upgraded", "unrecognised"). Items are exchanges.
class ConnectionReaders : public StreamSink {
 public:
  ConnectionReaders(const Limits& limits, MessageSink& sink, VerdictSink& verdicts);
  ~ConnectionReaders() override;
  ConnectionReaders(const ConnectionReaders&) = delete;
  ConnectionReaders& operator=(const ConnectionReaders&) = delete;

  void on_open(const ConnectionFacts&) override;
  void on_facts(const ConnectionFacts&) override;
  void on_chunk(const ConnectionFacts&, Direction, const StreamChunk&) override;
  void on_gap(const ConnectionFacts&, Direction, uint64_t bytes, uint64_t time_ns) override;
  void on_direction_end(const ConnectionFacts&, Direction, EndReason, uint64_t time_ns) override;
  void on_end(const ConnectionFacts&, EndReason, uint64_t time_ns) override;

  const StageBooks& books() const { return books_; }
  const ProtocolCounters& counters() const { return counters_; }
  size_t decoder_bytes() const { return budget_.used(); }
  size_t open_connections() const { return readers_.size(); }

 private:
  struct Reader;

  Reader& reader(const ConnectionFacts&);
  void recognise(Reader&, Direction, const StreamChunk&);
  void make_codec(Reader&, const struct Protocol&, Direction, bool asks);
  void feed(Reader&, Direction, const StreamChunk&);
  void give_up(Reader&);
  void set_verdict(Reader&, Verdict);

  const Limits limits_;
  MessageSink& sink_;
  VerdictSink& verdicts_;
  DecoderBudget budget_;
  ProtocolCounters counters_;
  StageBooks books_;
  FlatMap<uint64_t, Reader, IdHash> readers_;
};

}  // namespace llmtap
