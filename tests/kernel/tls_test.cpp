// SPDX-License-Identifier: Apache-2.0
// The OpenSSL API of the system's libssl: plaintext of each call once, and the socket below it.
#include <openssl/bio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <set>
#include <thread>

#include "capture_fixture.h"
#include "tls_fixture.h"

namespace llmtap {
namespace {

const std::string kRequest =
    "POST /v1/messages HTTP/1.1\r\nHost: api.example.test\r\nContent-Length: 5\r\n\r\nhello";
const std::string kReply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

class TlsTest : public CaptureTest {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(open());
    auto link = probe_->attach_uprobes(libssl_path(), libssl_places());
    ASSERT_TRUE(link.has_value()) << link.error().message;
    link_ = *std::move(link);
  }
  // The TLS connection whose written bytes begin with the request, and its peer.
  void ends(uint32_t tgid) {
    client_ = server_ = nullptr;
    for (const SeenConnection* connection : seen_.connections(tgid, LLMTAP_SOURCE_OPENSSL)) {
      if (connection->written().starts_with("POST")) client_ = connection;
      if (connection->read().starts_with("POST")) server_ = connection;
    }
    ASSERT_NE(client_, nullptr);
    ASSERT_NE(server_, nullptr);
  }
  TlsContexts contexts_;
  std::unique_ptr<UprobeLink> link_;
  const SeenConnection* client_ = nullptr;
  const SeenConnection* server_ = nullptr;
};

bool serve(SSL* ssl) { return tls_read(ssl, kRequest.size()) == kRequest && tls_write_all(ssl, kReply); }
bool ask(SSL* ssl) { return tls_write_all(ssl, kRequest) && tls_read(ssl, kReply.size()) == kReply; }

TEST_F(TlsTest, BothEndsAndTheirSockets) {
  const uint32_t tgid = run([&] { return tls_exchange(contexts_, ask, serve); });
  ASSERT_NO_FATAL_FAILURE(ends(tgid));
  EXPECT_EQ(client_->written(), kRequest);
  EXPECT_EQ(client_->read(), kReply);
  EXPECT_EQ(server_->read(), kRequest);
  EXPECT_EQ(server_->written(), kReply);
  EXPECT_EQ(client_->facts.role, LLMTAP_ROLE_CLIENT);
  EXPECT_EQ(server_->facts.role, LLMTAP_ROLE_SERVER);
  EXPECT_TRUE(client_->facts.has_addresses);
  EXPECT_EQ(client_->facts.local_port, server_->facts.remote_port);
  EXPECT_TRUE(client_->facts.first_byte_seen);
  EXPECT_TRUE(client_->ends.contains(LLMTAP_END_CLOSED));
  const SeenConnection* socket = seen_.connection(client_->facts.socket_conn_id);
  ASSERT_NE(socket, nullptr);
  EXPECT_EQ(socket->facts.source, LLMTAP_SOURCE_SOCKET);
  EXPECT_EQ(socket->facts.local_port, client_->facts.local_port);
}

// Of the ciphertext only the hello records are copied: they name the server.
TEST_F(TlsTest, CiphertextIsNotCopied) {
  const std::string body = pattern(100000);
  const uint32_t tgid = run([&] {
    return tls_exchange(
        contexts_, [&](SSL* ssl) { return tls_write_all(ssl, kRequest + body) && tls_read(ssl, 2) == "ok"; },
        [&](SSL* ssl) {
          return tls_read(ssl, kRequest.size() + body.size()).size() > 0 && tls_write_all(ssl, "ok");
        });
  });
  ASSERT_NO_FATAL_FAILURE(ends(tgid));
  EXPECT_TRUE(client_->written() == kRequest + body);
  const SeenConnection* socket = seen_.connection(client_->facts.socket_conn_id);
  ASSERT_NE(socket, nullptr);
  EXPECT_NE(socket->written().find("api.example.test"), std::string::npos);
  const auto record_bytes = [](const std::string& bytes) {
    return 5U + (static_cast<uint8_t>(bytes.at(3)) << 8 | static_cast<uint8_t>(bytes.at(4)));
  };
  EXPECT_EQ(socket->written().size(), record_bytes(socket->written()));
  EXPECT_EQ(socket->read().size(), record_bytes(socket->read()));
  EXPECT_EQ(socket->written()[0], 0x16);
  EXPECT_EQ(socket->read()[0], 0x16);
  ASSERT_TRUE(socket->ends.contains(LLMTAP_END_CLOSED));
  EXPECT_GT(socket->ends.at(LLMTAP_END_CLOSED).write_offset, body.size());
}

TEST_F(TlsTest, ExFormsAndPeek) {
  const uint32_t tgid = run([&] {
    return tls_exchange(
        contexts_,
        [](SSL* ssl) {
          size_t n = 0;
          std::array<char, 200> buffer{};
          return SSL_write_ex(ssl, kRequest.data(), kRequest.size(), &n) == 1 && n == kRequest.size() &&
                 SSL_peek(ssl, buffer.data(), 10) == 10 &&
                 SSL_read_ex(ssl, buffer.data(), buffer.size(), &n) == 1 && n == kReply.size();
        },
        serve);
  });
  ASSERT_NO_FATAL_FAILURE(ends(tgid));
  EXPECT_EQ(client_->written(), kRequest);
  EXPECT_EQ(client_->read(), kReply);
}

TEST_F(TlsTest, LargeWriteIsWhole) {
  const std::string request = kRequest + pattern(300000);
  const uint32_t tgid = run([&] {
    return tls_exchange(
        contexts_, [&](SSL* ssl) { return tls_write_all(ssl, request) && tls_read(ssl, 2) == "ok"; },
        [&](SSL* ssl) { return tls_read(ssl, request.size()) == request && tls_write_all(ssl, "ok"); });
  });
  ASSERT_NO_FATAL_FAILURE(ends(tgid));
  EXPECT_TRUE(client_->written() == request);
  EXPECT_EQ(client_->stream[LLMTAP_WRITE].records.size(), 2U);
  EXPECT_TRUE(server_->read() == request);
  EXPECT_EQ(probe_->statistics().lost[LLMTAP_LOST_FAULT].events, 0U);
}

// Both roles without any socket: only the calls say them.
TEST_F(TlsTest, RolesFromTheCallsAlone) {
  const uint32_t tgid = run([&] {
    SSL* client = SSL_new(contexts_.client);
    SSL* server = SSL_new(contexts_.server);
    BIO *to_client = nullptr, *to_server = nullptr;
    BIO_new_bio_pair(&to_client, 65536, &to_server, 65536);
    SSL_set_bio(client, to_server, to_server);
    SSL_set_bio(server, to_client, to_client);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    int client_done = 0, server_done = 0;
    for (int i = 0; i < 20 && (client_done != 1 || server_done != 1); ++i) {
      client_done = SSL_do_handshake(client);
      server_done = SSL_do_handshake(server);
    }
    const bool fine = tls_write_all(client, kRequest) && tls_read(server, kRequest.size()) == kRequest;
    SSL_free(client);
    SSL_free(server);
    return fine ? 0 : 1;
  });
  ASSERT_NO_FATAL_FAILURE(ends(tgid));
  EXPECT_EQ(client_->facts.role, LLMTAP_ROLE_CLIENT);
  EXPECT_EQ(server_->facts.role, LLMTAP_ROLE_SERVER);
}

TEST_F(TlsTest, EarlyDataIsMarkedAndCountedOnce) {
  SSL_CTX_set_max_early_data(contexts_.server, 16384);
  SSL_CTX_set_options(contexts_.server, SSL_OP_NO_ANTI_REPLAY);
  const uint32_t tgid = run([&] {
    SSL_SESSION* session = nullptr;
    const auto keep = [&](SSL* ssl) {
      const bool fine = ask(ssl);
      session = SSL_get1_session(ssl);
      return fine;
    };
    if (tls_exchange(contexts_, keep, serve) != 0) return 1;
    TcpPair pair;
    std::string got;
    bool served = false;
    std::thread thread([&] {
      SSL* ssl = SSL_new(contexts_.server);
      SSL_set_fd(ssl, pair.server);
      std::array<char, 1000> buffer{};
      size_t n = 0;
      int result = 0;
      while ((result = SSL_read_early_data(ssl, buffer.data(), buffer.size(), &n)) ==
             SSL_READ_EARLY_DATA_SUCCESS)
        got.append(buffer.data(), n);
      served = result == SSL_READ_EARLY_DATA_FINISH && SSL_accept(ssl) == 1 && tls_write_all(ssl, kReply);
      SSL_free(ssl);
    });
    SSL* ssl = SSL_new(contexts_.client);
    SSL_set_fd(ssl, pair.client);
    SSL_set_session(ssl, session);
    size_t n = 0;
    const bool sent = SSL_write_early_data(ssl, kRequest.data(), kRequest.size(), &n) == 1 &&
                      SSL_connect(ssl) == 1 && tls_read(ssl, kReply.size()) == kReply;
    SSL_free(ssl);
    thread.join();
    return sent && served && got == kRequest ? 0 : 2;
  });
  size_t clients = 0, servers = 0;
  for (const SeenConnection* connection : seen_.connections(tgid, LLMTAP_SOURCE_OPENSSL)) {
    for (const auto direction : {LLMTAP_WRITE, LLMTAP_READ}) {
      const SeenStream& stream = connection->stream[direction];
      if (stream.records.empty() || !(stream.records[0].flags & LLMTAP_FLAG_EARLY_DATA)) continue;
      EXPECT_EQ(stream.bytes, kRequest);
      EXPECT_EQ(connection->stream[1 - direction].bytes, kReply);
      EXPECT_FALSE(connection->stream[1 - direction].records.at(0).flags & LLMTAP_FLAG_EARLY_DATA);
      ++(direction == LLMTAP_WRITE ? clients : servers);
    }
  }
  EXPECT_EQ(clients, 1U);
  EXPECT_EQ(servers, 1U);
}

// Node, asyncio, .NET: the library never touches the socket, the next or last call of the thread does.
TEST_F(TlsTest, MemoryBioIsBoundByAdjacency) {
  const uint32_t tgid = run([&] {
    TcpPair pair;
    bool served = false;
    std::thread thread([&] {
      SSL* ssl = SSL_new(contexts_.server);
      SSL_set_fd(ssl, pair.server);
      served = SSL_accept(ssl) == 1 && serve(ssl);
      SSL_free(ssl);
    });
    SSL* ssl = SSL_new(contexts_.client);
    BIO* in = BIO_new(BIO_s_mem());
    BIO* out = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, in, out);
    SSL_set_connect_state(ssl);
    std::array<char, 20000> buffer{};
    const auto flush = [&] {
      for (int n = 0; (n = BIO_read(out, buffer.data(), buffer.size())) > 0;)
        if (::write(pair.client, buffer.data(), static_cast<size_t>(n)) != n) return;
    };
    const auto feed = [&] {
      const ssize_t n = ::read(pair.client, buffer.data(), buffer.size());
      if (n > 0) BIO_write(in, buffer.data(), static_cast<int>(n));
      return n > 0;
    };
    int result = 0;
    while ((result = SSL_do_handshake(ssl)) != 1) {
      flush();
      if (!feed()) return 1;
    }
    flush();
    SSL_write(ssl, kRequest.data(), static_cast<int>(kRequest.size()));
    flush();
    std::string reply(200, '\0');
    while ((result = SSL_read(ssl, reply.data(), 200)) <= 0)
      if (!feed()) return 2;
    thread.join();
    SSL_free(ssl);
    return served && result == static_cast<int>(kReply.size()) ? 0 : 3;
  });
  ASSERT_NO_FATAL_FAILURE(ends(tgid));
  EXPECT_EQ(client_->written(), kRequest);
  EXPECT_EQ(client_->read(), kReply);
  EXPECT_EQ(client_->facts.role, LLMTAP_ROLE_CLIENT);
  EXPECT_TRUE(client_->facts.has_addresses);
  EXPECT_EQ(client_->facts.local_port, server_->facts.remote_port);
}

