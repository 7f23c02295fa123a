// SPDX-License-Identifier: Apache-2.0
#include "sinks/web_config.h"

#include <openssl/ssl.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "base/ascii.h"

namespace llmtap {
namespace {

constexpr const char* kFormat =
    "the format is that of Prometheus exporters (exporter-toolkit, web configuration)";
constexpr const char* kKeys = "valid: tls_server_config, basic_auth_users, bearer_token_sha256";
constexpr const char* kTlsKeys =
    "valid: cert_file, key_file, client_ca_file, client_auth_type, min_version, max_version";

struct Reader {
  std::string path;

  Error error_at(const YAML::Mark& mark, const std::string& what, std::string hint = kFormat) const {
    return Error{path + ":" + std::to_string(mark.line + 1) + ": " + what, std::move(hint)};
  }
  std::string absolute(const std::string& file) const {
    if (file.empty() || file.front() == '/') return file;
    return (std::filesystem::path(path).parent_path() / file).string();
  }
  Result<std::string> scalar(const YAML::Node& node, const std::string& key) const {
    if (!node.IsScalar()) return error_at(node.Mark(), key + " must be a single value");
    return node.Scalar();
  }

  Result<> read_tls(const YAML::Node& node, WebConfig& config) const;
  Result<> read_users(const YAML::Node& node, WebConfig& config) const;
  Result<> read_tokens(const YAML::Node& node, WebConfig& config) const;
  Result<WebConfig> read(const YAML::Node& root) const;
};

constexpr std::array<std::pair<std::string_view, ClientAuth>, 5> kClientAuth{{
    {"NoClientCert", ClientAuth::kNone},
    {"RequestClientCert", ClientAuth::kRequest},
    {"RequireAnyClientCert", ClientAuth::kRequireAny},
    {"VerifyClientCertIfGiven", ClientAuth::kVerifyIfGiven},
    {"RequireAndVerifyClientCert", ClientAuth::kRequireAndVerify},
}};
constexpr std::array<std::pair<std::string_view, int>, 4> kVersions{{{"TLS10", TLS1_VERSION},
                                                                     {"TLS11", TLS1_1_VERSION},
                                                                     {"TLS12", TLS1_2_VERSION},
                                                                     {"TLS13", TLS1_3_VERSION}}};

template <typename Table>
std::string choices(const Table& table) {
  std::string all;
  for (const auto& [name, value] : table) all.append(all.empty() ? "" : ", ").append(name);
  return all;
}

Result<> Reader::read_tls(const YAML::Node& node, WebConfig& config) const {
  if (!node.IsMap()) return error_at(node.Mark(), "tls_server_config must be a map");
  config.has_tls = true;
  for (const auto& entry : node) {
    const std::string key = LLMTAP_TRY(scalar(entry.first, "a key"));
    const std::string value = LLMTAP_TRY(scalar(entry.second, key));
    const YAML::Mark mark = entry.second.Mark();
    if (key == "cert_file") {
      config.tls.cert_file = absolute(value);
    } else if (key == "key_file") {
      config.tls.key_file = absolute(value);
    } else if (key == "client_ca_file") {
      config.tls.client_ca_file = absolute(value);
    } else if (key == "client_auth_type") {
      const auto* found =
          std::ranges::find(kClientAuth, value, &std::pair<std::string_view, ClientAuth>::first);
      if (found == kClientAuth.end())
        return error_at(mark,
                        "client_auth_type is \"" + value + "\", must be one of " + choices(kClientAuth));
      config.tls.client_auth = found->second;
    } else if (key == "min_version" || key == "max_version") {
      const auto* found = std::ranges::find(kVersions, value, &std::pair<std::string_view, int>::first);
      if (found == kVersions.end())
        return error_at(mark, std::string(key).append(" is \"").append(value).append("\", must be one of " +
                                                                                     choices(kVersions)));
      (key == "min_version" ? config.tls.min_version : config.tls.max_version) = found->second;
    } else {
      return error_at(entry.first.Mark(), "unknown key \"" + key + "\" in tls_server_config", kTlsKeys);
    }
  }
  const WebConfig::Tls& tls = config.tls;
  if (tls.cert_file.empty() || tls.key_file.empty())
    return error_at(node.Mark(), "tls_server_config needs cert_file and key_file");
  const bool verifies =
      tls.client_auth == ClientAuth::kVerifyIfGiven || tls.client_auth == ClientAuth::kRequireAndVerify;
  if (verifies && tls.client_ca_file.empty())
    return error_at(node.Mark(), "this client_auth_type needs client_ca_file");
  // As the exporters do: an authority without a rule how to use it is a mistake that leaves the door open.
  if (!verifies && !tls.client_ca_file.empty())
    return error_at(node.Mark(), "client_ca_file is set, but client_auth_type does not verify certificates");
  return Ok{};
}

Result<> Reader::read_users(const YAML::Node& node, WebConfig& config) const {
  if (!node.IsMap()) return error_at(node.Mark(), "basic_auth_users must map names to bcrypt hashes");
  for (const auto& entry : node) {
    const std::string user = LLMTAP_TRY(scalar(entry.first, "a user name"));
    const std::string hash = LLMTAP_TRY(scalar(entry.second, "a password hash"));
    const bool bcrypt = hash.size() == 60 && hash.starts_with("$2") &&
                        std::string_view("aby").find(hash[2]) != std::string_view::npos && hash[3] == '$';
    if (user.empty() || user.find(':') != std::string::npos)
      return error_at(entry.first.Mark(), "a user name must not be empty or contain a colon");
    // The value itself is not repeated: it may be a password written here by mistake.
    if (!bcrypt)
      return error_at(entry.second.Mark(), "the password of user \"" + user + "\" is no bcrypt hash",
                      "make one with: htpasswd -nBC 10 \"\"");
    config.basic_auth_users[user] = hash;
  }
  return Ok{};
}

Result<> Reader::read_tokens(const YAML::Node& node, WebConfig& config) const {
  if (!node.IsSequence()) return error_at(node.Mark(), "bearer_token_sha256 must be a list");
  for (const YAML::Node& item : node) {
    std::string hash = LLMTAP_TRY(scalar(item, "a token hash"));
    const bool hex = std::ranges::all_of(hash, is_hex);
    if (hash.size() != 64 || !hex)
      return error_at(item.Mark(), "a token hash must be 64 hex digits",
                      "make one with: printf %s TOKEN | sha256sum");
    config.bearer_token_sha256.push_back(lowered(hash));
  }
  return Ok{};
}

Result<WebConfig> Reader::read(const YAML::Node& root) const {
  WebConfig config;
  if (root.IsNull()) return config;
  if (!root.IsMap()) return error_at(root.Mark(), "expected keys such as tls_server_config", kKeys);
  for (const auto& entry : root) {
    const std::string key = LLMTAP_TRY(scalar(entry.first, "a key"));
    if (key == "tls_server_config") {
      LLMTAP_TRY(read_tls(entry.second, config));
    } else if (key == "basic_auth_users") {
      LLMTAP_TRY(read_users(entry.second, config));
    } else if (key == "bearer_token_sha256") {
      LLMTAP_TRY(read_tokens(entry.second, config));
    } else {
      return error_at(entry.first.Mark(), "unknown key \"" + key + "\"", kKeys);
    }
  }
  return config;
}

}  // namespace

Result<WebConfig> WebConfig::parse(const std::string& text, const std::string& path) {
  const Reader reader{path};
  try {
    return reader.read(YAML::Load(text));
  } catch (const YAML::Exception& failure) {
    return reader.error_at(failure.mark, failure.msg);
  } catch (const std::exception& failure) {
    return Error{path + ": " + failure.what()};
  }
}

Result<WebConfig> WebConfig::load(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf()))
    return Error{"cannot read web configuration " + path + ": " + std::strerror(errno),
                 "web.config.file must exist and be readable by this user"};
  return parse(text.str(), path);
}

}  // namespace llmtap
