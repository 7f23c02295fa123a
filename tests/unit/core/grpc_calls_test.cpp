// SPDX-License-Identifier: Apache-2.0
// xAI's gRPC: a call is made of its heads and trailers, whatever its messages hold.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/core/compressors.h"
#include "unit/core/wire_calls.h"
#include "unit/llm/call_text.h"
#include "unit/protocols/http2_wire.h"

namespace llmtap::test {
namespace {

// A reply with this message, and the trailers behind it.
LlmCall call_with(const std::string& message) {
  h2::Encoder client, server;
  const std::string coded = '\1' + h2::be(message.size(), 4) + message;
  Script script = {ask(h2::kPreface + h2::kSettings +
                       client.headers(1, {{":method", "POST"},
                                          {":scheme", "https"},
                                          {":authority", "api.x.ai"},
                                          {":path", "/xai_api.Chat/GetCompletion"},
                                          {"content-type", "application/grpc"}})),
                   ask(h2::data(1, std::string("\0\0\0\0\2hi", 7), h2::kEndStream)),
                   reply(h2::join({h2::kSettings, server.headers(1, h2::ok("application/grpc",
                                                                           {{"grpc-encoding", "gzip"}}))}))};
  for (size_t at = 0; at < coded.size(); at += 16'000)
    script.push_back(reply(h2::data(1, coded.substr(at, 16'000))));
  script.push_back(reply(server.headers(1, {{"grpc-status", "0"}}, h2::kEndHeaders | h2::kEndStream)));
  script.push_back(close_by(EndReason::kClosed));
  const WireCalls read = calls_of(script);
  EXPECT_EQ(read.calls.size(), 1U);
  return read.calls.empty() ? LlmCall() : read.calls[0];
}

TEST(GrpcCalls, SayWhatWasNotDecompressed) {
  Gzip good;
  std::string text = good.add("a reply");
  text += good.finish();
  const LlmCall whole = call_with(text);
  EXPECT_EQ(whole.incomplete, Incomplete::kNo);
  EXPECT_EQ(whole.provider, "x_ai");
  EXPECT_EQ(whole.status, 200);

  Gzip bomb;
  std::string coded;
  const std::string zeros(16 << 20, '\0');
  for (int i = 0; i < 3; ++i) coded += bomb.add(zeros);
  coded += bomb.finish();
  const LlmCall stopped = call_with(coded);
  EXPECT_EQ(stopped.incomplete, Incomplete::kDecompressError) << call_text(stopped);
  EXPECT_EQ(stopped.provider, "x_ai");
  EXPECT_EQ(stopped.status, 200);
  EXPECT_GE(stopped.response_bytes, coded.size());
  // A message that ends before it says so.
  EXPECT_EQ(call_with(text.substr(0, text.size() - 9)).incomplete, Incomplete::kDecompressError);
}

}  // namespace
}  // namespace llmtap::test