// A process that ends without SSL_free: userspace ends its objects.
TEST_F(TlsTest, ProcessEndEndsItsObjects) {
  const uint32_t tgid = run([&] {
    return tls_exchange(
        contexts_,
        [](SSL* ssl) {
          if (!ask(ssl)) return false;
          _exit(0);
        },
        serve);
  });
  ASSERT_NO_FATAL_FAILURE(ends(tgid));
  EXPECT_TRUE(client_->ends.contains(LLMTAP_END_EXIT));
  EXPECT_EQ(client_->ends.at(LLMTAP_END_EXIT).write_offset, kRequest.size());
}

// Muted: the call's return is not hooked, and what it moved is a gap.
TEST_F(TlsTest, AMutedCallPaysNoReturn) {
  std::array<int, 2> gate{};
  ASSERT_EQ(pipe(gate.data()), 0);
  const std::string part = pattern(1000);
  const uint32_t tgid = fork_body([&] {
    return tls_exchange(
        contexts_,
        [&](SSL* ssl) {
          char go = 0;
          return tls_write_all(ssl, kRequest) && ::read(gate[0], &go, 1) == 1 && tls_write_all(ssl, part) &&
                 tls_read(ssl, 2) == "ok" && tls_write_all(ssl, kRequest);
        },
        [&](SSL* ssl) {
          return tls_read(ssl, kRequest.size() + 1000).size() == kRequest.size() + 1000 &&
                 tls_write_all(ssl, "ok") && tls_read(ssl, kRequest.size()) == kRequest;
        });
  });
  const SeenConnection* client = nullptr;
  poll_until([&] {
    for (const SeenConnection* connection : seen_.connections(tgid, LLMTAP_SOURCE_OPENSSL))
      if (connection->written().starts_with("POST")) client = connection;
    return client != nullptr;
  });
  probe_->set_verdict(client->facts.hdr.conn_id, Verdict::kMuted);
  ASSERT_EQ(::write(gate[1], "x", 1), 1);
  poll_until([&] { return seen_.exits.contains(tgid); });
  expect_success(tgid);
  EXPECT_EQ(client->written(), kRequest + kRequest);
  EXPECT_EQ(client->stream[LLMTAP_WRITE].gap_bytes, part.size());
}

