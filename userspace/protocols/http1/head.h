// SPDX-License-Identifier: Apache-2.0
// One HTTP/1 head: collecting it in bounded memory, and reading it (RFC 9112 2 to 5).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "llmtap/message.h"
#include "protocols/body_reader.h"

namespace llmtap::http1 {

enum class Match : uint8_t { kNo, kMore, kYes };

// Whether `bytes` begin a request line ("GET /", known methods only) or a status line
// ("HTTP/1.1 200"). Certain enough to begin a connection or to resynchronise on.
Match match_request_start(std::string_view bytes);
Match match_response_start(std::string_view bytes);

// Whether one line (without its end) is a request line or a status line.
bool is_request_line(std::string_view line);
bool is_status_line(std::string_view line);

class HeadBuffer {
 public:
  // Takes bytes up to the end of the head; returns how many. Past `max_bytes` only lines that say
  // how the body is framed are kept.
  size_t feed(std::span<const uint8_t> bytes, size_t max_bytes);
  bool done() const { return done_; }
  bool empty() const { return text_.empty() && line_bytes_ == 0; }
  bool oversized() const { return oversized_; }
  // The first line, once it is whole.
  std::optional<std::string_view> first_line() const;
  std::string& text() { return text_; }
  void reset();

 private:
  void add(std::string_view piece, size_t max_bytes);
  void end_line();

  std::string text_;
  std::string kept_;         // begin of the current line, once oversized
  size_t line_start_ = 0;    // in text_
  uint64_t line_bytes_ = 0;  // of the current line so far, its LF excluded
  size_t first_line_end_ = 0;
  size_t extra_lines_ = 0;
  char last_ = 0;
  bool oversized_ = false;
  bool done_ = false;
};

struct Head {
  std::string_view method, target, authority;
  int status = 0;
  HttpVersion version = HttpVersion::kUnknown;
  std::vector<HeaderField> fields;
  bool malformed = false;  // a line that is no field, or framing that contradicts itself
  bool unframed = false;   // the body's length cannot be known
  std::optional<uint64_t> content_length;
  bool has_transfer_encoding = false;
  bool chunked = false;  // chunked is the last transfer coding
  CodingList codings;    // content codings, then transfer codings but chunked
  BodyFraming framing = BodyFraming::kPlain;
  std::string_view upgrade;
};

// Reads `text` (a whole head, blank line included or not) in place: names become lower case, folded
// lines one. Nullopt: no start line. The views point into `text`.
std::optional<Head> parse_head(std::string& text, Side side, size_t max_fields);

}  // namespace llmtap::http1
