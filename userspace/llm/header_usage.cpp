// SPDX-License-Identifier: Apache-2.0
#include "llm/header_usage.h"

#include "base/ascii.h"
#include "llm/redact.h"

namespace llmtap {
namespace {

struct Row {
  std::string_view name;
  Usage field;
};
constexpr Row kRows[] = {
    {"x-amzn-bedrock-input-token-count", Usage::kInvokedInput},
    {"x-amzn-bedrock-output-token-count", Usage::kInvokedOutput},
    {"x-amzn-bedrock-cache-read-input-token-count", Usage::kInvokedCacheRead},
    {"x-amzn-bedrock-cache-write-input-token-count", Usage::kInvokedCacheWrite},
    {"x-prompt-tokens", Usage::kTgiInput},
    {"x-generated-tokens", Usage::kTgiGenerated},
};

}  // namespace

UsageNumbers usage_of_headers(std::span<const HeaderField> response_headers) {
  UsageNumbers usage;
  for (const HeaderField& field : response_headers) {
    if (!field.name.starts_with("x-")) continue;
    for (const Row& row : kRows)
      if (field.name == row.name)
        if (const auto count = parse_integer<uint32_t>(field.value)) usage.set(row.field, *count);
  }
  return usage;
}

std::string error_of_headers(std::span<const HeaderField> response_headers) {
  for (const HeaderField& field : response_headers)
    if (field.name == "x-amzn-errortype")
      return mask_secrets(bounded_label(field.value.substr(0, field.value.find(':')), 64));
  return {};
}

}  // namespace llmtap
