// SPDX-License-Identifier: Apache-2.0
// The Responses API on WebSockets: calls one after the other on each of many connections.
#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <deque>
#include <random>

#include "base/check.h"
#include "bench/dialects.h"
#include "bench/event_writer.h"
#include "bench/interleaved_calls.h"
#include "bench/traffic.h"

namespace llmtap::bench {
namespace {

std::string frame(std::string_view text, bool masked, bool deflated = false) {
  static constexpr std::string_view kKey = "\x37\xfa\x21\x3d";
  LLMTAP_CHECK(text.size() < 65536);
  std::string bytes = deflated ? "\xc1" : "\x81";
  const unsigned mask = masked ? 0x80 : 0;
  if (text.size() < 126) {
    bytes.push_back(static_cast<char>(mask | text.size()));
  } else {
    bytes.push_back(static_cast<char>(mask | 126));
    bytes.push_back(static_cast<char>(text.size() >> 8));
    bytes.push_back(static_cast<char>(text.size() & 0xff));
  }
  if (masked) bytes.append(kKey);
  for (size_t i = 0; i < text.size(); ++i)
    bytes.push_back(masked ? static_cast<char>(text[i] ^ kKey[i % 4]) : text[i]);
  return bytes;
}

// The data of one SSE event.
std::string_view data_of(std::string_view event) {
  event.remove_prefix(event.find("data: ") + 6);
  return event.substr(0, event.find('\n'));
}

// RFC 7692 7.2.1, the window kept from message to message.
class MessageDeflater {
 public:
  MessageDeflater() {
    LLMTAP_CHECK(deflateInit2(&stream_, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  }
  ~MessageDeflater() { deflateEnd(&stream_); }
  MessageDeflater(const MessageDeflater&) = delete;
  MessageDeflater& operator=(const MessageDeflater&) = delete;
  std::string message(std::string_view text) {
    std::string out(text.size() + 1024, '\0');
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream_.avail_in = static_cast<uInt>(text.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(out.size());
    LLMTAP_CHECK(deflate(&stream_, Z_SYNC_FLUSH) == Z_OK && stream_.avail_in == 0);
    out.resize(out.size() - stream_.avail_out - 4);
    return out;
  }

 private:
  z_stream stream_{};
};

}  // namespace

Traffic websocket_traffic(uint32_t streams, uint32_t events_per_call, Deflate deflate,
                          uint64_t target_bytes) {
  const bool deflated = deflate == Deflate::kYes;
  const auto dialects = stream_dialects();
  const auto dialect = std::ranges::find(dialects, "openai_responses", &StreamDialect::name);
  LLMTAP_CHECK(dialect != dialects.end());
  Traffic traffic;
  traffic.records.reserve(target_bytes / 4);
  EventWriter writer(traffic);
  std::mt19937 random(3);
  std::vector<uint32_t> order(streams);
  for (uint32_t i = 0; i < streams; ++i) {
    order[i] = i;
    writer.open(i + 1);
    writer.write(i + 1,
                 fmt::format("GET /v1/responses HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: "
                             "websocket\r\n{}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAA\r\n\r\n",
                             dialect->host, dialect->headers),
                 true);
    writer.read(
        i + 1,
        fmt::format("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{}\r\n",
                    deflated ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : ""),
        true);
  }
  const std::string ask =
      frame(R"({"type":"response.create","model":"gpt-5-mini","input":"Tell me of the sea."})", true);
  std::deque<MessageDeflater> deflaters(deflated ? streams : 0);
  while (traffic.body_bytes < target_bytes) {
    const auto send = [&](uint32_t stream, std::string_view data, bool) {
      if (deflated)
        writer.read(stream + 1, frame(deflaters[stream].message(data_of(data)), false, true), false);
      else
        writer.read(stream + 1, frame(data_of(data), false), false);
      traffic.body_bytes += data_of(data).size();
      traffic.events++;
      writer.tick(300);
    };
    const auto ask_on = [&](uint32_t stream) {
      writer.write(stream + 1, ask, true);
      writer.tick(20'000);
    };
    interleaved_calls(traffic, *dialect, events_per_call, order, random, ask_on, send);
  }
  for (uint32_t i = 0; i < streams; ++i) writer.close(i + 1);
  return traffic;
}

}  // namespace llmtap::bench
