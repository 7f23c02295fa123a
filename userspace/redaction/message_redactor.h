// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "redaction/json_redactor.h"

namespace llmtap {

// One message of a WebSocket, pushed byte by byte: JSON, or overwritten whole.
class MessageRedactor {
 public:
  void begin() {
    content_ = Content::kSniff;
    json_.reset();
  }
  // The byte to store.
  uint8_t push(uint8_t byte) {
    if (content_ == Content::kSniff) {
      if (byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n') return byte;
      content_ = byte == '{' || byte == '[' ? Content::kJson : Content::kOther;
    }
    return content_ == Content::kJson ? json_.push(byte) : uint8_t{'x'};
  }

 private:
  enum class Content : uint8_t { kSniff, kJson, kOther };

  Content content_ = Content::kSniff;
  JsonRedactor json_;
};

}  // namespace llmtap
