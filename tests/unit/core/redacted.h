// SPDX-License-Identifier: Apache-2.0
// A script as `llmtap record --redact` writes it down: both directions redacted, gaps where nothing could be
// kept.
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "protocols/http2/hpack_huffman.h"
#include "redaction/plaintext_redactor.h"
#include "unit/protocols/recorder.h"

namespace llmtap::test {

struct RedactedScript {
  Script script;
  std::array<std::string, 2> written;  // by direction: all that was kept
  size_t gaps = 0;
};

inline RedactedScript redacted(const Script& script, size_t piece = 1 << 20) {
  const auto terms = std::make_shared<ConnectionTerms>();
  std::array<PlaintextRedactor, 2> redactors{PlaintextRedactor(terms), PlaintextRedactor(terms)};
  RedactedScript out;
  for (const Step& step : script) {
    if (step.kind != Step::Kind::kBytes) {
      out.script.push_back(step);
      continue;
    }
    const auto side = static_cast<size_t>(step.direction);
    for (size_t at = 0; at < step.bytes.size(); at += piece) {
      std::string bytes = step.bytes.substr(at, piece);
      size_t done = 0;
      const auto pass_on = [&](size_t end) {
        if (end == done) return;
        out.script.push_back({Step::Kind::kBytes, step.direction, bytes.substr(done, end - done)});
        out.written[side].append(bytes, done, end - done);
      };
      for (const ByteRange& range :
           redactors[side].redact({reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()})) {
        pass_on(range.offset);
        out.script.push_back({Step::Kind::kGap, step.direction, {}, range.length});
        done = range.offset + range.length;
        ++out.gaps;
      }
      pass_on(bytes.size());
    }
  }
  return out;
}

// Whether `word` stands in the bytes, as it is or in HPACK's Huffman code at any bit.
inline bool tells(std::string_view bytes, std::string_view word) {
  if (bytes.find(word) != std::string_view::npos) return true;
  for (size_t begin = 0; begin < bytes.size() * 8; ++begin) {
    size_t at = begin, said = 0;
    while (said < word.size() && http2::huffman_symbol(bytes, at) == static_cast<uint8_t>(word[said])) ++said;
    if (said == word.size()) return true;
  }
  return false;
}

}  // namespace llmtap::test
