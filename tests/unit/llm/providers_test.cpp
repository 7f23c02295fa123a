// SPDX-License-Identifier: Apache-2.0
#include "llm/providers.h"

#include <gtest/gtest.h>

#include "llm/recognise.h"

namespace llmtap {
namespace {

TEST(Providers, HostDecides) {
  const ProviderTable table({});
  const auto provider = [&](std::string_view host, uint16_t port = 443,
                            std::string_view path = "/v1/chat/completions") {
    return table.match(host, port, path).provider;
  };
  EXPECT_EQ(provider("API.OpenAI.com"), "openai");
  EXPECT_EQ(provider("eu.api.openai.com"), "openai");
  EXPECT_EQ(provider("notapi.openai.com"), "");
  EXPECT_EQ(provider("api.openai.com.evil.example"), "");
  EXPECT_EQ(provider("my-res.openai.azure.com"), "azure.ai.openai");
  EXPECT_EQ(provider("bedrock-runtime.us-east-1.amazonaws.com"), "aws.bedrock");
  EXPECT_EQ(provider("bedrock-runtime-fips.us-east-1.amazonaws.com"), "aws.bedrock");
  EXPECT_EQ(provider("us-central1-aiplatform.googleapis.com"), "gcp.vertex_ai");
  EXPECT_EQ(provider("dashscope-intl.aliyuncs.com"), "dashscope");
  EXPECT_EQ(provider("openrouter.ai", 443, "/api/v1/chat/completions"), "openrouter");
  EXPECT_EQ(provider("openrouter.ai", 443, "/docs"), "");
  EXPECT_EQ(provider("chatgpt.com", 443, "/backend-api/codex/responses"), "openai");
  EXPECT_EQ(provider("chatgpt.com", 443, "/"), "");
  EXPECT_EQ(provider("gpu-box", 11434), "ollama");
  EXPECT_EQ(provider("gpu-box", 8000), "");
  EXPECT_EQ(provider(""), "");
}

TEST(Providers, PortOfAnAuthority) {
  uint16_t port = 1;
  EXPECT_EQ(split_port("api.openai.com", port), "api.openai.com");
  EXPECT_EQ(port, 0);
  EXPECT_EQ(split_port("gw:4000", port), "gw");
  EXPECT_EQ(port, 4000);
  EXPECT_EQ(split_port("[::1]:8080", port), "[::1]");
  EXPECT_EQ(port, 8080);
  EXPECT_EQ(split_port("[fe80::1]", port), "[fe80::1]");
  EXPECT_EQ(port, 0);
  EXPECT_EQ(split_port("user:secret@gw:99", port), "gw");
  EXPECT_EQ(split_port("gw:99999999", port), "gw");
  EXPECT_EQ(port, 0);
}

TEST(Providers, HostOfARequest) {
  ConnectionFacts connection;
  connection.source = Source::kOpenSsl;
  connection.sni = "sni.example";
  RequestHead head;
  head.target = "/x";
  EXPECT_EQ(host_of(connection, head, CallDirection::kOutbound).name, "sni.example");
  head.authority = "Host.Example:443";
  EXPECT_EQ(host_of(connection, head, CallDirection::kOutbound).name, "host.example");
  head.authority = "host.example:80";
  EXPECT_EQ(host_of(connection, head, CallDirection::kOutbound).name, "host.example:80");
  connection.source = Source::kSocket;
  EXPECT_EQ(host_of(connection, head, CallDirection::kOutbound).name, "host.example");
  head.target = "http://api.groq.com/openai/v1/models?x=1";
  EXPECT_EQ(host_of(connection, head, CallDirection::kOutbound).name, "api.groq.com");
}

}  // namespace
}  // namespace llmtap
