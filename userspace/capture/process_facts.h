// SPDX-License-Identifier: Apache-2.0
// What /proc says of a process: its mappings, its identity and the name of its workload.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "capture/unique_fd.h"
#include "llmtap/facts.h"
#include "llmtap/result.h"

namespace llmtap {

// A file as the kernel names it in maps and mmap records. Reused once the file is gone: a user keeps
// it with a size and a time of change.
struct FileKey {
  uint32_t major = 0, minor = 0;
  uint64_t inode = 0;
  auto operator<=>(const FileKey&) const = default;
};

struct Mapping {
  FileKey file;
  std::string range;  // "START-END" as the kernel prints it: the name in map_files
  std::string path;   // as the process sees it, " (deleted)" stripped
};

// Executable mappings of files in the text of /proc/PID/maps, the first of each file.
std::vector<Mapping> parse_maps(std::string_view text);

struct CgroupFacts {
  std::string path;
  std::string container_id;  // 64 hex digits
  std::string unit;          // systemd service
};
CgroupFacts parse_cgroup(std::string_view text);

// Script or module that an interpreter runs, by its own command line grammar; empty if `exe` is no
// interpreter or runs none. No other word of the command line is ever returned: they hold secrets.
std::string interpreter_script(std::string_view exe, const std::vector<std::string>& arguments);

// The label: container, unit, script, executable, in this order.
std::string workload_name(const CgroupFacts&, std::string_view script, std::string_view exe,
                          std::string_view comm);

struct ProcessRecord {
  ProcessFacts facts;
  std::string script;
  // exec is told before the kernel has laid out the new arguments: read again a little later.
  bool complete = true;
};

// This process as the mounted /proc numbers it: with the host's /proc that is the initial namespace's number.
std::optional<uint32_t> own_tgid();

// The PROCESS event of a record, as it crosses to the core: 8-byte aligned, in 64-bit words.
std::vector<uint64_t> process_event(const ProcessRecord&, uint64_t now_ns);

// A view of /proc; `root` is an argument for tests.
class ProcFs {
 public:
  static constexpr size_t kMaxFileBytes = 16 << 20;  // maps of a process: 100,000 mappings

  explicit ProcFs(std::string root = "/proc") : root_(std::move(root)) {}

  std::vector<uint32_t> processes() const;
  // Boot time in ns, rounded down to a clock tick (10 ms) as /proc has it. Nothing: gone or a zombie.
  std::optional<uint64_t> start_ns(uint32_t tgid) const;
  std::optional<uint32_t> parent(uint32_t tgid) const;
  // False only if it is certain: the number is free, a zombie's, or another process has it.
  bool lives(ProcessKey) const;
  // Nothing if the process went away, or another took its number, meanwhile.
  std::optional<std::vector<Mapping>> mappings(ProcessKey) const;
  std::optional<ProcessRecord> record(uint32_t tgid) const;
  // The very file that is mapped, deleted or in another mount namespace as it may be.
  Result<UniqueFd> open_mapping(uint32_t tgid, const Mapping&) const;

 private:
  std::string path(uint32_t tgid, std::string_view name) const;
  std::optional<std::string> read(uint32_t tgid, std::string_view name, size_t max_bytes) const;
  std::optional<std::string> stat_from_state(uint32_t tgid) const;
  std::string root_;
};

}  // namespace llmtap
