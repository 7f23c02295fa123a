// SPDX-License-Identifier: Apache-2.0
// The web configuration file of Prometheus' exporters (tls_server_config, basic_auth_users), plus
// bearer_token_sha256: a list of SHA-256 hashes (hex) of accepted bearer tokens.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "llmtap/result.h"

namespace llmtap {

enum class ClientAuth { kNone, kRequest, kRequireAny, kVerifyIfGiven, kRequireAndVerify };

struct WebConfig {
  struct Tls {
    std::string cert_file, key_file, client_ca_file;  // relative to the file's folder when written so
    ClientAuth client_auth = ClientAuth::kNone;
    int min_version = 0, max_version = 0;  // OpenSSL's numbers; 0: default
  };

  bool has_tls = false;
  Tls tls;
  std::map<std::string, std::string> basic_auth_users;  // name -> bcrypt hash
  std::vector<std::string> bearer_token_sha256;         // lower-case hex

  bool wants_credentials() const { return !basic_auth_users.empty() || !bearer_token_sha256.empty(); }
  // Nobody is kept out.
  bool open_to_all() const {
    return !wants_credentials() && tls.client_auth != ClientAuth::kRequireAny &&
           tls.client_auth != ClientAuth::kRequireAndVerify;
  }

  // Errors name the file and the line.
  static Result<WebConfig> load(const std::string& path);
  static Result<WebConfig> parse(const std::string& text, const std::string& path);
};

}  // namespace llmtap
