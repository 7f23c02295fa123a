// SPDX-License-Identifier: Apache-2.0
// Who may ask: basic authentication against bcrypt hashes, bearer tokens against SHA-256 hashes.
#pragma once

#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include "base/sha256.h"
#include "sinks/web_config.h"

namespace llmtap {

class HttpAuthenticator {
 public:
  explicit HttpAuthenticator(const WebConfig& config) : config_(config) {}
  // The value of the Authorization field; true when the configuration asks for no credentials.
  bool admits(std::string_view authorization);

 private:
  bool admits_basic(std::string_view encoded);
  bool admits_bearer(std::string_view token) const;

  const WebConfig config_;
  std::mutex mutex_;
  std::set<std::string> admitted_;  // hashes of credentials that passed: bcrypt is slow by design
};

}  // namespace llmtap