// The same request again, and its reply: nothing. Any other is copied whole.
TEST_F(TlsTest, ARepeatedRequestIsNotCopiedAgain) {
  std::array<int, 2> gate{};
  ASSERT_EQ(pipe(gate.data()), 0);
  const std::string health = "GET /health HTTP/1.1\r\nHost: here\r\n\r\n";
  const std::string fine = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine";
  const auto exchanges = [&](const auto& each) {
    for (int i = 0; i < 21; ++i)
      if (!each(health, fine)) return false;
    return each(kRequest, kReply) && each(health, fine);
  };
  const uint32_t tgid = fork_body([&] {
    return tls_exchange(
        contexts_,
        [&](SSL* ssl) {
          int done = 0;
          return exchanges([&](const std::string& request, const std::string& reply) {
            char go = 0;
            return tls_write_all(ssl, request) && tls_read(ssl, reply.size()) == reply &&
                   (done++ != 0 || ::read(gate[0], &go, 1) == 1);
          });
        },
        [&](SSL* ssl) {
          return exchanges([&](const std::string& request, const std::string& reply) {
            return tls_read(ssl, request.size()) == request && tls_write_all(ssl, reply);
          });
        });
  });
  // The verdict is of the request's own record: given when that is the latest.
  std::set<uint64_t> judged;
  seen_.on_data = [&](const llmtap_data_event& event) {
    if (event.message_class != LLMTAP_CLASS_HTTP1_REQUEST || event.source != LLMTAP_SOURCE_OPENSSL ||
        event.hdr.tgid != tgid || event.original_bytes != health.size())
      return;
    judged.insert(event.hdr.conn_id);
    probe_->set_verdict(event.hdr.conn_id, Verdict::kRepeats);
  };
  poll_until([&] { return judged.size() == 2; });
  ASSERT_EQ(::write(gate[1], "x", 1), 1);
  poll_until([&] { return seen_.exits.contains(tgid); });
  seen_.on_data = nullptr;
  expect_success(tgid);
  const auto connections = seen_.connections(tgid, LLMTAP_SOURCE_OPENSSL);
  ASSERT_EQ(connections.size(), 2U);
  for (const SeenConnection* connection : connections) {
    const bool is_client = connection->facts.role == LLMTAP_ROLE_CLIENT;
    const SeenStream& requests = connection->stream[is_client ? LLMTAP_WRITE : LLMTAP_READ];
    const SeenStream& replies = connection->stream[is_client ? LLMTAP_READ : LLMTAP_WRITE];
    EXPECT_EQ(requests.bytes, health + kRequest + health);
    EXPECT_EQ(replies.bytes, fine + kReply + fine);
    EXPECT_EQ(requests.gap_bytes, 20 * health.size());
  }
}

