// SPDX-License-Identifier: Apache-2.0
#include "protocols/websocket/llm_frame.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "protocols/websocket/message_peek.h"

namespace llmtap::websocket {
namespace {

constexpr size_t kMostRead = 512;
// Of these nothing else on a WebSocket speaks.
constexpr std::array<std::string_view, 8> kTypes{"response.create",
                                                 "response.created",
                                                 "response.output_text.delta",
                                                 "response.output_audio.delta",
                                                 "response.completed",
                                                 "response.done",
                                                 "input_audio_buffer.append",
                                                 "response.output_audio_transcript.delta"};

}  // namespace

FirstBytes llm_frame_in(std::string_view piece) {
  if (piece.size() < 8) return FirstBytes::kNo;
  const auto at = [piece](size_t i) { return static_cast<uint8_t>(piece[i]); };
  // A message's first frame, not compressed, text or binary.
  if ((at(0) & 0x7f) != 1 && (at(0) & 0x7f) != 2) return FirstBytes::kNo;
  const bool masked = (at(1) & 0x80) != 0;
  const size_t length = at(1) & 0x7f, extended = length == 126 ? 2 : length == 127 ? 8 : 0;
  const size_t key = 2 + extended, payload = key + (masked ? 4 : 0);
  if (piece.size() <= payload + 1) return FirstBytes::kNo;
  std::array<uint8_t, kMostRead> text;
  size_t size = std::min(piece.size() - payload, text.size());
  if (extended == 0) size = std::min(size, length);
  for (size_t i = 0; i < size; ++i)
    text[i] = static_cast<uint8_t>(at(payload + i) ^ (masked ? at(key + i % 4) : 0));
  MessagePeek peek;
  for (std::span<const uint8_t> rest(text.data(), size); !rest.empty();) rest = rest.subspan(peek.feed(rest));
  const bool live = peek.generated || peek.client_content || peek.realtime_input;
  if (!live && std::ranges::find(kTypes, peek.type) == kTypes.end()) return FirstBytes::kNo;
  return masked ? FirstBytes::kRequest : FirstBytes::kResponse;
}

}  // namespace llmtap::websocket
