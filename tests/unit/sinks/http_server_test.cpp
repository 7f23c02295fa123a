// SPDX-License-Identifier: Apache-2.0
#include "sinks/http_server.h"

#include <arpa/inet.h>
#include <crypt.h>
#include <gmock/gmock.h>
#include <sys/socket.h>

#include "unit/sinks/sample_calls.h"

namespace llmtap {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using namespace llmtap::testing;

std::unique_ptr<HttpServer> serve(HttpServerOptions options) {
  if (options.listen == HttpServerOptions{}.listen) options.listen = "127.0.0.1:0";
  Result<std::unique_ptr<HttpServer>> server = HttpServer::open(std::move(options));
  if (!server) {
    ADD_FAILURE() << server.error().message;
    return nullptr;
  }
  const auto answer = [](std::string body) {
    return [body](const HttpRequest&) { return HttpResponse{.body = body}; };
  };
  (*server)->add_route("/metrics", answer("metric 1\n"), "Metrics");
  (*server)->add_route("/large", answer(std::string(100'000, 'x')));
  (*server)->add_route("/healthz", answer("ok\n"));
  (*server)->add_route("/echo", [](const HttpRequest& request) {
    return HttpResponse{.body = request.query + " " + std::string(request.header("x-test"))};
  });
  (*server)->add_route("/throws",
                       [](const HttpRequest&) -> HttpResponse { throw std::runtime_error("secret"); });
  (*server)->start();
  return *std::move(server);
}

CommandResult curl(const std::string& arguments) { return run("curl -sS --max-time 20 " + arguments); }

std::string url(const HttpServer& server, const std::string& path, const std::string& scheme = "http") {
  return "'" + scheme + "://" + server.address() + path + "'";
}

// What the server answers to these bytes until it closes.
std::string raw(const HttpServer& server, const std::string& bytes) {
  const FileDescriptor fd(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(server.port());
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) return "no connection";
  if (send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) return "not sent";
  std::string answer;
  char piece[4096];
  for (ssize_t got; (got = recv(fd.get(), piece, sizeof piece, 0)) > 0;)
    answer.append(piece, static_cast<size_t>(got));
  return answer;
}

TEST(HttpServer, AnswersGetAndHead) {
  const auto server = serve({});
  ASSERT_TRUE(server);
  const CommandResult got = curl("-i " + url(*server, "/metrics"));
  EXPECT_THAT(got.output, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(got.output, HasSubstr("\r\n\r\nmetric 1\n"));
  const CommandResult head = curl("-I " + url(*server, "/metrics"));
  EXPECT_THAT(head.output, HasSubstr("Content-Length: 9\r\n"));
  EXPECT_THAT(head.output, Not(HasSubstr("metric 1")));
  EXPECT_EQ(curl("-H 'X-Test: b' " + url(*server, "/echo?a=1")).output, "a=1 b");
  EXPECT_THAT(curl(url(*server, "/")).output, HasSubstr("<a href=\"/metrics\">Metrics</a>"));
  EXPECT_THAT(curl("-i " + url(*server, "/nothing")).output, StartsWith("HTTP/1.1 404"));
  const CommandResult thrown = curl("-i " + url(*server, "/throws"));
  EXPECT_THAT(thrown.output, StartsWith("HTTP/1.1 500"));
  EXPECT_THAT(thrown.output, Not(HasSubstr("secret")));
}

TEST(HttpServer, KeepsConnectionsAlive) {
  const auto server = serve({});
  ASSERT_TRUE(server);
  EXPECT_EQ(curl("-o /dev/null -o /dev/null -w '%{num_connects} ' " + url(*server, "/metrics") + " " +
                 url(*server, "/metrics"))
                .output,
            "1 0 ");
  EXPECT_THAT(raw(*server, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\nGET /healthz HTTP/1.0\r\n\r\n"),
              HasSubstr("ok\n"));
}

TEST(HttpServer, CompressesOnRequest) {
  const auto server = serve({});
  ASSERT_TRUE(server);
  EXPECT_EQ(curl("--compressed " + url(*server, "/large")).output, std::string(100'000, 'x'));
  EXPECT_THAT(curl("--compressed -I " + url(*server, "/large")).output, HasSubstr("Content-Encoding: gzip"));
  EXPECT_THAT(curl("-I " + url(*server, "/large")).output, Not(HasSubstr("Content-Encoding")));
  EXPECT_THAT(curl("-H 'Accept-Encoding: gzip;q=0' -I " + url(*server, "/large")).output,
              Not(HasSubstr("Content-Encoding")));
}

struct Refusal {
  std::string name, bytes, status;
};
class HttpServerRefusals : public ::testing::TestWithParam<Refusal> {};

TEST_P(HttpServerRefusals, AnswersAndCloses) {
  const auto server = serve({.request_timeout = std::chrono::milliseconds(200)});
  ASSERT_TRUE(server);
  EXPECT_THAT(raw(*server, GetParam().bytes), StartsWith("HTTP/1.1 " + GetParam().status));
}

INSTANTIATE_TEST_SUITE_P(
    Cases, HttpServerRefusals,
    ::testing::Values(
        Refusal{"Garbage", "hello\r\n\r\n", "400"},
        Refusal{"BareNewline", "GET / HTTP/1.1\nHost: a\n\n", "400"},
        Refusal{"NoHost", "GET / HTTP/1.1\r\n\r\n", "400"},
        Refusal{"TwoHosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"},
        Refusal{"BlankInName", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400"},
        Refusal{"Folded", "GET / HTTP/1.1\r\nHost: a\r\n b: c\r\n\r\n", "400"},
        Refusal{"Control", std::string("GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", 29), "400"},
        Refusal{"Http2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"},
        Refusal{"Post", "POST / HTTP/1.1\r\nHost: a\r\n\r\n", "405"},
        Refusal{"Body", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "413"},
        Refusal{"Chunked", "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "413"},
        Refusal{"LongHead", "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(20'000, 'x'), "431"},
        Refusal{"LongWholeHead", "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(17'000, 'x') + "\r\n\r\n",
                "431"},
        Refusal{"ManyFields",
                [] {
                  std::string head = "GET / HTTP/1.1\r\nHost: a\r\n";
                  for (int i = 0; i < 100; ++i) head += "X: 1\r\n";
                  return head + "\r\n";
                }(),
                "431"},
        Refusal{"Slow", "GET / HTT", "408"}),
    [](const auto& test) { return test.param.name; });

TEST(HttpServer, ConnectionsBeyondTheBoundAreClosed) {
  const auto server = serve({.connections = 1});
  ASSERT_TRUE(server);
  const FileDescriptor held(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(server->port());
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(connect(held.get(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
  EXPECT_EQ(raw(*server, "GET /metrics HTTP/1.0\r\n\r\n"), "");
}

TEST(HttpServer, ListensOnIpv6) {
  const auto server = serve({.listen = "[::1]:0"});
  ASSERT_TRUE(server);
  EXPECT_THAT(server->address(), StartsWith("[::1]:"));
  EXPECT_EQ(curl("-g " + url(*server, "/metrics")).output, "metric 1\n");
}

TEST(HttpServer, SaysWhenAnyoneMayRead) {
  EXPECT_FALSE(serve({})->exposed());
  EXPECT_TRUE(serve({.listen = ":0"})->exposed());
  TempDir dir;
  const std::string config = dir.write("web.yml", "bearer_token_sha256: [" + std::string(64, 'a') + "]\n");
  EXPECT_FALSE(serve({.listen = ":0", .web_config_file = config})->exposed());
}

TEST(HttpServer, ABusyPortIsAnErrorWithAHint) {
  const auto server = serve({});
  ASSERT_TRUE(server);
  const auto second = HttpServer::open({.listen = server->address()});
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().message, "listen on " + server->address() + ": Address already in use");
  EXPECT_THAT(second.error().hint, HasSubstr("metrics.listen"));
  for (const char* address : {"9464", "127.0.0.1:", "127.0.0.1:99999", "::1:9464", "[::1]", "a:b"})
    EXPECT_FALSE(HttpServer::open({.listen = address}).has_value()) << address;
}

std::string bcrypt(const std::string& password) {
  crypt_data data{};
  return crypt_r(password.c_str(), "$2b$04$abcdefghijklmnopqrstuu", &data);
}

TEST(HttpServer, WantsCredentialsExceptForHealth) {
  TempDir dir;
  const std::string config =
      dir.write("web.yml", "basic_auth_users:\n  alice: '" + bcrypt("wonder:land") +
                               "'\nbearer_token_sha256:\n  - " + sha256_hex("token-1") + "\n");
  const auto server = serve({.web_config_file = config});
  ASSERT_TRUE(server);
  const std::string metrics = url(*server, "/metrics");
  const CommandResult none = curl("-i " + metrics);
  EXPECT_THAT(none.output, StartsWith("HTTP/1.1 401"));
  EXPECT_THAT(none.output, HasSubstr("WWW-Authenticate: Basic"));
  EXPECT_THAT(curl("-i " + url(*server, "/")).output, StartsWith("HTTP/1.1 401"));
  EXPECT_THAT(curl("-i -u alice:wrong " + metrics).output, StartsWith("HTTP/1.1 401"));
  EXPECT_THAT(curl("-i -u bob:x " + metrics).output, StartsWith("HTTP/1.1 401"));
  EXPECT_THAT(curl("-i -H 'Authorization: Bearer token-2' " + metrics).output, StartsWith("HTTP/1.1 401"));
  EXPECT_EQ(curl("-u alice:wonder:land " + metrics).output, "metric 1\n");
  EXPECT_EQ(curl("-u alice:wonder:land " + metrics).output, "metric 1\n");
  EXPECT_EQ(curl("-H 'Authorization: Bearer token-1' " + metrics).output, "metric 1\n");
  EXPECT_EQ(curl(url(*server, "/healthz")).output, "ok\n");
}

void make_certificates(const TempDir& dir) {
  const auto openssl = [&](const std::string& arguments) {
    const CommandResult result = run("cd " + dir.file("") + " && openssl " + arguments);
    ASSERT_EQ(result.status, 0) << result.output;
  };
  const std::string ec = " -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes ";
  openssl("req -x509" + ec + "-keyout ca.key -out ca.crt -subj /CN=ca -days 30");
  for (const std::string name : {"server", "client"}) {
    openssl("req" + ec + "-keyout " + name + ".key -out " + name + ".csr -subj /CN=" + name +
            " -addext subjectAltName=IP:127.0.0.1");
    openssl("x509 -req -in " + name +
            ".csr -CA ca.crt -CAkey ca.key -CAcreateserial -copy_extensions copy -days 30 -out " + name +
            ".crt");
  }
  openssl("req -x509" + ec + "-keyout stranger.key -out stranger.crt -subj /CN=stranger -days 30");
}

TEST(HttpServer, SpeaksTlsAndWantsClientCertificates) {
  TempDir dir;
  make_certificates(dir);
  const std::string tls =
      "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n  min_version: TLS13\n";
  const std::string config = dir.write("web.yml", tls);
  const auto server = serve({.web_config_file = config});
  ASSERT_TRUE(server);
  const std::string metrics = url(*server, "/metrics", "https") + " --cacert " + dir.file("ca.crt") + " ";
  EXPECT_EQ(curl(metrics).output, "metric 1\n");
  EXPECT_NE(curl("--tls-max 1.2 " + metrics).status, 0);
  EXPECT_NE(curl(url(*server, "/metrics")).output, "metric 1\n");

  dir.write("web.yml", tls + "  client_ca_file: ca.crt\n  client_auth_type: RequireAndVerifyClientCert\n");
  ASSERT_TRUE(server->reload_web_config().has_value());
  const auto with = [&](const std::string& name) {
    return "--cert " + dir.file(name + ".crt") + " --key " + dir.file(name + ".key") + " ";
  };
  EXPECT_THAT(curl("-i " + metrics).output, StartsWith("HTTP/1.1 403"));
  EXPECT_EQ(curl(with("client") + metrics).output, "metric 1\n");
  EXPECT_NE(curl(with("stranger") + metrics).status, 0);
  EXPECT_EQ(curl(url(*server, "/healthz", "https") + " --cacert " + dir.file("ca.crt")).output, "ok\n");
}

TEST(HttpServer, AFailedReloadKeepsWhatServes) {
  TempDir dir;
  const std::string config = dir.write("web.yml", "bearer_token_sha256: [" + sha256_hex("old") + "]\n");
  const auto server = serve({.web_config_file = config});
  ASSERT_TRUE(server);
  dir.write("web.yml", "bearer_token_sha256: nonsense\n");
  EXPECT_FALSE(server->reload_web_config().has_value());
  EXPECT_EQ(curl("-H 'Authorization: Bearer old' " + url(*server, "/metrics")).output, "metric 1\n");
  // Noticed without being told, by the next connection.
  dir.write("web.yml", "bearer_token_sha256: [" + sha256_hex("newer") + "]\n");
  EXPECT_EQ(curl("-H 'Authorization: Bearer newer' " + url(*server, "/metrics")).output, "metric 1\n");
}

TEST(HttpServer, StartsNotWithABrokenConfiguration) {
  TempDir dir;
  EXPECT_FALSE(
      HttpServer::open({.listen = "127.0.0.1:0", .web_config_file = dir.file("absent")}).has_value());
  const std::string config = dir.write("web.yml", "tls_server_config: {cert_file: a.crt, key_file: a.key}\n");
  const auto server = HttpServer::open({.listen = "127.0.0.1:0", .web_config_file = config});
  ASSERT_FALSE(server.has_value());
  EXPECT_THAT(server.error().message, HasSubstr("cannot use certificate " + dir.file("a.crt")));
}

}  // namespace
}  // namespace llmtap
