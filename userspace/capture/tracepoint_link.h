// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "llmtap/result.h"

struct bpf_link;
struct bpf_program;

namespace llmtap {

// A private mount of tracefs, seen by nobody else: the ids of tracepoints are read there whether or
// not the host has tracefs mounted.
class TraceFs {
 public:
  static Result<TraceFs> open();
  TraceFs(TraceFs&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  TraceFs& operator=(TraceFs&&) = delete;
  ~TraceFs();

  // `name`: "syscalls/sys_enter_read".
  bool has(const std::string& name) const { return id_of(name).has_value(); }
  // The caller owns the link.
  Result<bpf_link*> attach(bpf_program* program, const std::string& name) const;

 private:
  Result<uint64_t> id_of(const std::string& name) const;
  explicit TraceFs(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace llmtap
