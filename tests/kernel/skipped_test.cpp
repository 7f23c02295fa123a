// SPDX-License-Identifier: Apache-2.0
// Runs that the kernel skipped, as they are left in the thread's storage.
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "capture/btf_member.h"
#include "capture/unique_fd.h"
#include "capture_fixture.h"

namespace llmtap {
namespace {

const std::string kRequest = "POST /v1/chat HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody";

struct ThreadsMap {
  UniqueFd fd;
  uint32_t value_bytes = 0;
  size_t socket = 0, active = 0;  // members of its struct thread's call
};

// Of the probe that was loaded last.
ThreadsMap threads_map() {
  ThreadsMap found;
  for (__u32 id = 0; bpf_map_get_next_id(id, &id) == 0;) {
    UniqueFd map(bpf_map_get_fd_by_id(id));
    bpf_map_info info{};
    __u32 size = sizeof(info);
    if (!map || bpf_map_get_info_by_fd(map.get(), &info, &size) != 0) continue;
    if (std::string_view(info.name) != "thread_by_id" || info.type != BPF_MAP_TYPE_TASK_STORAGE) continue;
    btf* const types = btf__load_from_kernel_by_id(info.btf_id);
    const auto call = find_member(types, "thread", "io");
    const auto socket = find_member(types, "io_call", "sk"), active = find_member(types, "io_call", "active");
    if (call && socket && active)
      found = {std::move(map), info.value_size, call->offset + socket->offset, call->offset + active->offset};
    btf__free(types);
  }
  return found;
}

bool is_in_read(uint32_t tid) {
  long call = -1;
  std::ifstream("/proc/" + std::to_string(tid) + "/syscall") >> call;
  return call == SYS_read;
}

class SkippedTest : public CaptureTest, public ::testing::WithParamInterface<bool> {};

// The return of the call on the socket was skipped, and then the entry of one on a pipe, whose return is
// seen.
TEST_P(SkippedTest, AnotherFilesBytesAreNotTheSockets) {
  Features features = probe_features();
  features.tracefs = GetParam();
  ASSERT_NO_FATAL_FAILURE(open({.features = features}));
  std::array<int, 2> asks{}, answers{};
  ASSERT_EQ(pipe(asks.data()), 0);
  ASSERT_EQ(pipe(answers.data()), 0);
  const uint32_t tgid = fork_body([&] {
    TcpPair pair;
    if (!send_all(pair.client, kRequest) || receive(pair.server, kRequest.size()) != kRequest) return 1;
    std::array<char, 64> bytes{};
    if (write(answers[1], "w", 1) != 1 || read(asks[0], bytes.data(), bytes.size()) != 12) return 1;
    return send_all(pair.client, kRequest) && receive(pair.server, kRequest.size()) == kRequest ? 0 : 1;
  });
  char ready = 0;
  ASSERT_EQ(read(answers[0], &ready, 1), 1);
  while (!is_in_read(tgid)) sched_yield();
  const ThreadsMap map = threads_map();
  ASSERT_TRUE(map.fd);
  std::vector<std::byte> thread(map.value_bytes);
  const UniqueFd child(static_cast<int>(::syscall(SYS_pidfd_open, tgid, 0)));
  const int key = child.get();
  ASSERT_EQ(bpf_map_lookup_elem(map.fd.get(), &key, thread.data()), 0);
  uint64_t socket = 0;
  std::memcpy(&socket, thread.data() + map.socket, sizeof(socket));
  ASSERT_NE(socket, 0U);
  ASSERT_EQ(thread[map.active], std::byte{0});
  thread[map.active] = std::byte{1};
  ASSERT_EQ(bpf_map_update_elem(map.fd.get(), &key, thread.data(), BPF_EXIST), 0);
  ASSERT_EQ(write(asks[1], "not its byte", 12), 12);
  poll_until([&] { return seen_.exits.contains(tgid); });
  expect_success(tgid);
  for (const int fd : {asks[0], asks[1], answers[0], answers[1]}) close(fd);

  const auto connections = seen_.connections(tgid, LLMTAP_SOURCE_SOCKET);
  ASSERT_EQ(connections.size(), 2U);
  for (const SeenConnection* connection : connections) {
    EXPECT_EQ(connection->read() + connection->written(), kRequest + kRequest);
    EXPECT_EQ(connection->stream[0].gap_bytes + connection->stream[1].gap_bytes, 0U);
  }
}

INSTANTIATE_TEST_SUITE_P(Tracefs, SkippedTest, ::testing::Bool(),
                         [](const auto& test) { return test.param ? "ByCall" : "AllCalls"; });

}  // namespace
}  // namespace llmtap
