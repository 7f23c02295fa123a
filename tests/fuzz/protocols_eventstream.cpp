// SPDX-License-Identifier: Apache-2.0
// First byte: how it is cut; second: where bytes are lost. Checksums are made right behind the input, for
// a fuzzer does not find them: a message whose prelude's lengths fit gets its sums. Oracle: events do not
// depend on the cuts; where LLMTAP_FUZZ_BOTOCORE names a Python that has it, botocore reads the same messages
// of one input in eight.
#include <zlib.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "base/check.h"
#include "fuzz/coprocess.h"
#include "fuzz/protocols_trace.h"
#include "protocols/eventstream/event_stream_decoder.h"

namespace {

using namespace llmtap;

uint32_t number(const uint8_t* p) {
  return static_cast<uint32_t>(p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3]);
}
void put_sum(std::vector<uint8_t>& bytes, size_t begin, size_t end) {
  const uLong sum = crc32(0, bytes.data() + begin, static_cast<uInt>(end - begin));
  for (size_t i = 0; i < 4; ++i) bytes[end + i] = static_cast<uint8_t>(sum >> (24 - 8 * i));
}

std::vector<uint8_t> with_sums(std::span<const uint8_t> input) {
  std::vector<uint8_t> bytes(input.begin(), input.end());
  for (size_t at = 0; at + 16 <= bytes.size();) {
    const size_t length = number(&bytes[at]);
    if (length < 16 || length > bytes.size() - at) break;
    put_sum(bytes, at, at + 8);
    put_sum(bytes, at, at + length - 4);
    at += length;
  }
  return bytes;
}

std::string decode(std::span<const uint8_t> input, size_t step, size_t gap_at) {
  fuzz::Trace trace;
  EventOutput out(trace, {}, Side::kResponse);
  EventStreamDecoder decoder(64);
  bool good = true;
  const auto feed = [&](std::span<const uint8_t> part) {
    for (size_t at = 0; good && at < part.size(); at += step) {
      const auto bytes = part.subspan(at, std::min(step, part.size() - at));
      const std::vector<uint8_t> piece(bytes.begin(), bytes.end());
      good = decoder.feed(piece, 1, out);
    }
  };
  feed(input.first(std::min(gap_at, input.size())));
  if (gap_at < input.size()) {
    const size_t lost = std::min<size_t>(7, input.size() - gap_at);
    if (good) decoder.gap(lost, 1, out);
    feed(input.subspan(gap_at + lost));
  }
  decoder.finish(1, out);
  return trace.text;
}

class Messages : public fuzz::Trace {
 public:
  struct Message {
    std::string text;
    bool complete = true;
  };
  std::vector<Message> messages;
  void on_event_data(ExchangeId, Side, std::span<const uint8_t> bytes, uint64_t) override {
    data_.append(bytes.begin(), bytes.end());
  }
  void on_event_end(ExchangeId, Side, const EventEnd& end) override {
    messages.push_back(
        {std::string(end.name) + std::string(1, '\0') + (end.error ? "E" : "-") + data_, end.complete});
    data_.clear();
  }

 private:
  std::string data_;
};

void compare_with_botocore(std::span<const uint8_t> input) {
  static const char* const python = std::getenv("LLMTAP_FUZZ_BOTOCORE");
  static uint64_t count = 0;
  if (!python || count++ % 8 != 0) return;
  static fuzz::Coprocess botocore(python, LLMTAP_SOURCE_DIR "/tests/fuzz/botocore_reader.py");
  const auto want = botocore.ask(input, ".!");
  Messages ours;
  EventOutput out(ours, {}, Side::kResponse);
  EventStreamDecoder decoder(64);
  // What of a message that is cut is bad already does not matter to botocore.
  decoder.feed(input, 1, out);
  const size_t count_before_end = ours.messages.size();
  decoder.finish(1, out);
  for (size_t i = 0; i + 1 < want.size(); ++i) {
    LLMTAP_CHECK(i < ours.messages.size());
    if (want[i].kind == '?') continue;
    const bool same = ours.messages[i].complete && ours.messages[i].text == want[i].bytes;
    if (!same)
      std::fprintf(stderr, "message %zu: botocore %s, ours %s%s\n", i, want[i].bytes.c_str(),
                   ours.messages[i].text.c_str(), ours.messages[i].complete ? "" : " incomplete");
    LLMTAP_CHECK(same);
  }
  if (want.back().kind == '.') LLMTAP_CHECK(count_before_end == want.size() - 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2 || size > 4096) return 0;
  const std::vector<uint8_t> input = with_sums({data + 2, size - 2});
  const size_t step = 1 + data[0] % 31;
  for (const size_t gap : {SIZE_MAX, size_t{data[1]}}) {
    const bool same = decode(input, 8192, gap) == decode(input, step, gap);
    LLMTAP_CHECK(same);
  }
  compare_with_botocore(input);
  return 0;
}
