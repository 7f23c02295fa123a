// SPDX-License-Identifier: Apache-2.0
// One codec per connection: recognises the protocol, finds out which direction asks, and answers
// capture what the connection deserves.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

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
  // Connections open now by their last verdict and protocol: one of protocols(), "unknown" while
  // undecided, "other", or "upgraded" once HTTP/1 gave way to something else.
  using OpenCounts = std::map<std::pair<Verdict, std::string_view>, uint64_t>;
  const OpenCounts& open_counts() const { return open_counts_; }
  // A verdict that was given elsewhere.
  void on_verdict(uint64_t connection_id, Verdict);
  // Plain connections with neither end on one of these ports are not read. Empty: all are.
  void set_plain_ports(std::vector<uint16_t> ports) { plain_ports_ = std::move(ports); }

 private:
  struct Reader;

  Reader& reader(const ConnectionFacts&);
  void recognise(Reader&, Direction, const StreamChunk&);
  void make_codec(Reader&, const struct Protocol&, Direction, bool asks);
  void feed(Reader&, Direction, const StreamChunk&);
  void give_up(Reader&);
  void set_verdict(Reader&, Verdict);
  void place(Reader&, Verdict, std::string_view protocol);
  bool reads_port(const ConnectionFacts&) const;

  const Limits limits_;
  MessageSink& sink_;
  VerdictSink& verdicts_;
  DecoderBudget budget_;
  ProtocolCounters counters_;
  StageBooks books_;
  OpenCounts open_counts_;
  std::vector<uint16_t> plain_ports_;
  std::unordered_map<uint64_t, std::unique_ptr<Reader>> readers_;
};

}  // namespace llmtap
