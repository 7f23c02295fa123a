// SPDX-License-Identifier: Apache-2.0
// Recorded traffic made up: the events of clients that call models, as capture delivers them, with
// what must come out of them. The same bytes in every run.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "llmtap/events.h"

namespace llmtap::bench {

enum class Coding : uint8_t { kNone, kGzip, kBrotli, kZstd };

struct Expected {
  uint64_t calls = 0, chunks = 0, input_tokens = 0, output_tokens = 0;
  bool operator==(const Expected&) const = default;
};

// One piece of a coded body as its sender flushed it, for the bare library.
struct CodedPiece {
  uint32_t body = 0;
  size_t begin = 0, size = 0;  // in Traffic::coded_bytes
};

struct Traffic {
  std::vector<uint64_t> records;  // as in an event file, without its header
  uint64_t wire_bytes = 0;        // payload of the records
  uint64_t body_bytes = 0;        // of requests and replies, codings removed
  uint64_t events = 0;            // SSE events, NDJSON lines, frames, messages
  Expected expected;
  Coding coding = Coding::kNone;
  uint32_t coded_bodies = 0;
  std::vector<CodedPiece> pieces;
  std::string coded_bytes;

  bool llm = true;  // or without a call in it: read by streams and protocols alone

  template <typename Visit>
  void for_each(Visit&& visit) const {
    for (size_t at = 0; at < records.size();) {
      const auto& event = *reinterpret_cast<const llmtap_event_hdr*>(&records[at]);
      visit(event);
      at += (event.size + 7) / 8;
    }
  }
};

// Streams of events, one event per record, `streams` connections interleaved at random.
struct StreamKind {
  std::string_view dialect;  // a name of stream_dialects()
  uint32_t streams = 64;
  uint32_t events_per_call = 500;
  Coding coding = Coding::kNone;
};
Traffic stream_traffic(const StreamKind& kind, uint64_t target_bytes);

// The same on WebSockets, an event a frame.
enum class Deflate : bool { kNo, kYes };
Traffic websocket_traffic(uint32_t streams, uint32_t events_per_call, Deflate deflate, uint64_t target_bytes);

// The same on HTTP/2, `streams` at once on each of `connections`, an event a DATA frame.
Traffic http2_traffic(std::string_view dialect, uint32_t connections, uint32_t streams,
                      uint32_t events_per_call, uint64_t target_bytes);

// gRPC: one endless reply on each of `connections`, a message of `message_bytes` a DATA frame.
Traffic grpc_traffic(uint32_t connections, size_t message_bytes, uint64_t target_bytes);

enum class BodyKind : uint8_t {
  kAgentRequests,  // 64 KiB conversations with tools and tool results, short replies
  kImageRequests,  // 1 MiB, nearly all of it one base64 image
  kReplies,        // 64 KiB replies in reads of 16 KiB
};
Traffic body_traffic(BodyKind kind, Coding coding, uint64_t target_bytes);

// A stream's opening, then `streams` connections left open in the middle of it.
Traffic open_streams(uint32_t streams);

}  // namespace llmtap::bench
