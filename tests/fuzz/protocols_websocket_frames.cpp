// SPDX-License-Identifier: Apache-2.0
// First byte: bit 0 masked, bits 1 and 2 permessage-deflate; second: how it is cut; third: where bytes are
// lost. Oracle: a parser of the whole buffer, as RFC 6455 5.2 is written, and zlib on whole messages give
// the same; of what comes behind a loss nothing is promised but that it ends.
#include <zlib.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "base/check.h"
#include "protocols/websocket/frame_reader.h"
#include "protocols/websocket/message_inflater.h"

namespace {

using namespace llmtap;
using websocket::Frame;
using websocket::FrameReader;
using websocket::MessageInflater;

constexpr size_t kMaxOutput = 1 << 20;

struct Seen {
  unsigned opcode = 0;
  bool final = false, compressed = false, ended = false;
  std::string payload;
  bool operator==(const Seen&) const = default;
};

struct Read {
  std::vector<Seen> frames;
  bool good = true;
  bool operator==(const Read&) const = default;
};

class Collected : public websocket::FrameListener {
 public:
  std::vector<Seen> frames;
  void on_frame(const Frame& f, uint64_t) override {
    frames.push_back({static_cast<unsigned>(f.opcode), f.final, f.compressed, false, {}});
  }
  void on_payload(std::span<const uint8_t> bytes, uint64_t) override {
    frames.back().payload.append(bytes.begin(), bytes.end());
  }
  void on_payload_gap(uint64_t) override {}
  void on_frame_end(uint64_t) override { frames.back().ended = true; }
  void on_lost(uint64_t) override {}
};

Read read(std::span<const uint8_t> input, bool masked, FrameReader::Deflate deflate, size_t step,
          size_t gap_at = SIZE_MAX) {
  Collected collected;
  FrameReader reader(masked, deflate, collected);
  Read result;
  const auto feed = [&](std::span<const uint8_t> bytes) {
    for (size_t at = 0; at < bytes.size() && result.good; at += step) {
      const auto part = bytes.subspan(at, std::min(step, bytes.size() - at));
      const std::vector<uint8_t> piece(part.begin(), part.end());
      result.good = reader.feed(piece, 1);
    }
  };
  feed(input.first(std::min(gap_at, input.size())));
  if (gap_at < input.size() && result.good) {
    const size_t lost = std::min<size_t>(5, input.size() - gap_at);
    reader.gap(lost, 1);
    feed(input.subspan(gap_at + lost));
  }
  result.frames = std::move(collected.frames);
  return result;
}

Read by_the_standard(std::span<const uint8_t> in, bool masked, bool deflate) {
  Read result;
  while (true) {
    if (in.size() < 2) return result;
    const bool final = in[0] >> 7, rsv1 = in[0] >> 6 & 1, mask = in[1] >> 7;
    const unsigned opcode = in[0] & 15;
    uint64_t length = in[1] & 127;
    size_t at = 2;
    const size_t header = 2 + (length == 126 ? 2 : length == 127 ? 8 : 0) + (mask ? 4 : 0);
    if (in.size() < header) return result;
    if (length >= 126) {
      const bool two = length == 126;
      length = 0;
      for (size_t n = two ? 2 : 8; n > 0; --n) length = length << 8 | in[at++];
      // The shortest form, and below the bound that FrameReader has.
      if (length < (two ? 126u : 65536u) || length > 1u << 30) result.good = false;
    }
    const bool control = opcode >= 8;
    if ((in[0] & 0x30) != 0 || (opcode >= 3 && opcode <= 7) || opcode >= 11 || mask != masked ||
        (control && (!final || length > 125)) || (rsv1 && (!deflate || opcode == 0 || control)))
      result.good = false;
    if (!result.good) return result;
    Seen frame{opcode, final, rsv1, length <= in.size() - header, {}};
    for (size_t i = 0; i < std::min<uint64_t>(length, in.size() - header); ++i)
      frame.payload.push_back(static_cast<char>(in[header + i] ^ (mask ? in[at + i % 4] : 0)));
    result.frames.push_back(frame);
    if (!frame.ended) return result;
    in = in.subspan(header + length);
  }
}

// The payloads of messages, in pieces.
std::optional<std::string> inflate_pieces(const std::vector<std::string>& messages, bool keeps, size_t step) {
  DecoderBudget budget(1 << 20);
  Limits limits;
  std::string out;
  bool good = true;
  {
    MessageInflater inflater(keeps, limits, budget);
    const auto output = [&](std::span<const uint8_t> bytes) { out.append(bytes.begin(), bytes.end()); };
    for (const std::string& message : messages) {
      for (size_t at = 0; good && at < message.size(); at += step) {
        const std::string part = message.substr(at, step);
        good = inflater.feed({reinterpret_cast<const uint8_t*>(part.data()), part.size()}, output);
      }
      good = good && inflater.end_message(output);
      if (!good) break;
      out += '|';
    }
  }
  LLMTAP_CHECK(budget.used() == 0);
  return good ? std::optional(out) : std::nullopt;
}

// RFC 7692 7.2.2, a message at once.
std::optional<std::string> inflate_whole(const std::vector<std::string>& messages, bool keeps) {
  static std::vector<uint8_t> buffer(kMaxOutput);
  std::string out;
  z_stream stream{};
  LLMTAP_CHECK(inflateInit2(&stream, -15) == Z_OK);
  bool good = true;
  for (std::string message : messages) {
    message.append("\x00\x00\xff\xff", 4);
    stream.next_in = reinterpret_cast<Bytef*>(message.data());
    stream.avail_in = static_cast<uInt>(message.size());
    do {
      stream.next_out = buffer.data();
      stream.avail_out = kMaxOutput;
      const int status = inflate(&stream, Z_SYNC_FLUSH);
      out.append(reinterpret_cast<const char*>(buffer.data()), kMaxOutput - stream.avail_out);
      if (status == Z_STREAM_END)
        inflateReset(&stream);
      else if (status != Z_OK && status != Z_BUF_ERROR)
        good = false;
      if (status == Z_BUF_ERROR) break;
    } while (good && (stream.avail_in > 0 || stream.avail_out == 0));
    if (!good) break;
    out += '|';
    if (!keeps) inflateReset(&stream);
  }
  inflateEnd(&stream);
  return good ? std::optional(out) : std::nullopt;
}

std::vector<std::string> compressed_messages(const Read& read) {
  std::vector<std::string> messages;
  bool inside = false;
  for (const Seen& frame : read.frames) {
    if (frame.opcode >= 8 || !frame.ended) continue;
    if (frame.opcode != 0) inside = frame.compressed;
    if (!inside) continue;
    if (frame.opcode != 0) messages.emplace_back();
    messages.back() += frame.payload;
  }
  return messages;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 3 || size > 70'000) return 0;
  static constexpr FrameReader::Deflate kDeflates[] = {
      FrameReader::Deflate::kNone, FrameReader::Deflate::kKeepsContext, FrameReader::Deflate::kEachMessage,
      FrameReader::Deflate::kNone};
  const bool masked = (data[0] & 1) != 0;
  const auto deflate = kDeflates[data[0] >> 1 & 3];
  const size_t step = 1 + data[1] % 61;
  const std::span<const uint8_t> input(data + 3, size - 3);
  const Read want = by_the_standard(input, masked, deflate != FrameReader::Deflate::kNone);
  LLMTAP_CHECK(read(input, masked, deflate, SIZE_MAX) == want);
  LLMTAP_CHECK(read(input, masked, deflate, step) == want);
  read(input, masked, deflate, step, data[2]);
  const std::vector<std::string> messages = compressed_messages(want);
  for (const bool keeps : {true, false}) {
    const auto whole = inflate_whole(messages, keeps);
    LLMTAP_CHECK(inflate_pieces(messages, keeps, SIZE_MAX) == whole);
    LLMTAP_CHECK(inflate_pieces(messages, keeps, step) == whole);
  }
  return 0;
}
