// SPDX-License-Identifier: Apache-2.0
#include "sinks/http_auth.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <cstdint>
#include <memory>

namespace llmtap {
namespace {

// bcrypt of a random password, cost 10: an unknown user takes as long as a known one.
constexpr char kNobodysHash[] = "$2b$10$rrAG2tTz0TRlk9n3gG4GdOCSvZ41HOLaJfDFMGCwgnh4a0aKJcw.K";
constexpr size_t kMaxAdmitted = 128;

std::string base64_decode(std::string_view text) {
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  for (char c : text) {
    constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (c == '=') break;
    const size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos) return {};
    bits = (bits << 6) | static_cast<uint32_t>(digit);
    if ((count += 6) >= 8) {
      count -= 8;
      out += static_cast<char>((bits >> count) & 0xff);
    }
  }
  return out;
}

bool same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

bool bcrypt_matches(const std::string& password, const std::string& hash) {
  const auto data = std::make_unique<crypt_data>();
  const char* computed = crypt_r(password.c_str(), hash.c_str(), data.get());
  return computed && same(computed, hash);
}

bool has_scheme(std::string_view authorization, std::string_view lower_scheme) {
  if (authorization.size() <= lower_scheme.size() || authorization[lower_scheme.size()] != ' ') return false;
  for (size_t i = 0; i < lower_scheme.size(); ++i)
    if ((authorization[i] | 0x20) != lower_scheme[i]) return false;
  return true;
}

}  // namespace

bool HttpAuthenticator::admits(std::string_view authorization) {
  if (!config_.wants_credentials()) return true;
  if (has_scheme(authorization, "bearer")) return admits_bearer(authorization.substr(7));
  if (has_scheme(authorization, "basic")) return admits_basic(authorization.substr(6));
  return false;
}

bool HttpAuthenticator::admits_bearer(std::string_view token) const {
  while (token.starts_with(' ')) token.remove_prefix(1);
  const std::string hash = sha256_hex(token);
  bool known = false;
  for (const std::string& accepted : config_.bearer_token_sha256) known |= same(hash, accepted);
  return known;
}

bool HttpAuthenticator::admits_basic(std::string_view encoded) {
  while (encoded.starts_with(' ')) encoded.remove_prefix(1);
  if (config_.basic_auth_users.empty()) return false;
  const std::string credentials = base64_decode(encoded);
  const size_t colon = credentials.find(':');
  if (colon == std::string::npos || credentials.find('\0') != std::string::npos) return false;
  const std::string user = credentials.substr(0, colon), password = credentials.substr(colon + 1);
  const auto found = config_.basic_auth_users.find(user);
  const std::string proof = sha256_hex(credentials);
  // One bcrypt at a time: guesses must not take every core.
  const std::lock_guard lock(mutex_);
  if (admitted_.contains(proof)) return true;
  const bool known = found != config_.basic_auth_users.end();
  if (!bcrypt_matches(password, known ? found->second : std::string(kNobodysHash)) || !known) return false;
  if (admitted_.size() < kMaxAdmitted) admitted_.insert(proof);
  return true;
}

}  // namespace llmtap
