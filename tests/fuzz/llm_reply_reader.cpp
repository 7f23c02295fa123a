// SPDX-License-Identifier: Apache-2.0
// Lines of any bytes as events of a stream: read whole, where an event like the last one is not read
// again, and read in pieces, they say the same.
#include <cstdlib>
#include <string_view>

#include "unit/llm/reply_text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace llmtap;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  const Limits limits;
  RecordPool pool(limits.json_string_bytes);
  ReplyReader whole(limits, pool), pieces(limits, pool);
  uint64_t now = 1;
  while (!input.empty()) {
    const std::string_view line = input.substr(0, input.find('\n'));
    input.remove_prefix(std::min(line.size() + 1, input.size()));
    now += 1'000'000 + line.size() * 1000;
    whole.event(line, "", now, true);
    for (size_t at = 0; at < line.size(); at += 7) pieces.feed_event(line.substr(at, 7));
    pieces.end_event("", now, true);
    if (test::reply_text(whole) != test::reply_text(pieces)) std::abort();
  }
  return 0;
}
