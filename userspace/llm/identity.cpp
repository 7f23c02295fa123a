// SPDX-License-Identifier: Apache-2.0
#include "llm/identity.h"

#include <openssl/evp.h>

#include <nlohmann/json.hpp>

#include "base/ascii.h"

namespace llmtap {

namespace {

constexpr std::string_view kKeyHeaders[] = {"authorization",     "x-api-key",
                                            "api-key",           "x-goog-api-key",
                                            "x-litellm-api-key", "ocp-apim-subscription-key"};
constexpr std::string_view kUserHeaders[] = {"x-litellm-customer-id", "x-litellm-end-user-id"};

std::string_view header(std::span<const HeaderField> fields, std::string_view name) {
  for (const HeaderField& field : fields)
    if (iequals(field.name, name)) return field.value;
  return {};
}

// The key of "Bearer <key>" or of a bare value. Another scheme ("Basic …", "AWS4-HMAC-SHA256 …") is a
// password or a signature that changes with each request.
std::string_view key_of(std::string_view value) {
  value = trimmed(value);
  const size_t blank = value.find_first_of(" \t");
  if (blank == std::string_view::npos) return iequals(value, "bearer") ? std::string_view() : value;
  if (!iequals(value.substr(0, blank), "bearer")) return {};
  value = trimmed(value.substr(blank));
  return value.find_first_of(" \t") == std::string_view::npos ? value : std::string_view();
}

std::string portkey_user(std::string_view metadata) {
  if (metadata.empty() || metadata.size() > 8192) return {};
  const auto document = nlohmann::json::parse(metadata, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) return {};
  const auto at = document.find("_user");
  if (at == document.end()) return {};
  const auto* user = at->get_ptr<const std::string*>();
  return user ? hash_end_user(*user) : std::string();
}

// RFC 4648 5, without padding. Empty if it is none.
std::string base64url_decoded(std::string_view text) {
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    int value = 0;
    if (is_upper(c))
      value = c - 'A';
    else if (is_lower(c))
      value = c - 'a' + 26;
    else if (is_digit(c))
      value = c - '0' + 52;
    else if (c == '-')
      value = 62;
    else if (c == '_')
      value = 63;
    else
      return {};
    bits = (bits << 6 | static_cast<uint32_t>(value)) & 0xFFFFFF;
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += static_cast<char>(bits >> count & 0xFF);
    }
  }
  return out;
}

}  // namespace

std::string idempotency_sha256(std::span<const HeaderField> request_headers) {
  for (const std::string_view name : {"idempotency-key", "amz-sdk-invocation-id"})
    if (const std::string_view key = trimmed(header(request_headers, name)); !key.empty())
      return sha256_hex(key);
  return {};
}

std::string credential_sha256(std::span<const HeaderField> request_headers) {
  for (const std::string_view name : kKeyHeaders)
    if (const std::string_view key = key_of(header(request_headers, name)); !key.empty())
      return sha256_hex(key);
  // Browsers cannot add fields to a WebSocket's request: OpenAI takes the key as a subprotocol.
  constexpr std::string_view kPrefix = "openai-insecure-api-key.";
  for (const HeaderField& field : request_headers) {
    if (!iequals(field.name, "sec-websocket-protocol")) continue;
    if (const size_t at = field.value.find(kPrefix); at != std::string_view::npos) {
      const std::string_view key = field.value.substr(at + kPrefix.size());
      return sha256_hex(trimmed(key.substr(0, key.find(','))));
    }
  }
  return {};
}

std::string end_user_sha256(std::span<const HeaderField> request_headers,
                            std::span<const std::string> configured_headers) {
  for (const std::string_view name : kUserHeaders)
    if (const std::string_view user = header(request_headers, name); !user.empty())
      return hash_end_user(user);
  for (const std::string& name : configured_headers)
    if (const std::string_view user = header(request_headers, name); !user.empty())
      return hash_end_user(user);
  if (const std::string_view user = header(request_headers, "helicone-user-id"); !user.empty())
    return hash_end_user(user);
  return portkey_user(header(request_headers, "x-portkey-metadata"));
}

std::string jwt_subject_sha256(std::span<const HeaderField> request_headers) {
  constexpr size_t kMaxTokenBytes = 16384;
  const std::string_view token = key_of(header(request_headers, "authorization"));
  const size_t first = token.find('.'), last = token.rfind('.');
  if (!token.starts_with("eyJ") || token.size() > kMaxTokenBytes || first == last) return {};
  const std::string claims = base64url_decoded(token.substr(first + 1, last - first - 1));
  const auto document = nlohmann::json::parse(claims, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) return {};
  for (const char* name : {"sub", "email"}) {
    const auto at = document.find(name);
    if (at == document.end()) continue;
    if (const auto* text = at->get_ptr<const std::string*>(); text && !text->empty())
      return hash_end_user(*text);
  }
  return {};
}

std::string hash_end_user(std::string_view value) {
  value = trimmed(value);
  return value.empty() ? std::string() : sha256_hex(value);
}

}  // namespace llmtap
