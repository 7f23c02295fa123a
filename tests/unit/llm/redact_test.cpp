// SPDX-License-Identifier: Apache-2.0
#include "llm/redact.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "llm/header_policy.h"

namespace llmtap {
namespace {

struct Case {
  std::string_view text, want;
};

// Assembled so that no line of this file has the shape of a real key.
const std::string kTail = "Abcd1234efGH5678ijkl";

class MaskKeys : public ::testing::TestWithParam<std::string_view> {};
TEST_P(MaskKeys, OverwritesTheWholeKey) {
  const std::string key = std::string(GetParam()) + kTail;
  EXPECT_EQ(mask_secrets(key), "[redacted]");
  EXPECT_EQ(mask_secrets("Incorrect key: " + key + ". See"), "Incorrect key: [redacted]. See");
  EXPECT_EQ(mask_secrets("{\"k\":\"" + key + "\"}"), "{\"k\":\"[redacted]\"}");
  EXPECT_EQ(mask_secrets("a%3D" + key + "&b"), "a%3D[redacted]&b");
}
INSTANTIATE_TEST_SUITE_P(Prefixes, MaskKeys,
                         ::testing::Values("sk-", "sk-ant-api03-", "sk-or-v1-", "sk-proj-", "AIza", "ya29.",
                                           "gsk_", "xai-", "hf_", "pplx-", "nvapi-", "AKIA", "ASIA", "org-",
                                           "Bearer ", "bearer ", "Basic ",
                                           "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0."));

class Mask : public ::testing::TestWithParam<Case> {};
TEST_P(Mask, Text) { EXPECT_EQ(mask_secrets(GetParam().text), GetParam().want); }
INSTANTIATE_TEST_SUITE_P(
    Cases, Mask,
    ::testing::Values(Case{"", ""}, Case{"plain text", "plain text"}, Case{"sk-", "sk-"},
                      Case{"a task-force-of-many", "a task-force-of-many"},
                      Case{"sk-ab****************yz given", "[redacted] given"},
                      Case{"user jane.doe+x@example.co.uk failed", "user [redacted] failed"},
                      Case{"a@b", "a@b"}, Case{"@example.com", "@example.com"},
                      Case{"claude-haiku-4-5@20251001", "claude-haiku-4-5@20251001"},
                      Case{"x@y.io and z@w.io", "[redacted] and [redacted]"},
                      Case{"the bearer token is missing", "the bearer token is missing"},
                      Case{"Authorization: Bearer abcDEF123", "Authorization: [redacted]"}));

struct PathCase {
  std::string_view target, want;
};
class SafePath : public ::testing::TestWithParam<PathCase> {};
TEST_P(SafePath, Target) { EXPECT_EQ(safe_path(GetParam().target), GetParam().want); }
INSTANTIATE_TEST_SUITE_P(
    Cases, SafePath,
    ::testing::Values(PathCase{"/v1/messages?beta=true", "/v1/messages?beta=true"},
                      PathCase{"/v1beta/models/m:generateContent?key=abc&alt=sse",
                               "/v1beta/models/m:generateContent?alt=sse"},
                      PathCase{"/x?Model=a&access_token=b&sig=c&X-Amz-Signature=d", "/x"},
                      PathCase{"/x?model=sk-Abcd1234efGH5678", "/x?model=[redacted]"},
                      PathCase{"https://user:pw@api.test/v1?stream=1#f", "https://api.test/v1?stream=1"},
                      PathCase{"https://a@b@api.test", "https://api.test"}, PathCase{"//u:p@h/x", "//h/x"},
                      PathCase{"u:p@host:443", "host:443"}, PathCase{"host:443", "host:443"},
                      PathCase{"/a b\x01\x7f\xc3\xa9", "/a%20b%01%7f%c3%a9"},
                      PathCase{"/files/sk-Abcd1234efGH5678/x", "/files/[redacted]/x"}, PathCase{"*", "*"},
                      PathCase{"", ""}));

TEST(SafePath, IsCut) {
  EXPECT_EQ(safe_path("/" + std::string(1000, 'a'), 16), "/" + std::string(15, 'a'));
  EXPECT_EQ(safe_path(std::string("/aa\x01", 4), 5), "/aa");
}

TEST(BoundedLabel, IsPrintableUtf8) {
  EXPECT_EQ(bounded_label("gpt-5.5"), "gpt-5.5");
  EXPECT_EQ(bounded_label("a\nb\x7f\xc2\x85"), "a_b__");
  EXPECT_EQ(bounded_label("\xff\xc3"), "__");
  EXPECT_EQ(bounded_label("\xed\xa0\x80"), "___");  // a surrogate
  EXPECT_EQ(bounded_label("\xc3\xa9\xc3\xa9", 3), "\xc3\xa9");
  EXPECT_EQ(bounded_label("abcdef", 3), "abc");
}

TEST(HeaderPolicy, KeepsFactsAndDropsSecrets) {
  for (const std::string_view name :
       {"content-type", "Content-Type", "x-ratelimit-remaining-tokens", "anthropic-version",
        "x-litellm-key-spend", "anthropic-ratelimit-tokens-reset", "llm_provider-x-request-id",
        "x-amzn-requestid", "traceparent"}) {
    EXPECT_TRUE(is_allowed_header(name)) << name;
    EXPECT_FALSE(is_credential_header(name)) << name;
  }
  for (const std::string_view name : {"authorization",
                                      "Proxy-Authorization",
                                      "x-api-key",
                                      "api-key",
                                      "X-Goog-Api-Key",
                                      "x-goog-iam-authorization-token",
                                      "ocp-apim-subscription-key",
                                      "cookie",
                                      "set-cookie",
                                      "x-amz-security-token",
                                      "sec-websocket-protocol",
                                      "sec-websocket-key",
                                      "x-portkey-api-key",
                                      "x-portkey-virtual-key",
                                      "x-portkey-config",
                                      "x-portkey-aws-access",
                                      "helicone-auth",
                                      "cf-aig-authorization",
                                      "x-aigw-anything",
                                      "x-litellm-api-key",
                                      "x-litellm-key",
                                      "mcp-session-id",
                                      "mcp-param-x",
                                      "x-auth-token",
                                      "x-access-token",
                                      "x-forwarded-client-cert",
                                      "llm_provider-set-cookie",
                                      "my-secret",
                                      "x-signature"}) {
    EXPECT_FALSE(is_allowed_header(name)) << name;
    EXPECT_TRUE(is_credential_header(name)) << name;
  }
  for (const std::string_view name :
       {"", "x-litellm-tags", "x-forwarded-for", "referer", "x-litellm-end-user-id", "openai-organization",
        "x-unknown", "helicone-user-id"})
    EXPECT_FALSE(is_allowed_header(name)) << name;
}

}  // namespace
}  // namespace llmtap
