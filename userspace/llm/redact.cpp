// SPDX-License-Identifier: Apache-2.0
#include "llm/redact.h"

#include <array>
#include <bit>
#include <cstdint>

#include "base/ascii.h"

namespace llmtap {

namespace {

constexpr std::string_view kMask = "[redacted]";

struct KeyShape {
  std::string_view prefix;
  size_t min_body;  // shorter ones are words
};
// Error texts quote keys with their middle starred out ("sk-ab****yz"); those still identify a key.
constexpr KeyShape kKeys[] = {
    {"sk-", 8},  {"sk_", 8},   {"rk_", 16},   {"AIza", 16},  {"ya29.", 8},       {"gsk_", 8},  {"xai-", 8},
    {"hf_", 8},  {"pplx-", 8}, {"nvapi-", 8}, {"AKIA", 12},  {"ASIA", 12},       {"org-", 8},  {"proj_", 8},
    {"r8_", 16}, {"ghp_", 16}, {"tgp_", 8},   {"fw_", 16},   {"github_pat_", 8}, {"ghs_", 16}, {"glpat-", 8},
    {"csk-", 8}, {"eyJ", 17},  {"xox", 8},    {"user-", 16},
};

bool key_char(char c) { return is_alnum(c) || c == '_' || c == '-' || c == '*' || c == '.'; }

// Where a word may begin: not behind a letter or digit, but behind a percent-encoded byte ("%3Dsk-…").
bool word_begins(std::string_view text, size_t at) {
  if (at == 0 || !is_alnum(text[at - 1])) return true;
  return at >= 3 && text[at - 3] == '%' && is_hex(text[at - 2]) && is_hex(text[at - 1]);
}

size_t key_length(std::string_view rest) {
  for (const KeyShape& shape : kKeys) {
    if (!rest.starts_with(shape.prefix)) continue;
    size_t n = shape.prefix.size();
    while (n < rest.size() && key_char(rest[n])) ++n;
    while (n > shape.prefix.size() && rest[n - 1] == '.') --n;  // the end of a sentence
    if (n - shape.prefix.size() >= shape.min_body) return n;
  }
  return 0;
}

// "Bearer <token>", "Basic <base64>", with blanks or their encodings between: the value, not the word.
size_t scheme_length(std::string_view rest) {
  for (const std::string_view scheme : {"bearer", "basic"}) {
    if (rest.size() <= scheme.size() || !iequals(rest.substr(0, scheme.size()), scheme)) continue;
    size_t n = scheme.size();
    const size_t before = n;
    while (n < rest.size() && (rest[n] == ' ' || rest[n] == '\t' || rest[n] == '+')) ++n;
    if (rest.substr(n).starts_with("%20")) n += 3;
    if (n == before) continue;
    const size_t value = n;
    while (n < rest.size() &&
           (key_char(rest[n]) || rest[n] == '/' || rest[n] == '+' || rest[n] == '=' || rest[n] == '~'))
      ++n;
    while (n > value && rest[n - 1] == '.') --n;  // the end of a sentence
    // "bearer token" and "basic access" are prose.
    const std::string_view token = rest.substr(value, n - value);
    const bool prose = token.size() < 8 && std::ranges::all_of(token, [](char c) { return is_lower(c); });
    if (!token.empty() && !prose) return n;
  }
  return 0;
}

std::string mask_emails(std::string_view text) {
  constexpr size_t kMaxLocal = 64, kMaxDomain = 255;
  std::string out;
  size_t copied = 0;
  for (size_t at = text.find('@'); at != std::string_view::npos; at = text.find('@', at + 1)) {
    size_t begin = at, end = at + 1;
    while (begin > copied && at - begin < kMaxLocal &&
           (is_alnum(text[begin - 1]) ||
            std::string_view("._%+-").find(text[begin - 1]) != std::string_view::npos))
      --begin;
    while (end < text.size() && end - at < kMaxDomain &&
           (is_alnum(text[end]) || text[end] == '.' || text[end] == '-'))
      ++end;
    while (end > at + 1 && !is_alnum(text[end - 1])) --end;
    const std::string_view domain = text.substr(at + 1, end - at - 1);
    const size_t dot = domain.rfind('.');
    const bool host = dot != std::string_view::npos && dot > 0 && domain.size() - dot > 2 &&
                      std::ranges::all_of(domain.substr(dot + 1), is_alpha);
    if (begin == at || !host) continue;
    out.append(text.substr(copied, begin - copied)).append(kMask);
    copied = end;
  }
  return copied == 0 ? std::string(text) : out.append(text.substr(copied));
}

constexpr std::string_view kQueryNames[] = {"api-version", "alt",     "beta",  "model",
                                            "deployment",  "version", "stream"};

bool is_kept_query(std::string_view name) {
  return std::ranges::find(kQueryNames, name) != std::end(kQueryNames);
}

std::string kept_query(std::string_view query) {
  std::string kept;
  while (!query.empty()) {
    const size_t end = std::min(query.find_first_of("&;"), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (!is_kept_query(pair.substr(0, pair.find('=')))) continue;
    kept += kept.empty() ? '?' : '&';
    kept += mask_secrets(pair);
  }
  return kept;
}

// Length of the well-formed UTF-8 sequence at the front (RFC 3629), 0: none.
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  const size_t n = static_cast<size_t>(std::countl_one(first));
  if (n < 2 || n > 4 || text.size() < n || first == 0xC0 || first == 0xC1 || first > 0xF4) return 0;
  for (size_t i = 1; i < n; ++i)
    if ((byte(i) & 0xC0) != 0x80) return 0;
  const uint8_t second = byte(1);
  if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ||
      (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F))
    return 0;
  return n;
}

}  // namespace

