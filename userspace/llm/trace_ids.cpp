// SPDX-License-Identifier: Apache-2.0
#include "llm/trace_ids.h"

#include <array>

#include "base/ascii.h"
#include "llm/identity.h"

namespace llmtap {

namespace {

// splitmix64: every input bit moves every output bit, so that ids of neighbours share no prefix.
uint64_t mixed(uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

uint64_t hash(ExchangeId id, uint64_t time_ns, uint64_t salt) {
  return mixed(mixed(mixed(id.connection ^ mixed(salt)) ^ id.number) ^ time_ns);
}

std::string hex(uint64_t value) {
  std::string out;
  for (int shift = 56; shift >= 0; shift -= 8) append_hex(out, static_cast<unsigned char>(value >> shift));
  return out;
}

bool lower_hex(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); });
}

bool all_zero(std::string_view text) { return text.find_first_not_of('0') == std::string_view::npos; }

}  // namespace

// version "-" trace-id "-" parent-id "-" trace-flags; later versions may append fields (W3C Trace
// Context 4.3), version ff is invalid.
std::optional<TraceContext> parse_traceparent(std::string_view value) {
  value = trimmed(value);
  if (value.size() < 55 || value[2] != '-' || value[35] != '-' || value[52] != '-') return std::nullopt;
  const std::string_view version = value.substr(0, 2), trace = value.substr(3, 32);
  const std::string_view parent = value.substr(36, 16), flags = value.substr(53, 2);
  if (!lower_hex(version) || !lower_hex(trace) || !lower_hex(parent) || !lower_hex(flags))
    return std::nullopt;
  if (version == "ff" || all_zero(trace) || all_zero(parent)) return std::nullopt;
  if (value.size() > 55 && (version == "00" || value[55] != '-')) return std::nullopt;
  return TraceContext{std::string(trace), std::string(parent), (hex_value(flags[1]) & 1) != 0};
}

std::string generated_request_id(ExchangeId id, uint64_t wall_ns) {
  const uint64_t milliseconds = wall_ns / 1'000'000;
  const uint64_t a = hash(id, wall_ns, 1), b = hash(id, wall_ns, 2);
  const uint64_t high = milliseconds << 16 | 0x7000 | (a & 0x0FFF);
  const uint64_t low = (b & 0x3FFFFFFFFFFFFFFFu) | 0x8000000000000000u;
  const std::string digits = hex(high) + hex(low);
  return digits.substr(0, 8) + '-' + digits.substr(8, 4) + '-' + digits.substr(12, 4) + '-' +
         digits.substr(16, 4) + '-' + digits.substr(20);
}

std::string generated_trace_id(ExchangeId id, uint64_t wall_ns) {
  return hex(hash(id, wall_ns, 3)) + hex(hash(id, wall_ns, 4) | 1);  // never all zero
}

std::string generated_span_id(ExchangeId id, uint64_t wall_ns) { return hex(hash(id, wall_ns, 5) | 1); }

std::string trace_id_from_response_id(std::string_view response_id) {
  if (response_id.empty()) return {};
  return sha256_hex("llmtap response " + std::string(response_id)).substr(0, 32);
}

}  // namespace llmtap
