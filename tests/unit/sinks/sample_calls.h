// SPDX-License-Identifier: Apache-2.0
// The fixed calls that every sink test feeds, and comparison with golden files.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "llmtap/llm_call.h"

namespace llmtap::testing {

inline constexpr uint64_t kSecond = 1'000'000'000;
inline constexpr uint64_t kMillisecond = 1'000'000;
inline constexpr uint64_t kWall = 1'767'323'045 * kSecond + 120 * kMillisecond;  // 2026-01-02T03:04:05.120Z

inline std::shared_ptr<const ProcessFacts> process(const std::string& workload) {
  ProcessFacts facts;
  facts.key = {4242, 1};
  facts.comm = "python3";
  facts.exe = "/usr/bin/python3";
  facts.workload = workload;
  return std::make_shared<const ProcessFacts>(facts);
}

inline Endpoint ipv4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port) {
  Endpoint endpoint;
  endpoint.address = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d};
  endpoint.port = port;
  return endpoint;
}

// A streamed chat call of a client, with everything known.
inline LlmCall streamed_call() {
  LlmCall call;
  call.exchange = {7, 0};
  call.process = process("chat.py");
  call.connection.id = 7;
  call.connection.process = call.process->key;
  call.connection.role = Role::kClient;
  call.connection.source = Source::kOpenSsl;
  call.connection.has_addresses = true;
  call.connection.local = ipv4(10, 0, 0, 7, 40000);
  call.connection.remote = ipv4(203, 0, 113, 9, 443);
  call.direction = CallDirection::kOutbound;
  call.role = WorkloadRole::kClient;
  call.hop = Hop::kEdge;
  call.connection_reused = true;
  call.method = "POST";
  call.route = call.path = "/v1/chat/completions";
  call.host = "api.openai.com";
  call.http_version = HttpVersion::kHttp11;
  call.provider = "openai";
  call.operation = "chat";
  call.dialect = "openai_chat";
  call.requested_model = "gpt-4o";
  call.response_model = "gpt-4o-2024-08-06";
  call.stream = true;
  call.user_agent = "OpenAI/Python 1.50.0";
  call.max_tokens = 256;
  call.temperature = 0.5;
  call.status = 200;
  call.finish_reasons = {"tool_calls"};
  call.finish_class = "tool";
  call.tool_calls = 2;
  call.tool_names = {"get_weather"};
  call.request_id = "req-1";
  call.response_id = "chatcmpl-1";
  call.provider_request_id = "req_abc";
  call.trace_id = "0af7651916cd43dd8448eb211c80319c";
  call.parent_span_id = "b7ad6b7169203331";
  call.key_sha256 = std::string(64, 'a');
  call.request_bytes = 320;
  call.response_bytes = 5120;
  call.stream_chunks = 12;
  call.content_chunks = 10;
  call.gaps.counts[4] = 8;
  call.gaps.counts[7] = 1;
  call.gaps.total = 9;
  call.gaps.sum_seconds = 0.17;
  call.gaps.max_seconds = 0.045;
  call.tokens.input = 120;
  call.tokens.output = 31;
  call.tokens.cached = 100;
  call.tokens.reasoning = 0;
  call.tokens.source = TokenSource::kReported;
  call.cost_usd = 0.00061;
  call.cost_source = CostSource::kPriceTable;
  call.cost_booked = true;
  call.rate_limits.push_back({RateLimit::Kind::kRequests, RateLimit::Scope::kProvider, 500, 499, 0.12});
  call.request_start_ns = 100 * kSecond;
  call.request_end_ns = 100 * kSecond + 2 * kMillisecond;
  call.response_start_ns = 100 * kSecond + 250 * kMillisecond;
  call.first_body_ns = 100 * kSecond + 251 * kMillisecond;
  call.first_token_ns = call.first_content_ns = 100 * kSecond + 300 * kMillisecond;
  call.last_token_ns = 100 * kSecond + 900 * kMillisecond;
  call.end_ns = 101 * kSecond;
  call.start_wall_ns = kWall;
  call.end_wall_ns = kWall + kSecond;
  return call;
}

// A refused call as a gateway sees it from inside.
inline LlmCall refused_call() {
  LlmCall call;
  call.exchange = {8, 3};
  call.process = process("litellm");
  call.connection.id = 8;
  call.connection.role = Role::kServer;
  call.direction = CallDirection::kInbound;
  call.role = WorkloadRole::kGateway;
  call.hop = Hop::kInner;
  call.method = "POST";
  call.route = call.path = "/v1/messages";
  call.host = "gateway.internal:4000";
  call.http_version = HttpVersion::kHttp11;
  call.provider = "anthropic";
  call.operation = "messages";
  call.requested_model = "claude-sonnet-4";
  call.status = 429;
  call.outcome = Outcome::kRateLimited;
  call.error_class = "rate_limit";
  call.error_code = "rate_limit_error";
  call.limit_type = "rpm";
  call.retry_after_seconds = 7;
  call.request_bytes = 90;
  call.response_bytes = 60;
  call.request_start_ns = 200 * kSecond;
  call.request_end_ns = 200 * kSecond;
  call.response_start_ns = call.end_ns = 200 * kSecond + 4 * kMillisecond;
  call.start_wall_ns = kWall + 100 * kSecond;
  call.end_wall_ns = kWall + 100 * kSecond + 4 * kMillisecond;
  return call;
}

// A call without a reply: almost nothing is known.
inline LlmCall broken_call() {
  LlmCall call;
  call.exchange = {9, 0};
  call.process = process("chat.py");
  call.direction = CallDirection::kOutbound;
  call.provider = "openai_compatible";
  call.operation = "chat";
  call.method = "POST";
  call.route = call.path = "/v1/chat/completions";
  call.requested_model = "local";
  call.outcome = Outcome::kConnectionError;
  call.incomplete = Incomplete::kTruncated;
  call.request_bytes = 10;
  call.request_start_ns = 300 * kSecond;
  call.end_ns = 301 * kSecond;
  call.start_wall_ns = kWall + 200 * kSecond;
  call.end_wall_ns = kWall + 201 * kSecond;
  return call;
}

inline std::vector<LlmCall> sample_calls() { return {streamed_call(), refused_call(), broken_call()}; }

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// tests/unit/sinks/golden/<name>; LLMTAP_UPDATE_GOLDEN=1 rewrites it.
inline void expect_golden(const std::string& name, const std::string& text) {
  const std::string path = std::string(LLMTAP_SOURCE_DIR) + "/tests/unit/sinks/golden/" + name;
  if (getenv("LLMTAP_UPDATE_GOLDEN")) std::ofstream(path, std::ios::binary) << text;
  EXPECT_EQ(read_file(path), text) << path;
}

// A directory of this test's own, removed with everything in it.
class TempDir {
 public:
  TempDir() {
    char name[] = "/tmp/llmtap-test-XXXXXX";
    if (const char* made = mkdtemp(name)) path_ = made;
  }
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(file(name), std::ios::binary) << text;
    return file(name);
  }

 private:
  std::string path_;
};

struct CommandResult {
  int status = -1;
  std::string output;
};
// Standard output and standard error of a shell command.
inline CommandResult run(const std::string& command) {
  CommandResult result;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (!pipe) return result;
  char piece[4096];
  for (size_t got; (got = fread(piece, 1, sizeof piece, pipe)) > 0;) result.output.append(piece, got);
  const int status = pclose(pipe);
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return result;
}

inline TempDir::~TempDir() {
  if (!path_.empty()) run("rm -rf '" + path_ + "'");
}

}  // namespace llmtap::testing
