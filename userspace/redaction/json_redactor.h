// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "llm/secret_prefix.h"

namespace llmtap {

// Overwrites the content of JSON text, pushed byte by byte, without changing lengths or structure:
// string values become 'x' unless their key is on the allow list and they look like an identifier;
// subtrees that hold tool arguments, schemas or metadata keep nothing, not even their keys; numbers
// that are content (embeddings, token ids) become ones. Text that is not JSON is overwritten to the
// next reset. Several documents may follow each other (NDJSON).
class JsonRedactor {
 public:
  uint8_t push(uint8_t byte);
  void reset();  // a new document begins

 private:
  enum class Mode : uint8_t { kKeep, kOverwrite };
  struct Level {
    bool object : 1 = false;
    bool denied : 1 = false;   // nothing inside is kept
    bool names : 1 = false;    // "name" inside is a tool's, "code" a program
    bool reasons : 1 = false;  // "reason" inside is one of the API's
    bool numbers : 1 = false;  // numbers inside are content
    bool keep : 1 = false;     // array: strings of it are kept
    bool audio : 1 = false;    // settings of sound
  };

  uint8_t string_byte(uint8_t byte);
  uint8_t bare_byte(uint8_t byte);
  void open(bool object);
  void close();
  void end_string();
  bool keeps_value() const;

  std::vector<Level> levels_;
  std::string key_;   // of the value that comes next, if in an object
  std::string word_;  // bare literal so far
  SecretPrefix secret_;
  size_t string_bytes_ = 0;
  bool in_string_ = false, escaped_ = false, is_key_ = false, expect_key_ = false;
  Mode mode_ = Mode::kOverwrite;
  bool malformed_ = false;
};

}  // namespace llmtap