std::string mask_secrets(std::string_view text) {
  std::string out;
  size_t copied = 0;
  for (size_t at = 0; at < text.size();) {
    size_t length = 0;
    if (word_begins(text, at)) {
      length = scheme_length(text.substr(at));
      if (length == 0) length = key_length(text.substr(at));
    }
    if (length == 0) {
      ++at;
      continue;
    }
    out.append(text.substr(copied, at - copied)).append(kMask);
    at += length;
    copied = at;
  }
  out.append(text.substr(copied));
  return out.find('@') == std::string::npos ? out : mask_emails(out);
}

std::string safe_path(std::string_view target, size_t max_bytes) {
  target = target.substr(0, target.find('#'));
  const size_t mark = target.find('?');
  std::string_view path = target.substr(0, mark);
  const std::string_view query =
      mark == std::string_view::npos ? std::string_view() : target.substr(mark + 1);

  std::string origin;
  size_t authority = std::string_view::npos;
  if (path.starts_with("//"))
    authority = 2;
  else if (const size_t scheme = path.find("://"); scheme != std::string_view::npos && scheme < 16)
    authority = scheme + 3;
  if (authority != std::string_view::npos) {
    const size_t end = std::min(path.find('/', authority), path.size());
    std::string_view host = path.substr(authority, end - authority);
    if (const size_t at = host.rfind('@'); at != std::string_view::npos) host.remove_prefix(at + 1);
    origin = std::string(path.substr(0, authority)).append(host);
    path.remove_prefix(end);
  } else if (!path.starts_with('/')) {
    // Authority form of CONNECT, or nonsense: it may hold userinfo too.
    if (const size_t at = path.rfind('@'); at != std::string_view::npos) path.remove_prefix(at + 1);
  }

  const std::string masked = origin + mask_secrets(path) + kept_query(query);
  std::string out;
  for (const char c : masked) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte > 0x20 && byte < 0x7F;
    if (out.size() + (plain ? 1 : 3) > max_bytes) break;
    if (plain) {
      out += c;
    } else {
      out += '%';
      append_hex(out, byte);
    }
  }
  return out;
}

std::string bounded_label(std::string_view text, size_t max_bytes) {
  std::string out;
  while (!text.empty()) {
    const size_t n = utf8_length(text);
    const auto byte = static_cast<uint8_t>(text[0]);
    // C1 controls are U+0080 to U+009F: C2 80 to C2 9F.
    const bool control =
        n == 1 ? byte < 0x20 || byte == 0x7F : n == 2 && byte == 0xC2 && static_cast<uint8_t>(text[1]) < 0xA0;
    const std::string_view piece = n == 0 || control ? std::string_view("_") : text.substr(0, n);
    if (out.size() + piece.size() > max_bytes) break;
    out += piece;
    text.remove_prefix(n == 0 ? 1 : n);
  }
  return out;
}

}  // namespace llmtap
