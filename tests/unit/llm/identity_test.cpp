// SPDX-License-Identifier: Apache-2.0
#include "llm/identity.h"

#include <gtest/gtest.h>

#include <vector>

namespace llmtap {
namespace {

std::string credential(std::vector<HeaderField> fields) { return credential_sha256(fields); }

TEST(Sha256, OfAKnownText) {  // FIPS 180-2, B.1
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Credential, IsHashedWithoutItsScheme) {
  const std::string want = sha256_hex("key-1");
  for (const HeaderField field :
       {HeaderField{"authorization", "Bearer key-1"}, HeaderField{"authorization", "bearer   key-1 "},
        HeaderField{"Authorization", "key-1"}, HeaderField{"x-api-key", "key-1"},
        HeaderField{"api-key", "key-1"}, HeaderField{"x-goog-api-key", "key-1"},
        HeaderField{"x-litellm-api-key", "Bearer key-1"}, HeaderField{"ocp-apim-subscription-key", "key-1"}})
    EXPECT_EQ(credential({field}), want) << field.name << " " << field.value;
}

TEST(Credential, OrderOfHeaders) {
  EXPECT_EQ(credential({{"api-key", "c"}, {"x-api-key", "b"}, {"authorization", "Bearer a"}}),
            sha256_hex("a"));
  EXPECT_EQ(credential({{"api-key", "c"}, {"x-api-key", "b"}, {"authorization", "Basic a"}}),
            sha256_hex("b"));
}

TEST(Credential, SignaturesAndPasswordsAreNoKeys) {
  for (const std::string_view value : {"", "Bearer", "Bearer ", "Basic dXNlcjpwdw==",
                                       "AWS4-HMAC-SHA256 Credential=A/b, Signature=c", "Bearer a b"})
    EXPECT_EQ(credential({{"authorization", value}}), "") << value;
  EXPECT_EQ(credential({}), "");
}

TEST(EndUser, OrderOfHeaders) {
  const std::vector<std::string> configured{"x-openwebui-user-id"};
  std::vector<HeaderField> fields{{"x-portkey-metadata", R"({"_user":"e","n":1})"}};
  const auto user = [&] { return end_user_sha256(fields, configured); };
  EXPECT_EQ(user(), sha256_hex("e"));
  fields.push_back({"helicone-user-id", "d"});
  EXPECT_EQ(user(), sha256_hex("d"));
  fields.push_back({"x-openwebui-user-id", "c"});
  EXPECT_EQ(user(), sha256_hex("c"));
  fields.push_back({"x-litellm-end-user-id", "b"});
  EXPECT_EQ(user(), sha256_hex("b"));
  fields.push_back({"x-litellm-customer-id", "a"});
  EXPECT_EQ(user(), sha256_hex("a"));
}

TEST(EndUser, OfNothing) {
  EXPECT_EQ(end_user_sha256({}), "");
  for (const std::string_view metadata : {"", "{", "[]", "{}", R"({"_user":7})", R"({"_user":""})"}) {
    const HeaderField fields[] = {{"x-portkey-metadata", metadata}};
    EXPECT_EQ(end_user_sha256(fields), "") << metadata;
  }
  EXPECT_EQ(hash_end_user("  "), "");
  EXPECT_EQ(hash_end_user(" u "), sha256_hex("u"));
}

TEST(EndUser, OfAJwt) {
  const auto subject = [](std::string_view token) {
    const std::string value = "Bearer " + std::string(token);
    const HeaderField fields[] = {{"authorization", value}};
    return jwt_subject_sha256(fields);
  };
  // {"sub":"u-1","email":"e"}, {"email":"e"}, {"sub":7}
  EXPECT_EQ(subject("eyJh.eyJzdWIiOiJ1LTEiLCJlbWFpbCI6ImUifQ.sig"), sha256_hex("u-1"));
  EXPECT_EQ(subject("eyJh.eyJlbWFpbCI6ImUifQ.sig"), sha256_hex("e"));
  for (const std::string_view bad :
       {"eyJh.eyJzdWIiOjd9.sig", "eyJh", "eyJh.", "eyJh..", "eyJh.!!!.x", "eyJh.AAAA.x", "key"})
    EXPECT_EQ(subject(bad), "") << bad;
}

}  // namespace
}  // namespace llmtap
