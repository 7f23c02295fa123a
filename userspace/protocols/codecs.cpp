// SPDX-License-Identifier: Apache-2.0
#include "protocols/codecs.h"

#include <algorithm>
#include <array>

#include "base/ascii.h"
#include "protocols/http1/http1_codec.h"
#include "protocols/http2/http2_codec.h"
#include "protocols/websocket/llm_frame.h"
#include "protocols/websocket/websocket_codec.h"

namespace llmtap {
namespace {

FirstBytes recognise_http1(std::string_view bytes) {
  using http1::Match;
  const Match request = http1::match_request_start(bytes);
  const Match response = http1::match_response_start(bytes);
  if (request == Match::kYes) return FirstBytes::kRequest;
  if (response == Match::kYes) return FirstBytes::kResponse;
  return request == Match::kMore || response == Match::kMore ? FirstBytes::kMore : FirstBytes::kNo;
}

// RFC 9113 3.4: the client begins with the preface, the server with a SETTINGS frame.
FirstBytes recognise_http2(std::string_view bytes) {
  static constexpr std::string_view kPreface = http2::kConnectionPreface;
  const size_t n = std::min(bytes.size(), kPreface.size());
  if (bytes.substr(0, n) == kPreface.substr(0, n))
    return n == kPreface.size() ? FirstBytes::kRequest : FirstBytes::kMore;
  // 24-bit length, a multiple of 6; type 4; flags 0; stream 0.
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
  if (byte(0) != 0 || (bytes.size() > 1 && byte(1) > 1)) return FirstBytes::kNo;
  if (bytes.size() > 2 && (byte(1) << 8 | byte(2)) % 6 != 0) return FirstBytes::kNo;
  if (bytes.size() > 3 && byte(3) != 4) return FirstBytes::kNo;
  for (size_t i = 4; i < std::min<size_t>(bytes.size(), 9); ++i)
    if (byte(i) != 0) return FirstBytes::kNo;
  return bytes.size() >= 9 ? FirstBytes::kResponse : FirstBytes::kMore;
}

// Who sends this header block, by its first field, when that refers to the static table: heads begin
// with pseudo-header fields (RFC 9113 8.3).
FirstBytes sender_of_block(uint8_t first) {
  const unsigned index = first & 0x80 ? first & 0x7f : first & 0x40 ? first & 0x3f : first & 0x0f;
  if (index >= 1 && index <= 7) return FirstBytes::kRequest;
  return index >= 8 && index <= 14 ? FirstBytes::kResponse : FirstBytes::kEither;
}

FirstBytes recognise_http2_inside(std::string_view piece) {
  using namespace http2;
  std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(piece.data()), piece.size());
  if (!begins_with_frames(bytes, kDefaultFrameBytes)) return FirstBytes::kNo;
  while (bytes.size() >= kFrameHeaderBytes) {
    const FrameHeader frame = parse_frame_header(bytes.data());
    const size_t content = kFrameHeaderBytes + prefix_bytes(frame);
    if (frame.type == FrameType::kPushPromise) return FirstBytes::kResponse;
    if (frame.type == FrameType::kHeaders && content < bytes.size()) {
      const FirstBytes sender = sender_of_block(bytes[content]);
      if (sender != FirstBytes::kEither) return sender;
    }
    bytes = bytes.subspan(std::min(bytes.size(), kFrameHeaderBytes + frame.length));
  }
  return FirstBytes::kEither;
}

std::unique_ptr<Codec> make_http1(CodecContext& context) {
  return std::make_unique<http1::Http1Codec>(context);
}
std::unique_ptr<Codec> make_http2(CodecContext& context) {
  return std::make_unique<http2::Http2Codec>(context);
}

constexpr Protocol kHttp2{.name = "http2",
                          .recognise = recognise_http2,
                          .recognise_inside = recognise_http2_inside,
                          .make = make_http2,
                          .connections = &ProtocolCounters::http2_connections,
                          .upgrade = "h2c",
                          .multiplexed = true};
constexpr Protocol kHttp1{.name = "http1",
                          .recognise = recognise_http1,
                          .recognise_inside = nullptr,
                          .make = make_http1,
                          .connections = &ProtocolCounters::http1_connections,
                          .upgrade = {},
                          .multiplexed = false};
constexpr Protocol kWebSocket{.name = "websocket",
                              .recognise = [](std::string_view) { return FirstBytes::kNo; },
                              .recognise_inside = websocket::llm_frame_in,
                              .make = [](CodecContext& context) -> std::unique_ptr<Codec> {
                                return std::make_unique<websocket::WebSocketCodec>(
                                    context, context.handover && context.handover->websocket
                                                 ? context.handover->websocket
                                                 : std::make_shared<WebSocketUpgrade>());
                              },
                              .connections = &ProtocolCounters::websocket_connections,
                              .upgrade = {},
                              .multiplexed = true};
constexpr std::array<const Protocol*, 3> kProtocols{&kHttp2, &kWebSocket, &kHttp1};

}  // namespace

const Protocol& websocket_protocol() { return kWebSocket; }

std::span<const Protocol* const> protocols() { return kProtocols; }

const Protocol* protocol_by_upgrade(std::string_view token) {
  for (const Protocol* protocol : kProtocols)
    if (!protocol->upgrade.empty() && iequals(protocol->upgrade, token)) return protocol;
  return nullptr;
}

}  // namespace llmtap
