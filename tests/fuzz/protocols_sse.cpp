// SPDX-License-Identifier: Apache-2.0
// First byte: how it is cut; second: where bytes are lost. Both decoders read all of it. Oracle: a reader
// of whole lines, as the standards are written, delivers the same; behind a loss no event comes that was
// not sent.
#include <algorithm>
#include <cstdio>
#include <vector>

#include "base/check.h"
#include "fuzz/protocols_trace.h"
#include "protocols/ndjson_decoder.h"
#include "protocols/sse_decoder.h"

namespace {

using namespace llmtap;

constexpr size_t kNameBytes = 64;

struct Event {
  std::string name, data;
  bool complete = true;
  bool operator==(const Event&) const = default;
};
using Events = std::vector<Event>;

class Collected : public fuzz::Trace {
 public:
  Events events;
  void on_event_data(ExchangeId, Side, std::span<const uint8_t> bytes, uint64_t) override {
    data_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  void on_event_end(ExchangeId, Side, const EventEnd& end) override {
    LLMTAP_CHECK(end.data_bytes == data_.size());
    events.push_back({std::string(end.name), std::move(data_), end.complete});
    data_.clear();
  }

 private:
  std::string data_;
};

// WHATWG HTML 9.2.6, on a whole stream.
Events sse_by_lines(std::string_view text) {
  Events events;
  Event event;
  bool has_data = false;
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of("\r\n"), text.size());
    const std::string_view line = text.substr(0, end);
    const bool ended = end < text.size();
    text.remove_prefix(end);
    if (ended) text.remove_prefix(text.starts_with("\r\n") ? 2 : 1);
    if (line.empty()) {
      if (has_data) events.push_back(event);
      event = {};
      has_data = false;
      continue;
    }
    const size_t colon = std::min(line.find(':'), line.size());
    std::string_view value = line.substr(std::min(colon + 1, line.size()));
    if (value.starts_with(' ')) value.remove_prefix(1);
    const std::string_view field = line.substr(0, colon);
    if (field == "event") event.name = value.substr(0, kNameBytes);
    if (field == "data") {
      if (has_data) event.data += '\n';
      event.data += value;
      has_data = true;
    }
  }
  if (has_data) {
    event.complete = false;
    events.push_back(event);
  }
  return events;
}

Events ndjson_by_lines(std::string_view text) {
  Events events;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty()) events.push_back({"", std::string(line), true});
  }
  return events;
}

template <typename Decoder>
Events decode(Decoder decoder, std::string_view input, size_t step, size_t gap_at = SIZE_MAX) {
  Collected collected;
  EventOutput out(collected, {}, Side::kResponse);
  const auto feed = [&](std::string_view part) {
    for (size_t at = 0; at < part.size(); at += step) {
      const std::string_view bytes = part.substr(at, step);
      const std::vector<uint8_t> piece(bytes.begin(), bytes.end());
      decoder.feed(piece, 1, out);
    }
  };
  feed(input.substr(0, gap_at));
  if (gap_at < input.size()) {
    decoder.gap(1, out);
    feed(input.substr(std::min(gap_at + 3, input.size())));
  }
  if constexpr (std::is_same_v<Decoder, SseDecoder>)
    decoder.finish(1, out);
  else
    decoder.finish(true, 1, out);
  return std::move(collected.events);
}

void check(const Events& got, const Events& want) {
  if (got != want) {
    for (const auto* events : {&got, &want})
      for (const Event& event : *events)
        std::fprintf(stderr, "%s [%s] %s%s\n", events == &got ? "ours" : "lines", event.name.c_str(),
                     event.data.c_str(), event.complete ? "" : " incomplete");
  }
  LLMTAP_CHECK(got == want);
}

// Whole events of `got`, in their order, are events of `sent`.
void check_sent(const Events& got, const Events& sent) {
  auto from = sent.begin();
  for (const Event& event : got) {
    if (!event.complete) continue;
    from = std::find_if(from, sent.end(), [&](const Event& each) {
      return each.name == event.name && each.data == event.data;
    });
    LLMTAP_CHECK(from != sent.end());
    ++from;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2 || size > 4096) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 2, size - 2);
  const size_t step = 1 + data[0] % 31, gap = data[1];
  const Events sse = sse_by_lines(input), lines = ndjson_by_lines(input);
  for (const size_t piece : {input.size() + 1, step}) {
    check(decode(SseDecoder(kNameBytes), input, piece), sse);
    check(decode(NdjsonDecoder(), input, piece), lines);
    check_sent(decode(SseDecoder(kNameBytes), input, piece, gap), sse);
    check_sent(decode(NdjsonDecoder(), input, piece, gap), lines);
  }
  return 0;
}
