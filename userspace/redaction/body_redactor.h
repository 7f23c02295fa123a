// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "llm/secret_prefix.h"
#include "redaction/json_redactor.h"

namespace llmtap {

// One body without its transfer framing, pushed byte by byte: JSON, server-sent events, or bytes that are
// overwritten whole.
class BodyRedactor {
 public:
  // `type`: the media type in lower case, no parameters. `coded`: compressed, or not certain where it ends.
  void begin(std::string_view type, bool coded);
  // The byte to store.
  uint8_t push(uint8_t byte);
  // The last byte is of no use but its length.
  bool opaque() const { return content_ == Content::kOpaque; }
  // Bytes of it are missing: the rest is not read.
  void lose() { content_ = Content::kOpaque; }

 private:
  enum class Content : uint8_t { kOpaque, kJson, kSse, kSniff };
  enum class Line : uint8_t { kName, kData, kEvent, kOther };

  uint8_t sse_byte(uint8_t byte);

  Content content_ = Content::kOpaque;
  JsonRedactor json_;
  SecretPrefix secret_;
  Line line_ = Line::kName;
  std::string sse_name_;
  bool after_cr_ = false;
};

}  // namespace llmtap
