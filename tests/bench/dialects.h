// SPDX-License-Identifier: Apache-2.0
// What a streamed reply looks like on the wire, by dialect.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace llmtap::bench {

struct StreamedCall {
  std::string id;
  uint64_t input_tokens = 0, output_tokens = 0;
};

struct StreamDialect {
  std::string_view name, host, target, headers, content_type;
  std::string_view request_body;
  // Each returns whole events, blank line included. `word` is JSON text.
  std::vector<std::string> (*opening)(const StreamedCall&);
  void (*delta)(std::string& event, const StreamedCall&, uint32_t number, std::string_view word);
  std::vector<std::string> (*closing)(const StreamedCall&);
  uint32_t other_chunks;  // events of opening and closing that count as chunks of the stream
};

std::span<const StreamDialect> stream_dialects();

}  // namespace llmtap::bench
