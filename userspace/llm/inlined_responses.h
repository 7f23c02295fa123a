// SPDX-License-Identifier: Apache-2.0
// The responses of a batch of Gemini's, found in the reply that holds them: inside the operation that a
// client polls, or one to a line of a file. Pushed bytes, any split; each response is read as if it had
// come alone.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "llm/batch_results.h"
#include "llm/reply_record.h"

namespace llmtap {

class InlinedResponses final : private RecordListener {
 public:
  enum class Where : uint8_t { kOperation, kLines };
  // `batch` outlives it.
  InlinedResponses(Where where, BatchResults& batch, size_t max_string_bytes);

  void feed(std::string_view bytes);
  // "batches/…": what the operation calls itself; empty if it does not.
  const std::string& name() const { return name_; }

 private:
  // Of objects deeper than this no key is asked for.
  static constexpr size_t kMaxLevels = 8;
  static constexpr size_t kMaxKeyBytes = 32, kMaxNameBytes = 128;

  void on_record_begin() override {}
  void on_record_end() override { batch_.add(reader_.record(), model_); }

  struct Level {
    bool object = false, key_next = false;
    size_t path_bytes = 0;  // before it began
  };
  // Whether a response begins with this byte.
  bool structural(char c);
  bool open(char c);
  void close();
  void string_ended();
  bool begins_response();

  const Where where_;
  BatchResults& batch_;
  RecordReader reader_;
  std::array<Level, kMaxLevels> levels_{};
  size_t depth_ = 0;        // open containers
  size_t response_at_ = 0;  // their number outside of the response that is being read; 0: none is
  std::string path_;        // of the innermost container with a level: ".key" and "[]"
  std::string text_;        // of a string that is asked for
  std::string key_, name_, place_;
  std::string model_;  // of the whole batch
  bool in_string_ = false, escaped_ = false, is_key_ = false, reading_ = false, broken_ = false;
};

}  // namespace llmtap
