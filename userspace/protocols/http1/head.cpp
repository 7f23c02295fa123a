// SPDX-License-Identifier: Apache-2.0
#include "protocols/http1/head.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "base/ascii.h"

namespace llmtap::http1 {
namespace {

constexpr size_t kFramingLineBytes = 256;  // of a line kept from an oversized head
constexpr size_t kFramingLines = 16;

constexpr std::array<std::string_view, 20> kMethods{
    "GET ",     "POST ",  "PUT ",    "DELETE ",   "HEAD ",      "OPTIONS ", "PATCH ",
    "CONNECT ", "TRACE ", "QUERY ",  "PROPFIND ", "PROPPATCH ", "MKCOL ",   "COPY ",
    "MOVE ",    "LOCK ",  "UNLOCK ", "REPORT ",   "SEARCH ",    "PURGE "};

// What still counts in a head that is too long to keep.
constexpr std::array<std::string_view, 6> kFramingFields{
    "content-length:", "transfer-encoding:", "content-encoding:", "content-type:", "upgrade:", "host:"};

bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::string_view trim(std::string_view text) {
  while (!text.empty() && (is_blank(text.front()) || text.front() == '\r')) text.remove_prefix(1);
  while (!text.empty() && (is_blank(text.back()) || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

HttpVersion parse_version(std::string_view text) {
  if (text.size() != 8 || text.substr(0, 7) != "HTTP/1." || !is_digit(text[7])) return HttpVersion::kUnknown;
  return text[7] == '0' ? HttpVersion::kHttp10 : HttpVersion::kHttp11;
}

bool parse_request_line(std::string_view line, Head& head) {
  line = trim(line);
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == 0 || last == first) return false;
  head.method = line.substr(0, first);
  head.target = trim(line.substr(first + 1, last - first - 1));
  head.version = parse_version(line.substr(last + 1));
  return head.version != HttpVersion::kUnknown && !head.target.empty() && head.method.size() <= 32 &&
         std::all_of(head.method.begin(), head.method.end(), is_token_char);
}

bool parse_status_line(std::string_view line, Head& head) {
  if (line.size() < 12 || line[8] != ' ') return false;
  head.version = parse_version(line.substr(0, 8));
  if (head.version == HttpVersion::kUnknown) return false;
  for (size_t i = 9; i < 12; ++i) {
    if (!is_digit(line[i])) return false;
    head.status = head.status * 10 + (line[i] - '0');
  }
  const bool ends = line.size() == 12 || is_blank(line[12]) || line[12] == '\r';
  return ends && head.status >= 100 && head.status <= 999;
}

// RFC 9112 6.3: a list of equal values counts as one; anything else makes the length unknowable.
void add_content_length(std::string_view value, Head& head) {
  do {
    const size_t comma = value.find(',');
    const std::string_view item = trim(value.substr(0, comma));
    value = comma == std::string_view::npos ? std::string_view() : value.substr(comma + 1);
    uint64_t number = 0;
    const auto [end, error] = std::from_chars(item.data(), item.data() + item.size(), number);
    const bool good =
        !item.empty() && error == std::errc() && end == item.data() + item.size() && number <= INT64_MAX;
    if (!good || (head.content_length && *head.content_length != number)) {
      head.unframed = true;
      return;
    }
    head.content_length = number;
  } while (!value.empty());
}

void add_transfer_encoding(std::string_view value, Head& head, CodingList& codings) {
  head.has_transfer_encoding = true;
  while (!value.empty()) {
    const size_t comma = value.find(',');
    std::string_view token = value.substr(0, comma);
    value = comma == std::string_view::npos ? std::string_view() : value.substr(comma + 1);
    token = trim(token.substr(0, token.find(';')));
    if (token.empty()) continue;
    head.chunked = iequals(token, "chunked");
    if (!head.chunked) codings.add(token);
  }
}

// RFC 9112 3.2.2: the authority of an absolute form replaces Host.
std::string_view authority_of(const Head& head) {
  if (head.method == "CONNECT") return head.target;
  const size_t scheme = head.target.find("://");
  if (scheme == std::string_view::npos || head.target.front() == '/' || scheme > 8) return {};
  std::string_view rest = head.target.substr(scheme + 3);
  rest = rest.substr(0, rest.find_first_of("/?#"));
  const size_t user = rest.rfind('@');
  return user == std::string_view::npos ? rest : rest.substr(user + 1);
}

void lower(char* begin, size_t size) {
  for (size_t i = 0; i < size; ++i)
    if (begin[i] >= 'A' && begin[i] <= 'Z') begin[i] = static_cast<char>(begin[i] - 'A' + 'a');
}

}  // namespace

Match match_request_start(std::string_view bytes) {
  Match best = Match::kNo;
  for (const std::string_view method : kMethods) {
    const size_t n = std::min(bytes.size(), method.size());
    if (bytes.substr(0, n) != method.substr(0, n)) continue;
    if (bytes.size() <= method.size()) {
      best = Match::kMore;
      continue;
    }
    const char c = bytes[method.size()];
    // Absolute form, "*", or an authority: nothing begins with a blank or a control character.
    return c > ' ' && c != 0x7f ? Match::kYes : Match::kNo;
  }
  return best;
}

Match match_response_start(std::string_view bytes) {
  static constexpr std::string_view kPattern = "HTTP/1.d ddd";
  for (size_t i = 0; i < std::min(bytes.size(), kPattern.size()); ++i)
    if (kPattern[i] == 'd' ? !is_digit(bytes[i]) : bytes[i] != kPattern[i]) return Match::kNo;
  return bytes.size() < kPattern.size() ? Match::kMore : Match::kYes;
}

bool is_request_line(std::string_view line) {
  Head head;
  return parse_request_line(line, head);
}

bool is_status_line(std::string_view line) {
  Head head;
  return parse_status_line(line, head);
}

void HeadBuffer::reset() { *this = HeadBuffer(); }

std::optional<std::string_view> HeadBuffer::first_line() const {
  if (first_line_end_ == 0) return std::nullopt;
  return trim(std::string_view(text_).substr(0, first_line_end_ - 1));
}

void HeadBuffer::add(std::string_view piece, size_t max_bytes) {
  if (!oversized_ && text_.size() + piece.size() > max_bytes) {
    oversized_ = true;
    kept_ = text_.substr(line_start_, kFramingLineBytes);
    text_.resize(line_start_);
  }
  if (!oversized_)
    text_.append(piece);
  else
    kept_.append(piece.substr(0, kFramingLineBytes - std::min(kept_.size(), kFramingLineBytes)));
}

void HeadBuffer::end_line() {
  if (oversized_) {
    const bool whole = line_bytes_ < kFramingLineBytes && !text_.empty();
    for (const std::string_view field : kFramingFields)
      if (whole && extra_lines_ < kFramingLines &&
          iequals(std::string_view(kept_).substr(0, field.size()), field)) {
        text_ += kept_;
        extra_lines_++;
      }
    kept_.clear();
  }
  line_start_ = text_.size();
  if (first_line_end_ == 0) first_line_end_ = text_.size();
}

size_t HeadBuffer::feed(std::span<const uint8_t> bytes, size_t max_bytes) {
  size_t used = 0;
  while (used < bytes.size() && !done_) {
    const uint8_t* begin = bytes.data() + used;
    const void* found = std::memchr(begin, '\n', bytes.size() - used);
    const size_t length =
        found ? static_cast<size_t>(static_cast<const uint8_t*>(found) - begin) : bytes.size() - used;
    const size_t taken = length + (found ? 1 : 0);
    add({reinterpret_cast<const char*>(begin), taken}, max_bytes);
    if (length != 0) last_ = static_cast<char>(begin[length - 1]);
    line_bytes_ += length;
    used += taken;
    if (!found) break;
    if (line_bytes_ == 0 || (line_bytes_ == 1 && last_ == '\r')) {
      // RFC 9112 2.2: empty lines before the start line are ignored.
      if (line_start_ == 0 && !oversized_)
        text_.clear();
      else
        done_ = true;
    } else {
      end_line();
    }
    line_bytes_ = 0;
  }
  return used;
}

std::optional<Head> parse_head(std::string& text, Side side, size_t max_fields) {
  Head head;
  size_t pos = text.find('\n');
  if (pos == std::string::npos) return std::nullopt;
  const std::string_view start = trim(std::string_view(text).substr(0, pos));
  if (!(side == Side::kRequest ? parse_request_line(start, head) : parse_status_line(start, head)))
    return std::nullopt;

  CodingList transfer_codings;
  ++pos;
  while (pos < text.size()) {
    size_t end = text.find('\n', pos);
    if (end == std::string::npos) end = text.size();
    // RFC 9112 5.2: a line that begins with a blank continues the one before.
    while (end + 1 < text.size() && is_blank(text[end + 1])) {
      if (end > pos && text[end - 1] == '\r') text[end - 1] = ' ';
      text[end] = ' ';
      end = std::min(text.find('\n', end), text.size());
    }
    const size_t begin = pos;
    const std::string_view line = trim(std::string_view(text).substr(begin, end - begin));
    pos = end + 1;
    if (line.empty()) continue;
    const size_t colon = line.find(':');
    const std::string_view name = trim(line.substr(0, colon));
    if (colon == std::string_view::npos || name.empty() ||
        !std::all_of(name.begin(), name.end(), is_token_char)) {
      head.malformed = true;
      continue;
    }
    lower(text.data() + (name.data() - text.data()), name.size());
    const std::string_view value = trim(line.substr(colon + 1));
    if (name == "content-length")
      add_content_length(value, head);
    else if (name == "transfer-encoding")
      add_transfer_encoding(value, head, transfer_codings);
    else if (name == "content-encoding")
      head.codings.add(value);
    else if (name == "content-type")
      head.framing = framing_by_content_type(value);
    else if (name == "upgrade" && head.upgrade.empty())
      head.upgrade = value;
    else if (name == "host" && head.authority.empty())
      head.authority = value;
    if (head.fields.size() < max_fields)
      head.fields.push_back({name, value});
    else
      head.malformed = true;
  }
  for (size_t i = 0; i < transfer_codings.count; ++i) {
    if (head.codings.count == CodingList::kMax)
      head.codings.unsupported = true;
    else
      head.codings.codings[head.codings.count++] = transfer_codings.codings[i];
  }
  head.codings.unsupported |= transfer_codings.unsupported;
  if (head.has_transfer_encoding) head.unframed = false;  // RFC 9112 6.3: it overrides Content-Length
  if (side == Side::kRequest) {
    const std::string_view absolute = authority_of(head);
    if (!absolute.empty()) head.authority = absolute;
    // RFC 9112 6.3: a request whose last coding is not chunked has no knowable length.
    if (head.has_transfer_encoding && !head.chunked) head.unframed = true;
  }
  head.malformed |= head.unframed;
  return head;
}

}  // namespace llmtap::http1
