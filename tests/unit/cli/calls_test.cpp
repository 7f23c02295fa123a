// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sstream>
#include <thread>

#include "cli/calls_table.h"
#include "cli/cli.h"
#include "cli/http_get.h"

namespace llmtap {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr const char* kTwoCalls = R"({"calls": [
  {"time": "2026-01-02T03:04:06.500Z", "workload": "agent", "direction": "outbound", "provider": "openai",
   "requested_model": "gpt-4o", "model": "gpt-4o-2024-08-06", "status": 200, "outcome": "ok",
   "input_tokens": 120, "output_tokens": 30, "token_source": "reported", "cost_usd": 0.0006,
   "ttft_ms": 310.4, "duration_ms": 12345.6},
  {"time": "2026-01-02T03:04:05Z", "workload": "x\u001b[2J", "direction": "inbound", "provider": "anthropic",
   "requested_model": "claude", "model": null, "status": null, "outcome": "connection_error",
   "input_tokens": null, "output_tokens": 7, "token_source": "estimated", "cost_usd": null, "ttft_ms": null, "duration_ms": 4.25}
]})";

TEST(CallsTable, AlignsTheCallsNewestLast) {
  const auto table = calls_table(kTwoCalls, 20);
  ASSERT_TRUE(table.has_value());
  EXPECT_EQ(*table,
            "TIME      WORKLOAD  DIR       PROVIDER   MODEL              STATUS            IN / OUT       "
            "COST    TTFT  DURATION\n"
            "03:04:05  x?[2J     inbound   anthropic  claude             connection_error    - / ~7          "
            "-       -    4.2 ms\n"
            "03:04:06  agent     outbound  openai     gpt-4o-2024-08-06  200               120 / 30  "
            "$0.000600  310 ms    12.3 s\n");
  const auto one = calls_table(kTwoCalls, 1);
  ASSERT_TRUE(one.has_value());
  EXPECT_THAT(*one, AllOf(HasSubstr("03:04:06"), Not(HasSubstr("03:04:05"))));
}

TEST(CallsTable, TakesNothingForGranted) {
  EXPECT_EQ(*calls_table(R"({"calls": []})", 20), "No calls yet.\n");
  EXPECT_TRUE(calls_table(R"([{"model": {"a": 1}, "duration_ms": "x", "cost_usd": 1e308}])", 20).has_value());
  for (const char* bad : {"", "{", "1", "null", "{}", R"({"calls": 1})"})
    EXPECT_FALSE(calls_table(bad, 20).has_value()) << bad;
}

TEST(CallsTable, CutsLongNamesAtACharacter) {
  const std::string name = "m" + std::string(100, 'x') + "\xC3\xBC";
  const auto table = calls_table(R"([{"model": ")" + name + R"("}])", 20);
  ASSERT_TRUE(table.has_value());
  EXPECT_THAT(*table, HasSubstr("m" + std::string(34, 'x') + "…"));
}

TEST(HttpReply, ParsesWhatOurServerSends) {
  const auto reply =
      parse_http_reply("HTTP/1.1 200 OK\r\nContent-Type: x\r\ncontent-length: 3\r\n\r\nabcdef");
  ASSERT_TRUE(reply.has_value()) << reply.error().message;
  EXPECT_EQ(reply->status, 200);
  EXPECT_EQ(reply->body, "abc");
  EXPECT_EQ(parse_http_reply("HTTP/1.0 404 Not Found\r\n\r\nto the end")->body, "to the end");
}

TEST(HttpReply, RefusesWhatIsNoWholeReply) {
  for (const char* bad :
       {"", "HTTP/1.1 200 OK\r\n", "SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 x\r\n\r\n", "HTTP/1.\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"})
    EXPECT_FALSE(parse_http_reply(bad).has_value()) << bad;
}

// Answers one connection with `reply` after it has read a request head.
class OneShotServer {
 public:
  explicit OneShotServer(std::string reply) : listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), length), 0);
    EXPECT_EQ(::listen(listener_, 1), 0);
    EXPECT_EQ(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, reply = std::move(reply)] {
      const int fd = ::accept(listener_, nullptr, nullptr);
      char byte = 0;
      while (!request_.ends_with("\r\n\r\n") && ::recv(fd, &byte, 1, 0) == 1) request_ += byte;
      EXPECT_EQ(::send(fd, reply.data(), reply.size(), MSG_NOSIGNAL), static_cast<ssize_t>(reply.size()));
      ::close(fd);
    });
  }
  ~OneShotServer() {
    if (thread_.joinable()) thread_.join();
    ::close(listener_);
  }
  OneShotServer(const OneShotServer&) = delete;
  OneShotServer& operator=(const OneShotServer&) = delete;
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  std::string request() {
    thread_.join();
    return request_;
  }

 private:
  int listener_;
  uint16_t port_ = 0;
  std::string request_;
  std::thread thread_;
};

int run_calls(std::vector<std::string> arguments, std::string& out, std::string& err) {
  arguments.insert(arguments.begin(), "calls");
  const Operations operations{};
  std::ostringstream out_stream, err_stream;
  const int code = run_command_line(arguments, {operations, {}, out_stream, err_stream});
  out = out_stream.str();
  err = err_stream.str();
  return code;
}

std::string reply_with(const std::string& status, const std::string& body) {
  return "HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

TEST(CallsCommand, AsksTheDaemon) {
  std::string out, err;
  OneShotServer server(reply_with("200 OK", kTwoCalls));
  EXPECT_EQ(run_calls({"--address", server.address(), "-n", "5"}, out, err), kExitOk) << err;
  EXPECT_THAT(out, StartsWith("TIME"));
  EXPECT_THAT(server.request(), StartsWith("GET /api/calls?n=5 HTTP/1.1\r\nHost: " + server.address()));

  OneShotServer json(reply_with("200 OK", kTwoCalls));
  EXPECT_EQ(run_calls({"--address", json.address(), "--json"}, out, err), kExitOk) << err;
  EXPECT_THAT(out, StartsWith(R"({"calls":[{"time":"2026-01-02T03:04:06.500Z","workload":"agent",)"));
  EXPECT_THAT(*calls_json(kTwoCalls, 1), Not(HasSubstr("anthropic")));
}

TEST(CallsCommand, SaysWhatIsWrong) {
  std::string out, err;
  OneShotServer guarded(reply_with("401 Unauthorized", ""));
  EXPECT_EQ(run_calls({"--address", guarded.address()}, out, err), kExitFailure);
  EXPECT_THAT(err, AllOf(HasSubstr("answered status 401"), HasSubstr("web.config.file")));

  OneShotServer other("SSH-2.0-OpenSSH_9.2\r\n");
  EXPECT_EQ(run_calls({"--address", other.address()}, out, err), kExitFailure);
  EXPECT_THAT(err, HasSubstr("the reply is not HTTP"));

  EXPECT_EQ(run_calls({"--address", "nonsense"}, out, err), kExitUsage);
  EXPECT_THAT(err, HasSubstr("--address"));
}

TEST(CallsCommand, SaysThatNobodyListens) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);  // bound and not listening: the port is nobody else's
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length), 0);
  const std::string place = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  std::string out, err;
  EXPECT_EQ(run_calls({"--address", place}, out, err), kExitFailure);
  EXPECT_EQ(err, "llmtap: cannot ask the daemon: cannot reach " + place +
                     ": Connection refused\n    is llmtap run active on this machine? --address says where "
                     "it listens\n");
  ::close(fd);
}

}  // namespace
}  // namespace llmtap
