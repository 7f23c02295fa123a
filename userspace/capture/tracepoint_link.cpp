// SPDX-License-Identifier: Apache-2.0
#include "capture/tracepoint_link.h"

#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

namespace llmtap {
namespace {

constexpr const char* kTraceFsHint =
    "tracefs is needed for the system call tracepoints: mount it (mount -t tracefs tracefs "
    "/sys/kernel/tracing) and "
    "grant CAP_DAC_READ_SEARCH, or grant CAP_SYS_ADMIN, which mounts it for this process alone; "
    "lockdown=confidentiality forbids it";

}  // namespace

Result<TraceFs> TraceFs::open() {
  const int context = fsopen("tracefs", FSOPEN_CLOEXEC);
  if (context >= 0) {
    int mount = -1;
    if (fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0)
      mount = fsmount(context, FSMOUNT_CLOEXEC, 0);
    ::close(context);
    if (mount >= 0) return TraceFs(mount);
  }
  // Mounting may be refused where reading an existing mount is not.
  for (const char* path : {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"}) {
    const int fd = ::open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) continue;
    if (faccessat(fd, "events/syscalls", F_OK, 0) == 0) return TraceFs(fd);
    ::close(fd);
  }
  return Error{std::string("open tracefs: ") + std::strerror(errno), kTraceFsHint};
}

TraceFs::~TraceFs() {
  if (fd_ >= 0) ::close(fd_);
}

Result<uint64_t> TraceFs::id_of(const std::string& name) const {
  const std::string path = "events/" + name + "/id";
  const int file = openat(fd_, path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return Error{"tracepoint " + name + ": " + std::strerror(errno), kTraceFsHint};
  std::array<char, 32> text{};
  const ssize_t n = ::read(file, text.data(), text.size());
  ::close(file);
  uint64_t id = 0;
  if (n <= 0 || std::from_chars(text.data(), text.data() + n, id).ec != std::errc{})
    return Error{"tracepoint " + name + ": its id is not readable", kTraceFsHint};
  return id;
}

Result<bpf_link*> TraceFs::attach(bpf_program* program, const std::string& name) const {
  const uint64_t id = LLMTAP_TRY(id_of(name));
  perf_event_attr attr{};
  attr.type = PERF_TYPE_TRACEPOINT;
  attr.size = sizeof(attr);
  attr.config = id;
  // One event on one CPU stands for the tracepoint: the programs hang on the tracepoint itself.
  const long event = syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
  if (event < 0)
    return Error{"tracepoint " + name + ": " + std::strerror(errno),
                 "this process lacks CAP_PERFMON: run with sudo"};
  bpf_link* link = bpf_program__attach_perf_event(program, static_cast<int>(event));
  if (!link) {
    const int error = errno;
    ::close(static_cast<int>(event));
    return Error{"tracepoint " + name + ": " + std::strerror(error)};
  }
  return link;
}

}  // namespace llmtap
