// SPDX-License-Identifier: Apache-2.0
// Token counts where a reply reports none: from the characters that crossed. Always marked as
// estimated by the caller, a lower bound where reasoning is hidden.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace llmtap {

// Counts characters of UTF-8 text that comes in pieces, cut anywhere.
class TextMeter {
 public:
  void add(std::string_view utf8);
  // Characters that were counted elsewhere.
  void add_counted(uint64_t narrow, uint64_t wide) {
    narrow_ += narrow;
    wide_ += wide;
  }
  uint64_t characters() const { return narrow_ + wide_; }
  uint64_t wide() const { return wide_; }      // CJK, kana, hangul: about one token each
  uint64_t narrow() const { return narrow_; }  // all others
  void reset() { *this = {}; }

 private:
  uint64_t narrow_ = 0, wide_ = 0;
  uint32_t code_point_ = 0;
  uint8_t continuation_left_ = 0;
};

// Characters per token of plain text by provider label (or dialect, if the provider is not known).
double characters_per_token(std::string_view provider, std::string_view dialect);

// `text` is prose, `json` tool arguments and other JSON (about 3 characters per token). 0 characters
// are 0 tokens, otherwise at least 1.
uint64_t estimate_tokens(std::string_view provider, std::string_view dialect, const TextMeter& text,
                         const TextMeter& json = {});

// Text parts of a request plus about 4 tokens per message.
uint64_t estimate_input_tokens(std::string_view provider, std::string_view dialect, const TextMeter& text,
                               uint64_t messages);

// One content chunk of a stream is one token there, so that counting chunks is better than counting
// characters.
bool chunk_is_token(std::string_view provider);

}  // namespace llmtap
