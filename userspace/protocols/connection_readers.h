// SPDX-License-Identifier: Apache-2.0
// One codec per connection: recognises the protocol, finds out which direction asks, and answers
// capture what the connection deserves.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "base/flat_map.h"
#include "base/stats.h"
#include "llmtap/limits.h"
#include "llmtap/message.h"
#include "llmtap/stream.h"
#include "llmtap/verdict.h"
#include "protocols/codec.h"

namespace llmtap {

// Books: bytes are those of chunks; lost are those that no exchange is made of ("not_read": another
// protocol, "muted": no LLM call among many exchanges, "resync": hunting for a head, "upgraded",
// "unrecognised"). Items are exchanges.
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

  // What llm/ says of an exchange on this connection. Passed on, unless the connection carries many at
  // once: such a one is wanted or muted as a whole, and looked at again.
  void exchange_verdict(uint64_t connection_id, Verdict);
  // Any connection is muted after a few exchanges without an LLM call, and looked at again after the
  // longest pause: less is read, and calls that come in between on such a one are not seen.
  void mute_sooner(bool sooner) { mute_sooner_ = sooner; }
  // Looks again at muted connections when their time has come.
  void on_clock(uint64_t monotonic_ns);

  const StageBooks& books() const { return books_; }
  const ProtocolCounters& counters() const { return counters_; }
  size_t decoder_bytes() const { return budget_.used(); }
  size_t open_connections() const { return readers_.size(); }
  // Connections open now by their last verdict and protocol: one of protocols(), "unknown" while
  // undecided, "other", or "upgraded" once HTTP/1 gave way to something else.
  using OpenCounts = std::map<std::pair<Verdict, std::string_view>, uint64_t>;
  const OpenCounts& open_counts() const { return open_counts_; }
  // Plain connections with neither end on one of these ports are not read. Empty: all are.
  void set_plain_ports(std::vector<uint16_t> ports) { plain_ports_ = std::move(ports); }

 private:
  struct Reader;

  Reader& reader(const ConnectionFacts&);
  void recognise(Reader&, Direction, const StreamChunk&);
  bool recognise_inside(Reader&, Direction, const StreamChunk&);
  void make_codec(Reader&, const struct Protocol&, Direction, bool asks);
  void feed(Reader&, Direction, const StreamChunk&);
  void hand_over(Reader&);
  void end_side(Reader&, Side, EndReason, uint64_t time_ns);
  void end_codec(Reader&, EndReason, uint64_t time_ns);
  void give_up(Reader&);
  void mute(Reader&, uint64_t time_ns);
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
  bool mute_sooner_ = false;
  FlatMap<uint64_t, Reader, IdHash> readers_;
  std::set<std::pair<uint64_t, uint64_t>> resamples_;  // when, connection
};

}  // namespace llmtap
