// SPDX-License-Identifier: Apache-2.0
#include "capture_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>

namespace llmtap {

void Recorder::on_event(const llmtap_event_hdr& event) {
  types.push_back(event.type);
  switch (event.type) {
    case LLMTAP_EVENT_DATA: {
      const auto& data = reinterpret_cast<const llmtap_data_event&>(event);
      SeenStream& stream = connections_[event.conn_id].stream[data.direction];
      stream.records.push_back({.offset = data.offset,
                                .original_bytes = data.original_bytes,
                                .captured_bytes = data.captured_bytes,
                                .sequence = data.sequence,
                                .flags = event.flags,
                                .loss = data.loss,
                                .message_class = data.message_class,
                                .time_ns = event.time_ns,
                                .entry_time_ns = data.entry_time_ns});
      stream.gap_bytes += data.offset - stream.next_offset;
      if (data.loss == LLMTAP_LOST_RING_FULL || data.loss == LLMTAP_LOST_UNSEEN)
        stream.gap_bytes += data.original_bytes - data.captured_bytes;
      stream.next_offset = data.offset + data.original_bytes;
      stream.bytes.append(reinterpret_cast<const char*>(&data + 1), data.captured_bytes);
      if (on_data) on_data(data);
      break;
    }
    case LLMTAP_EVENT_CONN: {
      SeenConnection& connection = connections_[event.conn_id];
      std::memcpy(&connection.facts, &event, sizeof(connection.facts));
      ++connection.announcements;
      break;
    }
    case LLMTAP_EVENT_CONN_END: {
      const auto& end = reinterpret_cast<const llmtap_conn_end_event&>(event);
      connections_[event.conn_id].ends[end.reason] = end;
      break;
    }
    case LLMTAP_EVENT_EXEC: ++execs[event.tgid]; break;
    case LLMTAP_EVENT_EXIT: ++exits[event.tgid]; break;
    case LLMTAP_EVENT_LOST: std::memcpy(&lost, &event, sizeof(lost)); break;
    default: break;
  }
}

std::vector<const SeenConnection*> Recorder::connections(uint32_t tgid, uint8_t source) const {
  std::vector<const SeenConnection*> result;  // ids rise in the order of first sight
  for (const auto& [id, connection] : connections_)
    if (connection.facts.hdr.tgid == tgid && connection.facts.source == source) result.push_back(&connection);
  return result;
}

const SeenConnection* Recorder::connection(uint64_t id) const {
  const auto it = connections_.find(id);
  return it == connections_.end() ? nullptr : &it->second;
}

void CaptureTest::open(const ProbeOptions& options) {
  auto probe = Probe::open(options);
  ASSERT_TRUE(probe.has_value()) << probe.error().message << "\n" << probe.error().hint;
  probe_ = *std::move(probe);
}

uint32_t CaptureTest::fork_body(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that gives up leaves nobody behind
    _exit(body());
  }
  EXPECT_GT(child, 0);
  return static_cast<uint32_t>(child);
}

void CaptureTest::poll_until(const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!done()) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "condition not reached";
    const auto polled = probe_->poll(seen_, std::chrono::milliseconds(20));
    ASSERT_TRUE(polled.has_value()) << polled.error().message;
  }
}

void CaptureTest::expect_success(uint32_t tgid) {
  int status = -1;
  ASSERT_EQ(waitpid(static_cast<pid_t>(tgid), &status, 0), static_cast<pid_t>(tgid));
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

uint32_t CaptureTest::run(const std::function<int()>& body) {
  const uint32_t tgid = fork_body(body);
  poll_until([&] { return seen_.exits.contains(tgid); });
  expect_success(tgid);
  return tgid;
}

TcpPair::TcpPair(bool ipv6) {
  const int family = ipv6 ? AF_INET6 : AF_INET;
  const int listener = socket(family, SOCK_STREAM, 0);
  sockaddr_storage address{};
  socklen_t size = 0;
  if (ipv6) {
    auto* in6 = reinterpret_cast<sockaddr_in6*>(&address);
    in6->sin6_family = AF_INET6;
    in6->sin6_addr = in6addr_loopback;
    size = sizeof(*in6);
  } else {
    auto* in4 = reinterpret_cast<sockaddr_in*>(&address);
    in4->sin_family = AF_INET;
    in4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    size = sizeof(*in4);
  }
  bind(listener, reinterpret_cast<sockaddr*>(&address), size);
  listen(listener, 1);
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  client = socket(family, SOCK_STREAM, 0);
  connect(client, reinterpret_cast<sockaddr*>(&address), size);
  server = accept(listener, nullptr, nullptr);
  close(listener);
}

TcpPair::~TcpPair() {
  close_client();
  close_server();
}

void TcpPair::close_client() {
  if (client >= 0) close(client);
  client = -1;
}

void TcpPair::close_server() {
  if (server >= 0) close(server);
  server = -1;
}

bool send_all(int fd, const std::string& bytes) {
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t n = send(fd, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
    if (n <= 0) return false;
    done += static_cast<size_t>(n);
  }
  return true;
}

std::string receive(int fd, size_t bytes) {
  std::string result(bytes, '\0');
  size_t done = 0;
  while (done < bytes) {
    const ssize_t n = recv(fd, result.data() + done, bytes - done, 0);
    if (n <= 0) break;
    done += static_cast<size_t>(n);
  }
  result.resize(done);
  return result;
}

std::string pattern(size_t bytes) {
  std::string result(bytes, '\0');
  uint32_t state = 1;
  for (char& c : result) {
    state = state * 1664525 + 1013904223;
    c = static_cast<char>(state >> 24);
  }
  return result;
}

}  // namespace llmtap
