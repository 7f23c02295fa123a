// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

#include "base/ascii.h"

namespace llmtap {

// Text pushed byte by byte: true from the byte behind a credential's prefix ("sk-", "AIza", …) to the
// end of the word. What came before is the prefix alone, which tells nothing.
class SecretPrefix {
 public:
  // Must `byte` be overwritten? Also to be asked of what goes anyway: it ends a word.
  bool hides(char byte) {
    const bool word = is_alnum(byte) || std::string_view("-_.*").find(byte) != std::string_view::npos;
    if (!word) hidden_ = false;
    if (hidden_) return true;
    std::shift_left(tail_.begin(), tail_.end(), 1);
    tail_.back() = byte;
    // The last characters of the prefixes: nothing else can complete one.
    if (word && std::string_view("-_.aAJ").find(byte) != std::string_view::npos) hidden_ = ends_with_prefix();
    return false;
  }
  void reset() { *this = {}; }

 private:
  bool ends_with_prefix() const {
    const std::string_view tail(tail_.data(), tail_.size());
    for (const std::string_view prefix :
         {"sk-",  "sk_", "AIza", "ya29.",       "gsk_", "xai-", "hf_", "pplx-", "nvapi-", "AKIA",  "ASIA",
          "org-", "eyJ", "ghp_", "github_pat_", "csk-", "tgp_", "r8_", "proj_", "ghs_",   "glpat-"}) {
      if (!tail.ends_with(prefix)) continue;
      const std::string_view before = tail.substr(0, tail.size() - prefix.size());
      // Behind a letter or digit it is the end of a word ("task-"), unless that is an escape ("%3Dsk-").
      if (!is_alnum(before.back()) || before[before.size() - 3] == '%') return true;
    }
    return false;
  }

  std::array<char, 16> tail_{};
  bool hidden_ = false;
};

}  // namespace llmtap
