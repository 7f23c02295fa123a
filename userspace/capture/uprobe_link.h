// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cerrno>
#include <memory>
#include <span>
#include <string>

#include "capture/probe.h"

struct bpf_program;

namespace llmtap {

// One uprobe_multi link for the entries and one for the returns: detaching hundreds of single links
// takes the kernel minutes of grace periods, two take milliseconds.
// One link for both, where has_uprobe_sessions(): `program` is of attach type kTraceUprobeSession.
Result<std::unique_ptr<UprobeLink>> attach_session(int program_fd, const std::string& path,
                                                   std::span<const UprobePlace> places);

constexpr int kTraceUprobeMulti = 48;    // enum bpf_attach_type, Linux 6.6
constexpr int kTraceUprobeSession = 57;  // Linux 6.13; libbpf knows it since 1.5

// What the kernel says to an empty program of this type: EBADF (the link type is known, the path is
// not a file), or why not.
struct UprobeTrial {
  bool loaded = false;
  int error = 0;
  bool known() const { return loaded && error == EBADF; }
};
UprobeTrial try_uprobe_link(int attach_type);

Result<std::unique_ptr<UprobeLink>> attach_multi(bpf_program* entry, bpf_program* returning,
                                                 const std::string& path,
                                                 std::span<const UprobePlace> places);

}  // namespace llmtap
