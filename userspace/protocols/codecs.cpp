// SPDX-License-Identifier: Apache-2.0
#include "protocols/codecs.h"

#include <algorithm>
#include <array>

#include "protocols/http1/http1_codec.h"

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
  static constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
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

std::unique_ptr<Codec> make_http1(CodecContext& context) {
  return std::make_unique<http1::Http1Codec>(context);
}

constexpr Protocol kHttp2{"http2", recognise_http2, nullptr, &ProtocolCounters::http2_connections,
                          &ProtocolCounters::http2_not_read};
constexpr Protocol kHttp1{"http1", recognise_http1, make_http1, &ProtocolCounters::http1_connections,
                          nullptr};
constexpr std::array<const Protocol*, 2> kProtocols{&kHttp2, &kHttp1};

}  // namespace

std::span<const Protocol* const> protocols() { return kProtocols; }

}  // namespace llmtap