class TwoProgramsTest : public CaptureTest {};

TEST_F(TwoProgramsTest, WithoutSessionsTheBytesAreTheSame) {
  ASSERT_NO_FATAL_FAILURE(open({.uprobe_sessions = false}));
  EXPECT_FALSE(probe_->statistics().uprobe_sessions);
  auto link = probe_->attach_uprobes(libssl_path(), libssl_places());
  ASSERT_TRUE(link.has_value()) << link.error().message;
  const TlsContexts contexts;
  const uint32_t tgid = run([&] {
    return tls_exchange(
        contexts,
        [](SSL* ssl) {
          size_t n = 0;
          return SSL_write_ex(ssl, kRequest.data(), kRequest.size(), &n) == 1 &&
                 tls_read(ssl, kReply.size()) == kReply;
        },
        serve);
  });
  const auto connections = seen_.connections(tgid, LLMTAP_SOURCE_OPENSSL);
  ASSERT_EQ(connections.size(), 2U);
  for (const SeenConnection* connection : connections) {
    const bool is_client = connection->facts.role == LLMTAP_ROLE_CLIENT;
    EXPECT_EQ(connection->stream[is_client ? LLMTAP_WRITE : LLMTAP_READ].bytes, kRequest);
    EXPECT_EQ(connection->stream[is_client ? LLMTAP_READ : LLMTAP_WRITE].bytes, kReply);
  }
}

TEST_F(TlsTest, DetachedProbesSeeNothing) {
  link_.reset();
  const uint32_t tgid = run([&] { return tls_exchange(contexts_, ask, serve); });
  EXPECT_TRUE(seen_.connections(tgid, LLMTAP_SOURCE_OPENSSL).empty());
}

}  // namespace
}  // namespace llmtap
