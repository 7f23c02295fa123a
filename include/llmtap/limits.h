// SPDX-License-Identifier: Apache-2.0
// Every bound of the program in one place: what grows, what happens at the cap, which counter moves.
#pragma once

#include <cstddef>
#include <cstdint>

namespace llmtap {

struct Limits {
  // streams/: open connections tracked. At the cap the longest idle one is ended (kEvicted), counted.
  size_t connections = 200'000;
  // Processes whose facts are kept, and of them those that have ended. At the cap the oldest go.
  size_t processes = 65'536;
  size_t ended_processes = 1024;
  // One ClientHello kept until it is whole. Longer: its server name is not read.
  size_t client_hello_bytes = 16 * 1024;

  // protocols/: one head (start line and fields). Longer: the exchange is a parse error, its body is
  // skipped by its framing, Defect::kParseError.
  size_t head_bytes = 256 * 1024;
  size_t header_fields = 512;
  // Requests waiting for their reply on one connection (pipelining). More: parse error, resync.
  size_t pipelined_requests = 256;
  // HTTP/2, per connection: streams that are open. At the cap the oldest is ended as lost, counted.
  size_t http2_streams = 10'000;
  // HTTP/2, per direction: the header table. Entries beyond it are unknown, and so fields that refer to
  // them, counted.
  size_t http2_table_bytes = 64 * 1024;
  // A stream that may have ended in a gap, and of which nothing came since, is ended as lost.
  uint64_t http2_doubt_ns = 600'000'000'000;
  // A connection that carries many exchanges is muted when this many of them ended, or began, without
  // one LLM call; looked at again after a time that doubles from the first to the last of these.
  size_t mute_after_exchanges = 32;
  uint64_t resample_first_ns = 1'000'000'000, resample_last_ns = 30'000'000'000;
  // One SSE field name or `event:` value, one line's prefix. Data is passed on, never kept.
  size_t sse_name_bytes = 4096;
  // All content decoders together (windows and scratch). Over it a new stream is not decoded:
  // Defect::kDecompressError.
  size_t decoder_bytes = 64 << 20;
  // A decompression bomb: output beyond `ratio` times the input, once more than `floor` came out.
  // deflate cannot exceed 1032:1 (a match of 258 bytes costs two bits): below it, or gzip is never stopped.
  size_t decompress_ratio = 400;
  size_t decompress_floor_bytes = 16 << 20;

  // redaction/: what the redactors of a recording keep, all connections together, but for what inflates (that
  // is decoder_bytes). Over it what is new is a gap in the recording: a connection, a body, a message, or the
  // rest of a direction.
  size_t redaction_bytes = 64 << 20;

  // llm/: nesting that the JSON scanner follows; deeper: the rest of that value is skipped.
  size_t json_depth = 256;
  // A captured string value (model, id, finish reason…): longer ones are cut.
  size_t json_string_bytes = 1024;
  // Open LLM calls. At the cap new ones are not made, counted.
  size_t open_calls = 100'000;
  size_t tool_calls_per_call = 64;  // names kept; the count goes on
  size_t finish_reasons_per_call = 16;
  // Workloads whose role is remembered. More: role by the call at hand, counted.
  size_t workloads = 10'000;

  // sinks/: see seed metric set: label caps.
  size_t models_per_workload = 200;
  size_t routes_per_workload = 200;
  size_t endpoints_per_workload = 100;
  size_t tools_per_workload = 50;
  size_t series = 50'000;
  size_t export_queue = 4096;  // finished calls waiting for one sink; full: dropped, counted
  size_t recent_calls = 1000;  // kept for `llmtap calls`
};

}  // namespace llmtap
