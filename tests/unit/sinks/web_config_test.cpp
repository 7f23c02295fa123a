// SPDX-License-Identifier: Apache-2.0
#include "sinks/web_config.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>

namespace llmtap {
namespace {

constexpr char kHash[] = "$2y$10$abcdefghijklmnopqrstuuZ1Z1Z1Z1Z1Z1Z1Z1Z1Z1Z1Z1Z1Z1Z1Z";

TEST(WebConfig, ReadsEveryKey) {
  const Result<WebConfig> config = WebConfig::parse(
      "tls_server_config:\n  cert_file: server.crt\n  key_file: /keys/server.key\n  client_ca_file: ca.crt\n"
      "  client_auth_type: RequireAndVerifyClientCert\n  min_version: TLS13\n"
      "basic_auth_users:\n  alice: " +
          std::string(kHash) +
          "\n"
          "bearer_token_sha256:\n  - " +
          std::string(64, 'A') + "\n",
      "/etc/llmtap/web.yml");
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_TRUE(config->has_tls);
  EXPECT_EQ(config->tls.cert_file, "/etc/llmtap/server.crt");
  EXPECT_EQ(config->tls.key_file, "/keys/server.key");
  EXPECT_EQ(config->tls.client_auth, ClientAuth::kRequireAndVerify);
  EXPECT_EQ(config->tls.min_version, TLS1_3_VERSION);
  EXPECT_EQ(config->basic_auth_users.at("alice"), kHash);
  EXPECT_EQ(config->bearer_token_sha256.at(0), std::string(64, 'a'));
  EXPECT_FALSE(config->open_to_all());
}

TEST(WebConfig, AnEmptyFileProtectsNothing) {
  const Result<WebConfig> config = WebConfig::parse("", "web.yml");
  ASSERT_TRUE(config.has_value());
  EXPECT_TRUE(config->open_to_all());
  EXPECT_FALSE(config->has_tls);
}

TEST(WebConfig, SaysWhichKeysThereAre) {
  const Result<WebConfig> config = WebConfig::parse("tls_server_confg:\n  cert_file: a\n", "web.yml");
  ASSERT_FALSE(config.has_value());
  EXPECT_NE(config.error().hint.find("tls_server_config"), std::string::npos);
  const Result<WebConfig> absent = WebConfig::load("/nonexistent/web.yml");
  ASSERT_FALSE(absent.has_value());
  EXPECT_NE(absent.error().message.find("/nonexistent/web.yml: No such file"), std::string::npos);
  EXPECT_NE(absent.error().hint.find("web.config.file"), std::string::npos);
}

struct Case {
  std::string name, text, want;
};

class WebConfigErrors : public ::testing::TestWithParam<Case> {};

TEST_P(WebConfigErrors, NameFileAndLine) {
  const Result<WebConfig> config = WebConfig::parse(GetParam().text, "web.yml");
  ASSERT_FALSE(config.has_value());
  EXPECT_EQ(config.error().message, GetParam().want);
  EXPECT_FALSE(config.error().hint.empty());
}

INSTANTIATE_TEST_SUITE_P(
    Cases, WebConfigErrors,
    ::testing::Values(
        Case{"UnknownKey", "\nfoo: 1\n", "web.yml:2: unknown key \"foo\""},
        Case{"UnknownTlsKey", "tls_server_config:\n  cert_file: a\n  colour: red\n",
             "web.yml:3: unknown key \"colour\" in tls_server_config"},
        Case{"NoKeyFile", "tls_server_config:\n  cert_file: a\n",
             "web.yml:2: tls_server_config needs cert_file and key_file"},
        Case{"BadVersion", "tls_server_config:\n  min_version: SSL3\n",
             "web.yml:2: min_version is \"SSL3\", must be one of TLS10, TLS11, TLS12, TLS13"},
        Case{"AuthorityUnused", "tls_server_config:\n  cert_file: a\n  key_file: b\n  client_ca_file: c\n",
             "web.yml:2: client_ca_file is set, but client_auth_type does not verify certificates"},
        Case{"AuthorityMissing",
             "tls_server_config:\n  cert_file: a\n  key_file: b\n  client_auth_type: "
             "RequireAndVerifyClientCert\n",
             "web.yml:2: this client_auth_type needs client_ca_file"},
        Case{"PlainPassword", "basic_auth_users:\n  alice: secret\n",
             "web.yml:2: the password of user \"alice\" is no bcrypt hash"},
        Case{"ShortToken", "bearer_token_sha256:\n  - abc\n",
             "web.yml:2: a token hash must be 64 hex digits"},
        Case{"NotYaml", "a: [1\n", "web.yml:2: end of sequence flow not found"},
        Case{"NotAMap", "- a\n", "web.yml:1: expected keys such as tls_server_config"}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace llmtap
