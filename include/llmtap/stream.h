// SPDX-License-Identifier: Apache-2.0
// One ordered byte stream per connection and direction, gaps known. Made by streams/, read by
// protocols/.
#pragma once

#include <cstdint>
#include <span>

#include "llmtap/facts.h"

namespace llmtap {

// As the observed process sees it.
enum class Direction : uint8_t { kRead = LLMTAP_READ, kWrite = LLMTAP_WRITE };

// As the protocol sees it: who asks and who answers.
enum class Side : uint8_t { kRequest = 0, kResponse = 1 };

struct StreamChunk {
  std::span<const uint8_t> bytes;  // valid during the call only
  uint64_t offset = 0;             // of bytes[0] in the direction's stream
  // When the bytes moved: return of the call for reads, entry for writes (D2). Monotonic.
  uint64_t time_ns = 0;
};

enum class EndReason : uint8_t {
  kClosed,       // by this process, or the TLS object was freed
  kPeerClosed,   // end of file read
  kReset,        // connection reset, broken pipe
  kProcessExit,  // the process ended with the connection open
  kEvicted,      // we gave up on it (idle bound, table full): counted
  kNotSeen,      // found gone after events were lost: when and how it ended is not known
};

// What streams/ delivers, in the order of events. A connection is opened once, before its first
// byte; facts may be updated later; ended once.
class StreamSink {
 public:
  virtual ~StreamSink() = default;
  virtual void on_open(const ConnectionFacts&) = 0;
  virtual void on_facts(const ConnectionFacts&) = 0;  // something became known
  virtual void on_chunk(const ConnectionFacts&, Direction, const StreamChunk&) = 0;
  // `bytes` of this direction passed and were not captured; 0: an unknown number.
  virtual void on_gap(const ConnectionFacts&, Direction, uint64_t bytes, uint64_t time_ns) = 0;
  // This direction is over (half close), the other may go on.
  virtual void on_direction_end(const ConnectionFacts&, Direction, EndReason, uint64_t time_ns) = 0;
  virtual void on_end(const ConnectionFacts&, EndReason, uint64_t time_ns) = 0;
};

}  // namespace llmtap
