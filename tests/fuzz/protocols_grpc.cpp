// SPDX-License-Identifier: Apache-2.0
// First byte: bits 0 and 1 the coding of messages; second: how it is cut; third: where bytes are lost.
// Oracle: a parser of the whole buffer with zlib's function for whole messages; behind a loss no message
// comes that was not sent.
#include <zlib.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "base/check.h"
#include "fuzz/protocols_trace.h"
#include "protocols/grpc_decoder.h"

namespace {

using namespace llmtap;

constexpr size_t kMaxOutput = 1 << 20;

struct Read {
  std::vector<std::string> messages;  // whole ones
  size_t cut = 0;
  bool good = true;
};

class Collected : public fuzz::Trace {
 public:
  Read read;
  void on_event_data(ExchangeId, Side, std::span<const uint8_t> bytes, uint64_t) override {
    data_.append(bytes.begin(), bytes.end());
  }
  void on_event_end(ExchangeId, Side, const EventEnd& end) override {
    LLMTAP_CHECK(end.data_bytes == data_.size());
    if (end.complete)
      read.messages.push_back(data_);
    else
      ++read.cut;
    data_.clear();
  }

 private:
  std::string data_;
};

Read decode(Coding coding, std::span<const uint8_t> input, size_t step, size_t gap_at = SIZE_MAX) {
  Collected collected;
  EventOutput out(collected, {}, Side::kResponse);
  Limits limits;
  limits.decompress_floor_bytes = 8 << 20;
  DecoderBudget budget(1 << 20);
  {
    GrpcDecoder decoder(coding, limits, budget);
    bool& good = collected.read.good;
    const auto feed = [&](std::span<const uint8_t> bytes) {
      for (size_t at = 0; at < bytes.size() && good; at += step) {
        const auto part = bytes.subspan(at, std::min(step, bytes.size() - at));
        const std::vector<uint8_t> piece(part.begin(), part.end());
        good = decoder.feed(piece, 1, out);
      }
    };
    feed(input.first(std::min(gap_at, input.size())));
    if (gap_at < input.size() && good) {
      const size_t lost = std::min<size_t>(4, input.size() - gap_at);
      good = decoder.gap(lost, 1, out);
      feed(input.subspan(gap_at + lost));
    }
    decoder.finish(1, out);
    LLMTAP_CHECK(decoder.whole_bytes() <= input.size());
  }
  LLMTAP_CHECK(budget.used() == 0);
  return collected.read;
}

// Members of a gzip file, or one zlib or raw stream; bytes behind the end are padding.
std::optional<std::string> whole_message(Coding coding, std::span<const uint8_t> in) {
  static std::vector<uint8_t> buffer(kMaxOutput);
  if (in.empty()) return std::nullopt;
  const bool gzip = coding == Coding::kGzip;
  const int bits = gzip ? 31 : (in[0] & 15) == 8 && (in[0] >> 4) <= 7 ? 15 : -15;
  std::string out;
  do {
    z_stream stream{};
    LLMTAP_CHECK(inflateInit2(&stream, bits) == Z_OK);
    stream.next_in = const_cast<Bytef*>(in.data());
    stream.avail_in = static_cast<uInt>(in.size());
    stream.next_out = buffer.data();
    stream.avail_out = kMaxOutput;
    const int status = inflate(&stream, Z_FINISH);
    out.append(reinterpret_cast<const char*>(buffer.data()), kMaxOutput - stream.avail_out);
    in = in.last(stream.avail_in);
    inflateEnd(&stream);
    if (status != Z_STREAM_END) return std::nullopt;
  } while (gzip && !in.empty() && in[0] == 0x1f);
  return out;
}

Read by_the_standard(Coding coding, std::span<const uint8_t> in) {
  Read read;
  while (in.size() >= 5) {
    const uint8_t flags = in[0];
    const uint32_t length = uint32_t{in[1]} << 24 | uint32_t{in[2]} << 16 | uint32_t{in[3]} << 8 | in[4];
    const bool trailers = (flags & 0x80) != 0, compressed = (flags & 1) != 0 && !trailers;
    in = in.subspan(5);
    read.good = (flags & 0x7e) == 0 && (!compressed || coding != Coding::kIdentity);
    if (!read.good || in.size() < length) {
      read.cut = read.good && !trailers ? 1 : 0;
      return read;
    }
    const auto message = in.first(length);
    in = in.subspan(length);
    if (trailers) continue;
    if (!compressed) {
      read.messages.emplace_back(message.begin(), message.end());
      continue;
    }
    const auto decoded = whole_message(coding, message);
    read.good = decoded.has_value();
    if (!read.good) {
      read.cut = 1;
      return read;
    }
    read.messages.push_back(*decoded);
  }
  return read;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 3 || size > 4096) return 0;
  static constexpr Coding kCodings[] = {Coding::kIdentity, Coding::kGzip, Coding::kDeflate, Coding::kGzip};
  const Coding coding = kCodings[data[0] % 4];
  const std::span<const uint8_t> input(data + 3, size - 3);
  const size_t step = 1 + data[1] % 31;
  const Read want = by_the_standard(coding, input);
  for (const size_t piece : {SIZE_MAX, step}) {
    const Read got = decode(coding, input, piece);
    LLMTAP_CHECK(got.messages == want.messages);
    // Damage inside a message that is cut shows where its bytes are, maybe before its end is missed.
    LLMTAP_CHECK(got.cut <= 1 && (want.cut == 1 || got.good == want.good));
    // A loss may hide the damage at which the reading would have ended.
    if (!want.good) continue;
    const Read lossy = decode(coding, input, piece, data[2]);
    auto from = want.messages.begin();
    for (const std::string& message : lossy.messages) {
      from = std::find(from, want.messages.end(), message);
      LLMTAP_CHECK(from != want.messages.end());
      ++from;
    }
  }
  return 0;
}
