// SPDX-License-Identifier: Apache-2.0
#include "capture/thread_calls.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "capture/btf_member.h"
#include "capture/unique_fd.h"

namespace llmtap {
namespace {

constexpr unsigned kPidfdThread = O_EXCL;  // PIDFD_THREAD, Linux 6.9

}  // namespace

ThreadCalls::ThreadCalls(const bpf_object* object, const bpf_map* map) {
  if (bpf_map__type(map) != BPF_MAP_TYPE_TASK_STORAGE) return;
  const btf* const types = bpf_object__btf(object);
  const auto calls = find_member(types, "thread", "tls"), sp = find_member(types, "tls_call", "sp"),
             own = find_member(types, "tls_call", "own"),
             time = find_member(types, "tls_call", "entry_time_ns");
  if (!calls || !sp || !own || !time || !btf_is_array(calls->type)) return;
  calls_ = btf_array(calls->type)->nelems;
  const auto call_bytes = btf__resolve_size(types, btf_array(calls->type)->type);
  if (call_bytes <= 0) return;
  call_bytes_ = static_cast<size_t>(call_bytes);
  at_ = {.calls = calls->offset, .sp = sp->offset, .own = own->offset, .entry_time_ns = time->offset};
  value_bytes_ = bpf_map__value_size(map);
  map_ = bpf_map__fd(map);
}

bool ThreadCalls::in_call(uint32_t tgid, bool own, uint64_t since_ns) const {
  if (map_ < 0) return true;
  std::error_code error;
  std::filesystem::directory_iterator tasks("/proc/" + std::to_string(tgid) + "/task", error);
  if (error) return error != std::errc::no_such_file_or_directory && error != std::errc::no_such_process;
  std::vector<std::byte> value(value_bytes_);
  for (; tasks != std::filesystem::directory_iterator(); tasks.increment(error)) {
    if (error) return true;
    const std::string name = tasks->path().filename();
    pid_t tid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), tid).ec != std::errc{}) continue;
    const UniqueFd thread(static_cast<int>(::syscall(SYS_pidfd_open, tid, kPidfdThread)));
    if (!thread && errno == ESRCH) continue;
    if (!thread) return true;
    const int key = thread.get();
    if (bpf_map_lookup_elem(map_, &key, value.data()) != 0) continue;  // in no hooked call so far
    for (size_t i = 0; i < calls_; ++i) {
      const std::byte* const call = value.data() + at_.calls + i * call_bytes_;
      uint64_t sp = 0, entry_time_ns = 0;
      std::memcpy(&sp, call + at_.sp, sizeof(sp));
      std::memcpy(&entry_time_ns, call + at_.entry_time_ns, sizeof(entry_time_ns));
      if (sp != 0 && entry_time_ns >= since_ns && (call[at_.own] != std::byte{0}) == own) return true;
    }
  }
  return false;
}

}  // namespace llmtap
