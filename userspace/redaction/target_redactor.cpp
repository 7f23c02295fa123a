// SPDX-License-Identifier: Apache-2.0
#include "redaction/target_redactor.h"

#include <string_view>

#include "base/ascii.h"

namespace llmtap {
namespace {

constexpr uint8_t kFiller = 'x';
constexpr size_t kMaxNameBytes = 128;
constexpr size_t kMaxSegmentBytes = 256;  // beyond it a path segment is a blob, not a name

bool is_query_kept(std::string_view name) {
  for (const std::string_view kept :
       {"api-version", "alt", "beta", "model", "deployment", "version", "stream"})
    if (name == kept) return true;
  return false;
}

}  // namespace

void TargetRedactor::reset() {
  part_ = Part::kBegin;
  secret_.reset();
  segment_bytes_ = 0;
}

uint8_t TargetRedactor::push(uint8_t byte) {
  const char c = static_cast<char>(byte);
  if (part_ == Part::kBegin) {
    // Absolute and authority form can hold userinfo: overwritten up to the path or whole.
    part_ = c == '/' ? Part::kPath : Part::kOther;
    segment_bytes_ = 0;
    return c == '/' || c == '*' ? byte : kFiller;
  }
  if (c == '?' && (part_ == Part::kPath || part_ == Part::kOther)) {
    part_ = Part::kQueryName;
    query_name_.clear();
    secret_.reset();
    return byte;
  }
  switch (part_) {
    case Part::kPath:
      if (c == '/') {
        segment_bytes_ = 0;
        secret_.reset();
        return byte;
      }
      return secret_.hides(c) || ++segment_bytes_ > kMaxSegmentBytes || byte >= 0x7F || byte < 0x20 ? kFiller
                                                                                                    : byte;
    case Part::kQueryName:
      if (c == '=') {
        part_ = Part::kQueryValue;
        keep_ = is_query_kept(query_name_);
        secret_.reset();
        return byte;
      }
      if (c == '&' || c == ';') {
        query_name_.clear();
        return byte;
      }
      if (query_name_.size() <= kMaxNameBytes) query_name_ += c;
      // A query without '=' is a value in disguise when it is long or no name.
      return query_name_.size() <= 20 && (is_lower(c) || c == '-' || c == '_') ? byte : kFiller;
    case Part::kQueryValue:
      if (c == '&' || c == ';') {
        part_ = Part::kQueryName;
        query_name_.clear();
        return byte;
      }
      return keep_ && !secret_.hides(c) ? byte : kFiller;
    case Part::kOther:
    case Part::kBegin: break;
  }
  return c == '/' || c == ':' ? byte : kFiller;
}

}  // namespace llmtap
