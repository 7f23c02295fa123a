// SPDX-License-Identifier: Apache-2.0
// HTTP/2: streams of events, many at once on a connection, and gRPC.
#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "base/check.h"
#include "bench/dialects.h"
#include "bench/event_writer.h"
#include "bench/interleaved_calls.h"
#include "bench/traffic.h"

namespace llmtap::bench {
namespace {

constexpr uint8_t kData = 0, kHeaders = 1, kSettings = 4, kEndStream = 1, kEndHeaders = 4;
constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

std::string frame(uint8_t type, unsigned flags, uint32_t stream, std::string_view payload) {
  std::string bytes;
  for (const int shift : {16, 8, 0}) bytes.push_back(static_cast<char>(payload.size() >> shift & 0xff));
  bytes.push_back(static_cast<char>(type));
  bytes.push_back(static_cast<char>(flags));
  for (const int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<char>(stream >> shift & 0xff));
  return bytes.append(payload);
}

// RFC 7541 6.2.2: without an index, nor Huffman's code.
void add_field(std::string& block, std::string_view name, std::string_view value) {
  LLMTAP_CHECK(name.size() < 127 && value.size() < 127);
  block.push_back('\0');
  block.append(1, static_cast<char>(name.size())).append(name);
  block.append(1, static_cast<char>(value.size())).append(value);
}

std::string request_block(std::string_view host, std::string_view path, std::string_view type) {
  std::string block;
  add_field(block, ":method", "POST");
  add_field(block, ":scheme", "https");
  add_field(block, ":authority", host);
  add_field(block, ":path", path);
  add_field(block, "content-type", type);
  return block;
}

std::string reply_block(std::string_view type) {
  std::string block;
  add_field(block, ":status", "200");
  add_field(block, "content-type", type);
  return block;
}

void open_connections(EventWriter& writer, uint32_t connections) {
  for (uint32_t i = 1; i <= connections; ++i) {
    writer.open(i);
    writer.write(i, std::string(kPreface) + frame(kSettings, 0, 0, ""), true);
    writer.read(i, frame(kSettings, 0, 0, ""), true);
  }
}

}  // namespace

Traffic http2_traffic(std::string_view name, uint32_t connections, uint32_t streams, uint32_t events_per_call,
                      uint64_t target_bytes) {
  const auto dialects = stream_dialects();
  const auto dialect = std::ranges::find(dialects, name, &StreamDialect::name);
  LLMTAP_CHECK(dialect != dialects.end());
  Traffic traffic;
  traffic.records.reserve(target_bytes / 4);
  EventWriter writer(traffic);
  open_connections(writer, connections);
  std::mt19937 random(3);
  std::vector<uint32_t> order(size_t{connections} * streams);
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  for (uint32_t first = 1; traffic.body_bytes < target_bytes; first += 2 * streams) {
    const auto connection = [&](uint32_t i) { return i / streams + 1; };
    const auto stream = [&](uint32_t i) { return first + 2 * (i % streams); };
    const auto send = [&](uint32_t i, std::string_view data, bool last) {
      writer.read(connection(i), frame(kData, last ? kEndStream : 0, stream(i), data), false);
      traffic.body_bytes += data.size();
      traffic.events++;
      writer.tick(300);
    };
    const auto ask = [&](uint32_t i) {
      writer.write(connection(i),
                   frame(kHeaders, kEndHeaders, stream(i),
                         request_block(dialect->host, dialect->target, "application/json")) +
                       frame(kData, kEndStream, stream(i), dialect->request_body),
                   true);
      traffic.body_bytes += dialect->request_body.size();
      writer.tick(20'000);
      writer.read(connection(i), frame(kHeaders, kEndHeaders, stream(i), reply_block(dialect->content_type)),
                  true);
    };
    interleaved_calls(traffic, *dialect, events_per_call, order, random, ask, send);
  }
  for (uint32_t i = 1; i <= connections; ++i) writer.close(i);
  return traffic;
}

Traffic grpc_traffic(uint32_t connections, size_t message_bytes, uint64_t target_bytes) {
  static constexpr std::string_view kType = "application/grpc+proto";
  LLMTAP_CHECK(message_bytes < 16'000);
  Traffic traffic;
  traffic.llm = false;
  traffic.records.reserve(target_bytes / 4);
  EventWriter writer(traffic);
  open_connections(writer, connections);
  std::string message(5, '\0');
  message[3] = static_cast<char>(message_bytes >> 8);
  message[4] = static_cast<char>(message_bytes & 0xff);
  message.append(message_bytes, 'm');
  for (uint32_t i = 1; i <= connections; ++i) {
    writer.write(
        i,
        frame(kHeaders, kEndHeaders, 1, request_block("inference.example", "/bench.Model/Stream", kType)) +
            frame(kData, kEndStream, 1, message),
        true);
    writer.read(i, frame(kHeaders, kEndHeaders, 1, reply_block(kType)), true);
    traffic.events++;
    traffic.body_bytes += message.size();
  }
  while (traffic.body_bytes < target_bytes)
    for (uint32_t i = 1; i <= connections; ++i) {
      writer.read(i, frame(kData, 0, 1, message), false);
      traffic.events++;
      traffic.body_bytes += message.size();
      writer.tick(300);
    }
  for (uint32_t i = 1; i <= connections; ++i) {
    writer.read(i, frame(kData, kEndStream, 1, ""), false);
    writer.close(i);
  }
  return traffic;
}

}  // namespace llmtap::bench
