// SPDX-License-Identifier: Apache-2.0
// Plain HTTP over system calls: each call's bytes, once, at their offset.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <thread>

#include "capture_fixture.h"

namespace llmtap {
namespace {

const std::string kRequest =
    "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
const std::string kReply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

class SocketTest : public CaptureTest {
 protected:
  void SetUp() override { open(); }
  // Client and server end, when the process had just these.
  void ends(uint32_t tgid) {
    for (const SeenConnection* connection : seen_.connections(tgid, LLMTAP_SOURCE_SOCKET)) {
      if (connection->facts.role == LLMTAP_ROLE_CLIENT) client_ = connection;
      if (connection->facts.role == LLMTAP_ROLE_SERVER) server_ = connection;
    }
    ASSERT_NE(client_, nullptr);
    ASSERT_NE(server_, nullptr);
  }
  const SeenConnection* client_ = nullptr;
  const SeenConnection* server_ = nullptr;
};

TEST_F(SocketTest, BothEndsOfAnExchange) {
  const uint32_t tgid = run([] {
    TcpPair pair;
    if (write(pair.client, kRequest.data(), kRequest.size()) < 0) return 1;
    if (receive(pair.server, kRequest.size()) != kRequest) return 2;
    if (write(pair.server, kReply.data(), kReply.size()) < 0) return 3;
    std::array<char, 100> buffer{};
    return read(pair.client, buffer.data(), buffer.size()) == static_cast<ssize_t>(kReply.size()) ? 0 : 4;
  });
  ASSERT_NO_FATAL_FAILURE(ends(tgid));
  EXPECT_EQ(client_->written(), kRequest);
  EXPECT_EQ(client_->read(), kReply);
  EXPECT_EQ(server_->read(), kRequest);
  EXPECT_EQ(server_->written(), kReply);
  EXPECT_TRUE(client_->facts.first_byte_seen);
  EXPECT_TRUE(server_->facts.first_byte_seen);
  EXPECT_TRUE(client_->facts.has_addresses);
  EXPECT_EQ(client_->facts.local_port, server_->facts.remote_port);
  EXPECT_EQ(client_->facts.remote_port, server_->facts.local_port);
  EXPECT_NE(client_->facts.local_port, 0);
  const std::array<uint8_t, 16> loopback{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1};
  EXPECT_EQ(std::memcmp(client_->facts.remote_address, loopback.data(), 16), 0);
  EXPECT_NE(client_->facts.netns, 0U);
  EXPECT_NE(client_->facts.open_time_ns, 0U);
  EXPECT_EQ(client_->stream[LLMTAP_WRITE].records.at(0).message_class, LLMTAP_CLASS_HTTP1_REQUEST);
  EXPECT_EQ(client_->stream[LLMTAP_READ].records.at(0).message_class, LLMTAP_CLASS_HTTP1_RESPONSE);
  EXPECT_TRUE(client_->stream[LLMTAP_READ].records.at(0).flags & LLMTAP_FLAG_TURN);
  EXPECT_FALSE(client_->stream[LLMTAP_WRITE].records.at(0).flags & LLMTAP_FLAG_TURN);
  EXPECT_LE(client_->stream[LLMTAP_READ].records.at(0).entry_time_ns,
            client_->stream[LLMTAP_READ].records.at(0).time_ns);
  ASSERT_TRUE(client_->ends.contains(LLMTAP_END_CLOSED));
  EXPECT_EQ(client_->ends.at(LLMTAP_END_CLOSED).write_offset, kRequest.size());
  EXPECT_EQ(client_->ends.at(LLMTAP_END_CLOSED).read_offset, kReply.size());
}

TEST_F(SocketTest, Ipv6Addresses) {
  const uint32_t tgid = run([] {
    TcpPair pair(true);
    return send_all(pair.client, kRequest) && receive(pair.server, kRequest.size()) == kRequest ? 0 : 1;
  });
  ASSERT_NO_FATAL_FAILURE(ends(tgid));
  const std::array<uint8_t, 16> loopback{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  EXPECT_EQ(std::memcmp(server_->facts.local_address, loopback.data(), 16), 0);
}

TEST_F(SocketTest, PeekedBytesCountOnce) {
  const uint32_t tgid = run([] {
    TcpPair pair;
    send_all(pair.client, kRequest);
    std::array<char, 100> buffer{};
    if (recv(pair.server, buffer.data(), buffer.size(), MSG_PEEK) <= 0) return 1;
    return receive(pair.server, kRequest.size()) == kRequest ? 0 : 2;
  });
  ASSERT_NO_FATAL_FAILURE(ends(tgid));
  EXPECT_EQ(server_->read(), kRequest);
  EXPECT_EQ(server_->stream[LLMTAP_READ].records.size(), 1U);
}

TEST_F(SocketTest, VectorsAndMessages) {
  const std::string body = pattern(5000);
  const std::string head = "POST / HTTP/1.1\r\nContent-Length: 5000\r\n\r\n";
  const uint32_t tgid = run([&] {
    TcpPair pair;
    std::string a = head, b = body.substr(0, 1000), c = body.substr(1000);
    std::array<iovec, 4> out{
        {{nullptr, 0}, {a.data(), a.size()}, {b.data(), b.size()}, {c.data(), c.size()}}};
    if (writev(pair.client, out.data(), 4) != static_cast<ssize_t>(a.size() + 5000)) return 1;
    std::string got(a.size() + 5000, '\0');
    std::array<iovec, 2> in{{{got.data(), 10}, {got.data() + 10, got.size() - 10}}};
    msghdr message{};
    message.msg_iov = in.data();
    message.msg_iovlen = 2;
    if (recvmsg(pair.server, &message, MSG_WAITALL) != static_cast<ssize_t>(got.size())) return 2;
    // The other way by sendmmsg and readv.
    std::string r1 = kReply.substr(0, 20), r2 = kReply.substr(20);
    std::array<iovec, 2> reply{{{r1.data(), r1.size()}, {r2.data(), r2.size()}}};
    std::array<mmsghdr, 2> messages{};
    messages[0].msg_hdr.msg_iov = &reply[0];
    messages[0].msg_hdr.msg_iovlen = 1;
    messages[1].msg_hdr.msg_iov = &reply[1];
    messages[1].msg_hdr.msg_iovlen = 1;
    if (sendmmsg(pair.server, messages.data(), 2, 0) != 2) return 3;
    std::array<char, 200> buffer{};
    std::array<iovec, 1> last{{{buffer.data(), buffer.size()}}};
    return readv(pair.client, last.data(), 1) == static_cast<ssize_t>(kReply.size()) ? 0 : 4;
  });
  ASSERT_NO_FATAL_FAILURE(ends(tgid));
  EXPECT_EQ(client_->written(), head + body);
  EXPECT_EQ(server_->read(), head + body);
  EXPECT_EQ(server_->written(), kReply);
  EXPECT_EQ(client_->read(), kReply);
  EXPECT_EQ(client_->stream[LLMTAP_WRITE].records.size(), 1U);
  EXPECT_EQ(server_->stream[LLMTAP_READ].records.size(), 1U);
  EXPECT_EQ(client_->stream[LLMTAP_WRITE].gap_bytes, 0U);
}

// A call of up to the record bound is one record; more become several with one sequence number.
TEST_F(SocketTest, LargeWritesAreWhole) {
  for (const size_t bytes : {size_t{262144}, size_t{300000}, size_t{3 << 20}}) {
    seen_ = Recorder();
    client_ = server_ = nullptr;
    const std::string request = "POST / HTTP/1.1\r\n\r\n" + pattern(bytes - 19);
    const uint32_t tgid = run([&] {
      TcpPair pair;
      std::string got;
      std::thread reader([&] { got = receive(pair.server, request.size()); });
      const bool sent =
          write(pair.client, request.data(), request.size()) == static_cast<ssize_t>(request.size());
      reader.join();
      return sent && got == request ? 0 : 1;
    });
    ASSERT_NO_FATAL_FAILURE(ends(tgid));
    EXPECT_TRUE(client_->written() == request);
    EXPECT_TRUE(server_->read() == request);
    const auto& records = client_->stream[LLMTAP_WRITE].records;
    ASSERT_EQ(records.size(), (bytes + LLMTAP_MAX_RECORD_PAYLOAD - 1) / LLMTAP_MAX_RECORD_PAYLOAD);
    for (size_t i = 0; i < records.size(); ++i) {
      EXPECT_EQ(records[i].sequence, 0U);
      EXPECT_EQ((records[i].flags & LLMTAP_FLAG_MORE) != 0, i + 1 < records.size());
    }
  }
}

class SizeClassTest : public CaptureTest {};

TEST_F(SizeClassTest, WithoutDynptrReadsTheBytesAreTheSame) {
  ASSERT_NO_FATAL_FAILURE(open({.exact_records = false}));
  EXPECT_FALSE(probe_->statistics().exact_records);
  for (const size_t bytes : {30, 300, 3000, 10000, 60000, 200000, 300000}) {
    seen_ = Recorder();
    const std::string request = "POST / HTTP/1.1\r\n\r\n" + pattern(bytes);
    const uint32_t tgid = run([&] {
      TcpPair pair;
      std::string got;
      std::thread reader([&] { got = receive(pair.server, request.size()); });
      const bool sent = send_all(pair.client, request);
      reader.join();
      return sent && got == request ? 0 : 1;
    });
    const auto connections = seen_.connections(tgid, LLMTAP_SOURCE_SOCKET);
    ASSERT_EQ(connections.size(), 2U);
    EXPECT_TRUE(connections[0]->written() == request || connections[1]->written() == request) << bytes;
    EXPECT_TRUE(connections[0]->read() == request || connections[1]->read() == request) << bytes;
  }
}

TEST_F(SocketTest, HalfCloseAndEndOfStream) {
  const uint32_t tgid = run([] {
    TcpPair pair;
    send_all(pair.client, kRequest);
    shutdown(pair.client, SHUT_WR);
    if (receive(pair.server, kRequest.size() + 1) != kRequest) return 1;
    return send_all(pair.server, kReply) && receive(pair.client, kReply.size()) == kReply ? 0 : 2;
  });
  ASSERT_NO_FATAL_FAILURE(ends(tgid));
  EXPECT_TRUE(client_->ends.contains(LLMTAP_END_SHUTDOWN_WRITE));
  EXPECT_TRUE(server_->ends.contains(LLMTAP_END_EOF));
  EXPECT_EQ(client_->read(), kReply);
}

TEST_F(SocketTest, ResetIsSaid) {
  const uint32_t tgid = run([] {
    TcpPair pair;
    send_all(pair.client, kRequest);
    receive(pair.server, kRequest.size());
    const linger abort{1, 0};
    setsockopt(pair.server, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
    pair.close_server();
    std::array<char, 10> buffer{};
    return read(pair.client, buffer.data(), buffer.size()) == -1 && errno == ECONNRESET ? 0 : 1;
  });
  ASSERT_NO_FATAL_FAILURE(ends(tgid));
  EXPECT_TRUE(client_->ends.contains(LLMTAP_END_RESET));
}

TEST_F(SocketTest, SendfileIsAGapOfItsLength) {
  const uint32_t tgid = run([] {
    TcpPair pair;
    FILE* file = tmpfile();
    const std::string content = pattern(1000);
    fwrite(content.data(), 1, content.size(), file);
    fflush(file);
    send_all(pair.server, "HTTP/1.1 200 OK\r\n\r\n");
    off_t from = 0;
    if (sendfile(pair.server, fileno(file), &from, 1000) != 1000) return 1;
    send_all(pair.server, "tail");
    return receive(pair.client, 19 + 1000 + 4).size() == 1023 ? 0 : 2;
  });
  ASSERT_NO_FATAL_FAILURE(ends(tgid));
  const auto& records = server_->stream[LLMTAP_WRITE].records;
  ASSERT_EQ(records.size(), 3U);
  EXPECT_EQ(records[1].original_bytes, 1000U);
  EXPECT_EQ(records[1].captured_bytes, 0U);
  EXPECT_EQ(records[1].loss, LLMTAP_LOST_BYPASS);
  EXPECT_EQ(records[2].offset, 1019U);
  EXPECT_EQ(client_->read().size(), 1023U);
}

// More than a record holds, its bounds inside iovecs: pieces of the bound, one sequence number.
TEST_F(SocketTest, ManyVectorsOfALargeCall) {
  const std::string request = "POST / HTTP/1.1\r\n\r\n" + pattern(700000);
  const uint32_t tgid = run([&] {
    TcpPair pair;
    std::string copy = request, got;
    std::vector<iovec> vectors;
    for (size_t at = 0; at < copy.size(); at += 1001)
      vectors.push_back({copy.data() + at, std::min<size_t>(1001, copy.size() - at)});
    std::thread reader([&] { got = receive(pair.server, request.size()); });
    const bool sent = writev(pair.client, vectors.data(), static_cast<int>(vectors.size())) ==
                      static_cast<ssize_t>(copy.size());
    reader.join();
    return sent && got == request ? 0 : 1;
  });
  ASSERT_NO_FATAL_FAILURE(ends(tgid));
  EXPECT_TRUE(client_->written() == request);
  const auto& records = client_->stream[LLMTAP_WRITE].records;
  ASSERT_EQ(records.size(), 3U);
  EXPECT_EQ(records[1].captured_bytes, LLMTAP_MAX_RECORD_PAYLOAD);
  EXPECT_EQ(records[2].sequence, 0U);
}

TEST_F(SocketTest, ManyMessagesOfOneCall) {
  const std::string request = "POST / HTTP/1.1\r\n\r\n" + pattern(500);
  const uint32_t tgid = run([&] {
    TcpPair pair;
    std::string copy = request;
    std::vector<iovec> vectors(copy.size());
    std::vector<mmsghdr> messages(copy.size());
    for (size_t i = 0; i < copy.size(); ++i) {
      vectors[i] = {copy.data() + i, 1};
      messages[i].msg_hdr.msg_iov = &vectors[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    if (sendmmsg(pair.client, messages.data(), static_cast<unsigned>(messages.size()), 0) !=
        static_cast<int>(copy.size()))
      return 1;
    return receive(pair.server, request.size()) == request ? 0 : 2;
  });
  ASSERT_NO_FATAL_FAILURE(ends(tgid));
  EXPECT_EQ(client_->written(), request);
}

// The peer said its piece and went: writing fails, reading does not.
TEST_F(SocketTest, AFailedWriteDoesNotEndTheReply) {
  const uint32_t tgid = run([] {
    TcpPair pair;
    send_all(pair.client, kRequest);
    if (receive(pair.server, 10).size() != 10 || !send_all(pair.server, kReply)) return 1;
    pair.close_server();  // with unread bytes: a reset
    pollfd gone{pair.client, 0, 0};
    if (poll(&gone, 1, 10000) != 1) return 2;
    if (send(pair.client, "x", 1, MSG_NOSIGNAL) != -1) return 3;
    return receive(pair.client, kReply.size()) == kReply ? 0 : 4;
  });
  ASSERT_NO_FATAL_FAILURE(ends(tgid));
  EXPECT_EQ(client_->read(), kReply);
  ASSERT_TRUE(client_->ends.contains(LLMTAP_END_SHUTDOWN_WRITE));
  EXPECT_EQ(client_->ends.at(LLMTAP_END_SHUTDOWN_WRITE).read_offset, 0U);
  ASSERT_TRUE(client_->ends.contains(LLMTAP_END_RESET));
  EXPECT_EQ(client_->ends.at(LLMTAP_END_RESET).read_offset, kReply.size());
}

// Whatever moves TCP's own positions without moving a byte of the program.
TEST_F(SocketTest, NothingIsUnseenWhereNothingIsLost) {
  const uint32_t tgid = run([] {
    std::array<char, 4096> buffer{};
    // Of all both ends together the ring holds every byte, however slow its reader is.
    const std::string large = "POST / HTTP/1.1\r\n\r\n" + pattern(60000);
    for (int i = 0; i < 100; ++i) {
      // Bytes arrive while the connection is accepted and while they are read.
      TcpPair pair;
      std::thread sender([&] { send_all(pair.client, large); });
      const bool whole = receive(pair.server, large.size()) == large;
      sender.join();
      if (!whole || !send_all(pair.server, kReply)) return 1;
      if (i % 4 == 0) shutdown(pair.server, SHUT_WR);
      if (i % 4 == 1) pair.close_server();
      pollfd closed{pair.client, POLLRDHUP, 0};
      if (i % 4 < 2 && poll(&closed, 1, 10000) != 1) return 2;
      if (recv(pair.client, buffer.data(), 5, MSG_PEEK) != 5) return 3;
      // The last bytes and the FIN in one call.
      if (recv(pair.client, buffer.data(), buffer.size(), 0) != static_cast<ssize_t>(kReply.size())) return 4;
      if (i % 4 == 0) send_all(pair.client, kRequest);  // left unread
      if (i % 4 == 2) {
        shutdown(pair.client, SHUT_WR);
        receive(pair.server, 1);
        send_all(pair.server, kReply);
        receive(pair.client, kReply.size());
      }
      if (i % 4 == 3) {
        send_all(pair.client, kRequest);
        if (recv(pair.server, nullptr, 10, MSG_TRUNC) != 10) return 5;
        receive(pair.server, kRequest.size() - 10);
        send_all(pair.server, kReply);
        receive(pair.client, kReply.size());
      }
    }
    return 0;
  });
  EXPECT_GE(seen_.connections(tgid, LLMTAP_SOURCE_SOCKET).size(), 200U)
      << probe_->statistics().lost[LLMTAP_LOST_MAP_FULL].events << " found no room in a map";
  EXPECT_EQ(probe_->statistics().lost[LLMTAP_LOST_RING_FULL].events, 0U);
  EXPECT_EQ(probe_->statistics().lost[LLMTAP_LOST_UNSEEN].events, 0U);
  EXPECT_EQ(probe_->statistics().lost[LLMTAP_LOST_UNSEEN].bytes, 0U);
}

// Two threads in one direction: TCP counts a call that has not returned yet.
TEST_F(SocketTest, CallsInProgressAreNotUnseen) {
  run([] {
    TcpPair pair;
    for (int i = 0; i < 200; ++i) {
      send_all(pair.client, kRequest);
      receive(pair.server, kRequest.size());
      std::thread other([&] { send_all(pair.server, kReply); });
      send_all(pair.server, kReply);
      other.join();
      receive(pair.client, 2 * kReply.size());
    }
    return 0;
  });
  EXPECT_EQ(probe_->statistics().lost[LLMTAP_LOST_UNSEEN].bytes, 0U);
}

TEST_F(SocketTest, ASocketThatIsConnectedTwice) {
  const uint32_t tgid = run([] {
    TcpPair first, second;
    sockaddr_in address{};
    socklen_t size = sizeof(address);
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0) return 1;
    getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
    const int client = socket(AF_INET, SOCK_STREAM, 0);
    // Nobody listens yet.
    if (connect(client, reinterpret_cast<sockaddr*>(&address), size) == 0 || listen(listener, 1) != 0)
      return 2;
    for (int i = 0; i < 2; ++i) {
      if (connect(client, reinterpret_cast<sockaddr*>(&address), size) != 0) return 3;
      const int server = accept(listener, nullptr, nullptr);
      for (int turn = 0; turn < 3; ++turn) {
        send_all(client, kRequest);
        if (receive(server, kRequest.size()) != kRequest || !send_all(server, kReply)) return 4;
        if (receive(client, kReply.size()) != kReply) return 5;
      }
      sockaddr none{};
      none.sa_family = AF_UNSPEC;
      if (connect(client, &none, sizeof(none)) != 0) return 6;
      close(server);
    }
    return 0;
  });
  size_t clients = 0;
  for (const SeenConnection* connection : seen_.connections(tgid, LLMTAP_SOURCE_SOCKET)) {
    if (connection->facts.role != LLMTAP_ROLE_CLIENT) continue;
    ++clients;
    EXPECT_EQ(connection->written(), kRequest + kRequest + kRequest);
  }
  EXPECT_EQ(clients, 2U);
  EXPECT_EQ(probe_->statistics().lost[LLMTAP_LOST_UNSEEN].bytes, 0U);
}

// Its system calls fire no tracepoint of their own.
TEST_F(SocketTest, A32BitProgramIsCounted) {
  const uint32_t tgid = run([] {
    sockaddr_in address{};
    socklen_t size = sizeof(address);
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener, 1) != 0)
      return 1;
    getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
    const pid_t child = fork();
    if (child == 0) {
      // The program connects to the address that it finds at its standard input, and sends 100 bytes.
      std::array<int, 2> ends{};
      if (pipe(ends.data()) != 0 || ::write(ends[1], &address, sizeof(address)) != sizeof(address)) _exit(1);
      dup2(ends[0], 0);
      execl(LLMTAP_COMPAT_CLIENT, "compat_client", static_cast<char*>(nullptr));
      _exit(2);
    }
    const int server = accept(listener, nullptr, nullptr);
    if (receive(server, 100).size() != 100) return 2;
    close(server);
    int status = -1;
    return waitpid(child, &status, 0) == child && status == 0 ? 0 : 3;
  });
  EXPECT_EQ(seen_.connections(tgid, LLMTAP_SOURCE_SOCKET).size(), 0U);
  EXPECT_EQ(probe_->statistics().lost[LLMTAP_LOST_COMPAT].bytes, 100U);
  EXPECT_EQ(probe_->statistics().lost[LLMTAP_LOST_COMPAT].events, 1U);
  EXPECT_EQ(probe_->statistics().lost[LLMTAP_LOST_UNSEEN].bytes, 0U);
}

TEST_F(SocketTest, BytesBesideTheHooksAreFoundAtTheEndToo) {
  const uint32_t tgid = run([] {
    TcpPair pair;
    send_all(pair.client, kRequest);
    receive(pair.server, kRequest.size());
    send_all(pair.server, kReply);
    std::array<char, 200> buffer{};
    iovec vector{buffer.data(), buffer.size()};
    return preadv2(pair.client, &vector, 1, -1, 0) == static_cast<ssize_t>(kReply.size()) ? 0 : 1;
  });
  ASSERT_NO_FATAL_FAILURE(ends(tgid));
  ASSERT_TRUE(client_->ends.contains(LLMTAP_END_CLOSED));
  EXPECT_EQ(client_->ends.at(LLMTAP_END_CLOSED).read_offset, kReply.size());
  EXPECT_EQ(probe_->statistics().lost[LLMTAP_LOST_UNSEEN].bytes, kReply.size());
  EXPECT_EQ(probe_->statistics().lost[LLMTAP_LOST_UNSEEN].events, 1U);
}

// preadv2 is not hooked: TCP's own count tells at the next turn.
TEST_F(SocketTest, BytesBesideTheHooksAreFound) {
  const uint32_t tgid = run([] {
    TcpPair pair;
    send_all(pair.client, kRequest);
    std::array<char, 200> buffer{};
    receive(pair.server, kRequest.size());
    iovec vector{buffer.data(), buffer.size()};
    send_all(pair.server, kReply);
    receive(pair.client, kReply.size());
    send_all(pair.client, kRequest);
    if (preadv2(pair.server, &vector, 1, -1, 0) != static_cast<ssize_t>(kRequest.size())) return 1;
    send_all(pair.client, kRequest);
    return receive(pair.server, kRequest.size()) == kRequest ? 0 : 2;
  });
  ASSERT_NO_FATAL_FAILURE(ends(tgid));
  EXPECT_EQ(server_->stream[LLMTAP_READ].gap_bytes, kRequest.size());
  EXPECT_EQ(server_->read(), kRequest + kRequest);
  EXPECT_EQ(probe_->statistics().lost[LLMTAP_LOST_UNSEEN].bytes, kRequest.size());
}

TEST_F(SocketTest, OtherProtocolsAreMutedFromTheirFirstByte) {
  const uint32_t tgid = run([] {
    TcpPair pair;
    for (int i = 0; i < 20; ++i) {
      send_all(pair.client, "QUERY select 1 from something");
      receive(pair.server, 29);
    }
    return 0;
  });
  EXPECT_TRUE(seen_.connections(tgid, LLMTAP_SOURCE_SOCKET).empty());
}

TEST_F(SocketTest, MessageInSmallPieces) {
  const uint32_t tgid = run([] {
    TcpPair pair;
    for (const char c : kRequest) send_all(pair.client, std::string(1, c));
    return receive(pair.server, kRequest.size()) == kRequest ? 0 : 1;
  });
  ASSERT_NO_FATAL_FAILURE(ends(tgid));
  EXPECT_EQ(client_->written(), kRequest);
}

TEST_F(SocketTest, OwnAndExcludedProcessesAreNotSeen) {
  int gate[2];
  ASSERT_EQ(pipe(gate), 0);
  const uint32_t tgid = fork_body([&] {
    char go = 0;
    if (::read(gate[0], &go, 1) != 1) return 1;
    TcpPair pair;
    return send_all(pair.client, kRequest) && receive(pair.server, kRequest.size()) == kRequest ? 0 : 2;
  });
  ASSERT_TRUE(probe_->exclude_process(tgid).has_value());
  ASSERT_EQ(::write(gate[1], "x", 1), 1);
  expect_success(tgid);
  {
    TcpPair pair;
    EXPECT_TRUE(send_all(pair.client, kRequest));
    EXPECT_EQ(receive(pair.server, kRequest.size()), kRequest);
  }
  run([] { return 0; });
  EXPECT_TRUE(seen_.connections(tgid, LLMTAP_SOURCE_SOCKET).empty());
  EXPECT_TRUE(seen_.connections(static_cast<uint32_t>(getpid()), LLMTAP_SOURCE_SOCKET).empty());
}

}  // namespace
}  // namespace llmtap
