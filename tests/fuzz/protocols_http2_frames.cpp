// SPDX-License-Identifier: Apache-2.0
// Input: what a client sends behind its preface; the first byte says how it is cut. Oracle: an nghttp2
// server takes the same frames with the same content, as far as it goes on; how it is cut changes nothing.
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "base/check.h"
#include "protocols/http2/frame_reader.h"

namespace {

using namespace llmtap;

struct Seen {
  std::string header;
  std::string content;
  bool operator==(const Seen&) const = default;
};

std::string describe(size_t length, unsigned type, uint32_t stream) {
  return std::to_string(type) + ":" + std::to_string(stream) + ":" + std::to_string(length);
}

class Ours : public http2::FrameListener {
 public:
  std::vector<Seen> frames;
  bool lost = false;

  bool admit(Side, const http2::FrameHeader&) override { return true; }
  void on_frame(Side, const http2::FrameHeader& frame, std::span<const uint8_t>, uint64_t) override {
    // What is found behind a loss is a guess.
    known_ = !lost && frame.type < http2::FrameType::kContinuation;
    if (known_)
      frames.push_back({describe(frame.length, static_cast<unsigned>(frame.type), frame.stream), {}});
  }
  void on_content(Side, const http2::FrameHeader& frame, std::span<const uint8_t> bytes, uint64_t) override {
    if (known_ && frame.type == http2::FrameType::kData)
      frames.back().content.append(bytes.begin(), bytes.end());
  }
  void on_content_gap(Side, const http2::FrameHeader&, uint64_t, uint64_t) override { std::abort(); }
  void on_frame_end(Side, const http2::FrameHeader&, uint64_t) override {}
  void on_lost(Side, Defect, uint64_t) override { lost = true; }

 private:
  bool known_ = false;
};

// Up to the first frame that the standard forbids.
Ours read(std::span<const uint8_t> input, size_t step) {
  Limits limits;
  ProtocolCounters counters;
  StageBooks books;
  DecoderBudget budget(1 << 20);
  CodecContext context;
  context.limits = &limits;
  context.budget = &budget;
  context.counters = &counters;
  context.books = &books;
  Ours ours;
  http2::FrameReader reader(Side::kRequest, true, context, ours);
  const auto feed = [&](std::span<const uint8_t> bytes) {
    for (size_t at = 0; at < bytes.size() && !ours.lost; at += step) {
      const auto part = bytes.subspan(at, std::min(step, bytes.size() - at));
      const std::vector<uint8_t> piece(part.begin(), part.end());
      for (size_t taken = 0; taken < piece.size() && !ours.lost;)
        taken += reader.feed(std::span(piece).subspan(taken), 1);
    }
  };
  feed(
      {reinterpret_cast<const uint8_t*>(http2::kConnectionPreface.data()), http2::kConnectionPreface.size()});
  feed(input);
  return ours;
}

std::vector<Seen> reference(std::span<const uint8_t> input) {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_begin_frame_callback(
      callbacks, [](nghttp2_session*, const nghttp2_frame_hd* hd, void* user) {
        // One behind a header block that it cannot read is passed over without a word.
        if (hd->type == NGHTTP2_CONTINUATION) return 0;
        static_cast<std::vector<Seen>*>(user)->push_back(
            {describe(hd->length, hd->type, static_cast<uint32_t>(hd->stream_id)), {}});
        return 0;
      });
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
      callbacks, [](nghttp2_session*, uint8_t, int32_t, const uint8_t* bytes, size_t size, void* user) {
        static_cast<std::vector<Seen>*>(user)->back().content.append(bytes, bytes + size);
        return 0;
      });
  std::vector<Seen> frames;
  nghttp2_session* session = nullptr;
  nghttp2_session_server_new(&session, callbacks, &frames);
  nghttp2_session_callbacks_del(callbacks);
  nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, nullptr, 0);
  nghttp2_session_mem_recv(session, reinterpret_cast<const uint8_t*>(http2::kConnectionPreface.data()),
                           http2::kConnectionPreface.size());
  nghttp2_session_mem_recv(session, input.data(), input.size());
  nghttp2_session_del(session);
  return frames;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1 || size > 65536) return 0;
  const std::span<const uint8_t> input(data + 1, size - 1);
  const Ours whole = read(input, SIZE_MAX), pieces = read(input, 1 + data[0] % 31);
  LLMTAP_CHECK(whole.lost == pieces.lost && whole.frames == pieces.frames);
  const std::vector<Seen> want = reference(input);
  // nghttp2 reports a header before it looks whether it is valid: the last one may be refused by both. A
  // frame that is cut is reported by ours once its prefix is whole.
  size_t at = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    // DATA of a stream that was reset or never opened is passed over without a word, too.
    while (at < whole.frames.size() && whole.frames[at].header != want[i].header) ++at;
    if (at == whole.frames.size() && i + 1 < want.size())
      std::fprintf(stderr, "frame %zu of %zu: ours has no %s\n", i, want.size(), want[i].header.c_str());
    LLMTAP_CHECK(at < whole.frames.size() || i + 1 == want.size());
    if (at == whole.frames.size()) break;
    LLMTAP_CHECK(want[i].content.empty() || want[i].content == whole.frames[at].content);
    ++at;
  }
  return 0;
}
