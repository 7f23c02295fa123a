// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "llm/secret_prefix.h"

namespace llmtap {

// A request's target, pushed byte by byte: paths stay, and the names of the query; of its values those of
// an allow list. What is no path is overwritten.
class TargetRedactor {
 public:
  uint8_t push(uint8_t byte);
  void reset();

 private:
  enum class Part : uint8_t { kBegin, kPath, kQueryName, kQueryValue, kOther };

  Part part_ = Part::kBegin;
  SecretPrefix secret_;
  std::string query_name_;
  size_t segment_bytes_ = 0;
  bool keep_ = false;
};

}  // namespace llmtap
