// SPDX-License-Identifier: Apache-2.0
#include "llm/bedrock_headers.h"

#include "base/ascii.h"
#include "llm/redact.h"

namespace llmtap {

UsageNumbers bedrock_header_usage(std::span<const HeaderField> response_headers) {
  static constexpr struct {
    std::string_view name;
    Usage field;
  } kCounts[] = {{"input-token-count", Usage::kInvocationInput},
                 {"output-token-count", Usage::kInvocationOutput},
                 {"cache-read-input-token-count", Usage::kInvocationCacheRead},
                 {"cache-write-input-token-count", Usage::kInvocationCacheWrite}};
  static constexpr std::string_view kPrefix = "x-amzn-bedrock-";
  UsageNumbers usage;
  for (const HeaderField& field : response_headers) {
    if (!field.name.starts_with(kPrefix)) continue;
    for (const auto& count : kCounts)
      if (field.name.substr(kPrefix.size()) == count.name)
        if (const auto value = parse_integer<uint32_t>(trimmed(field.value))) usage.set(count.field, *value);
  }
  return usage;
}

// "ThrottlingException:http://internal.amazon.com/…"
std::string bedrock_header_error(std::span<const HeaderField> response_headers) {
  for (const HeaderField& field : response_headers)
    if (field.name == "x-amzn-errortype") return bounded_label(field.value.substr(0, field.value.find(':')), 64);
  return {};
}

}  // namespace llmtap
