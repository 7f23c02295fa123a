// SPDX-License-Identifier: Apache-2.0
#include "capture/process_facts.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <climits>
#include <cstring>
#include <filesystem>
#include <memory>
#include <set>

#include "capture/workload_name.h"

namespace llmtap {
namespace {

constexpr std::string_view kDeleted = " (deleted)";

std::string_view take_field(std::string_view& line) {
  const size_t begin = std::min(line.find_first_not_of(' '), line.size());
  const size_t end = std::min(line.find(' ', begin), line.size());
  const std::string_view field = line.substr(begin, end - begin);
  line.remove_prefix(end);
  return field;
}

template <typename T>
bool parse_number(std::string_view text, T& value, int base) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return error == std::errc() && end == text.data() + text.size();
}

std::string without_deleted(std::string_view path) {
  if (path.ends_with(kDeleted)) path.remove_suffix(kDeleted.size());
  return std::string(path);
}

void append_pair(std::string& text, std::string_view key, std::string_view value) {
  text.append(key).push_back('\0');
  // A NUL cannot stand in a path or name of the kernel; a cgroup or argument is cut there.
  text.append(value.substr(0, std::min(value.find('\0'), size_t{PATH_MAX}))).push_back('\0');
}

}  // namespace

// "7f..-7f.. r-xp 00001000 fe:01 123   /usr/lib/x.so"
std::vector<Mapping> parse_maps(std::string_view text) {
  std::vector<Mapping> mappings;
  std::set<FileKey> seen;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::string_view range = take_field(line);
    const std::string_view permissions = take_field(line);
    take_field(line);  // offset
    const std::string_view device = take_field(line);
    const std::string_view inode = take_field(line);
    const size_t colon = device.find(':');
    Mapping mapping;
    if (permissions.size() < 4 || permissions[2] != 'x' || colon == std::string_view::npos ||
        !parse_number(device.substr(0, colon), mapping.file.major, 16) ||
        !parse_number(device.substr(colon + 1), mapping.file.minor, 16) ||
        !parse_number(inode, mapping.file.inode, 10) || mapping.file.inode == 0)
      continue;
    if (!seen.insert(mapping.file).second) continue;
    mapping.range = range;
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    mapping.path = without_deleted(line);
    mappings.push_back(std::move(mapping));
  }
  return mappings;
}

std::vector<uint64_t> process_event(const ProcessRecord& record, uint64_t now_ns) {
  const ProcessFacts& facts = record.facts;
  std::string text;
  append_pair(text, "exe", facts.exe);
  append_pair(text, "comm", facts.comm);
  append_pair(text, "workload", facts.workload);
  append_pair(text, "container_id", facts.container_id);
  append_pair(text, "cgroup", facts.cgroup);
  append_pair(text, "unit", facts.unit);
  append_pair(text, "script", record.script);
  llmtap_process_facts_event event{};
  event.hdr.time_ns = now_ns;
  event.hdr.type = LLMTAP_EVENT_PROCESS;
  event.hdr.tgid = event.hdr.tid = facts.key.tgid;
  event.process_start_ns = facts.key.start_ns;
  event.text_bytes = static_cast<uint32_t>(text.size());
  std::vector<uint64_t> words((sizeof(event) + text.size() + 7) / 8);
  event.hdr.size = static_cast<uint32_t>(words.size() * 8);
  std::memcpy(words.data(), &event, sizeof(event));
  std::memcpy(words.data() + sizeof(event) / 8, text.data(), text.size());
  return words;
}

std::string ProcFs::path(uint32_t tgid, std::string_view name) const {
  return root_ + "/" + std::to_string(tgid) + "/" + std::string(name);
}

std::optional<std::string> ProcFs::read(uint32_t tgid, std::string_view name, size_t max_bytes) const {
  const UniqueFd file(::open(path(tgid, name).c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return std::nullopt;
  std::string text;
  std::array<char, 65536> chunk;
  while (text.size() < max_bytes) {
    const ssize_t n = ::read(file.get(), chunk.data(), std::min(chunk.size(), max_bytes - text.size()));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::nullopt;
    if (n == 0) break;
    text.append(chunk.data(), static_cast<size_t>(n));
  }
  return text;
}

std::vector<uint32_t> ProcFs::processes() const {
  std::vector<uint32_t> tgids;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(root_.c_str()), ::closedir);
  if (!folder) return tgids;
  while (const dirent* const entry = ::readdir(folder.get())) {
    uint32_t tgid = 0;
    if (parse_number(std::string_view(entry->d_name), tgid, 10)) tgids.push_back(tgid);
  }
  return tgids;
}

// /proc/PID/stat from its field 3 on: in "PID (comm) S …" comm may hold spaces and parentheses.
std::optional<std::string> ProcFs::stat_from_state(uint32_t tgid) const {
  auto text = read(tgid, "stat", 4096);
  const size_t close = text ? text->rfind(')') : std::string::npos;
  if (close == std::string::npos) return std::nullopt;
  return text->substr(close + 1);
}

std::optional<uint32_t> ProcFs::parent(uint32_t tgid) const {
  const auto text = stat_from_state(tgid);
  if (!text) return std::nullopt;
  std::string_view rest = *text;
  take_field(rest);
  uint32_t parent = 0;
  if (!parse_number(take_field(rest), parent, 10)) return std::nullopt;
  return parent;
}

std::optional<uint32_t> own_tgid() {
  std::array<char, 32> text{};
  const ssize_t n = ::readlink("/proc/self", text.data(), text.size());
  uint32_t tgid = 0;
  if (n <= 0 || !parse_number(std::string_view(text.data(), static_cast<size_t>(n)), tgid, 10))
    return std::nullopt;
  return tgid;
}

std::optional<uint64_t> ProcFs::start_ns(uint32_t tgid) const {
  const auto text = stat_from_state(tgid);
  if (!text) return std::nullopt;
  // State is field 3, start time field 22.
  std::string_view rest = *text;
  const std::string_view state = take_field(rest);
  if (state == "Z" || state == "X") return std::nullopt;
  for (int field = 4; field < 22; ++field) take_field(rest);
  uint64_t ticks = 0;
  if (!parse_number(take_field(rest), ticks, 10)) return std::nullopt;
  // Always 100 in what the kernel shows to programs (USER_HZ).
  return ticks * (1'000'000'000 / 100);
}

bool ProcFs::lives(ProcessKey process) const {
  if (const auto start = start_ns(process.tgid)) return process.start_ns == 0 || *start == process.start_ns;
  // A zombie has one task left; a process whose main thread ended before the others has more. What
  // cannot be read for another reason (no descriptor is free) is no evidence.
  std::error_code error;
  std::filesystem::directory_iterator tasks(path(process.tgid, "task"), error);
  if (error) return error != std::errc::no_such_file_or_directory && error != std::errc::no_such_process;
  size_t count = 0;
  for (; !error && tasks != std::filesystem::directory_iterator(); tasks.increment(error)) ++count;
  return count > 1;
}

std::optional<std::vector<Mapping>> ProcFs::mappings(ProcessKey process) const {
  const auto text = read(process.tgid, "maps", kMaxFileBytes);
  if (!text || start_ns(process.tgid) != process.start_ns) return std::nullopt;
  return parse_maps(*text);
}

std::optional<ProcessRecord> ProcFs::record(uint32_t tgid) const {
  const auto start = start_ns(tgid);
  if (!start) return std::nullopt;
  ProcessRecord record;
  ProcessFacts& facts = record.facts;
  facts.key = {tgid, *start};
  std::array<char, PATH_MAX> link{};
  const ssize_t n = ::readlink(path(tgid, "exe").c_str(), link.data(), link.size());
  if (n > 0) facts.exe = without_deleted(std::string_view(link.data(), static_cast<size_t>(n)));
  facts.comm = read(tgid, "comm", 64).value_or("");
  while (!facts.comm.empty() && facts.comm.back() == '\n') facts.comm.pop_back();
  const CgroupFacts cgroup = parse_cgroup(read(tgid, "cgroup", 65536).value_or(""));
  facts.cgroup = cgroup.path;
  facts.container_id = cgroup.container_id;
  facts.unit = cgroup.unit;
  const std::string arguments = read(tgid, "cmdline", 65536).value_or("");
  record.complete = !arguments.empty();
  record.script = interpreter_script(facts.exe, split_arguments(arguments));
  facts.workload = workload_name(cgroup, record.script, facts.exe, facts.comm);
  if (start_ns(tgid) != start) return std::nullopt;
  return record;
}

Result<UniqueFd> ProcFs::open_mapping(uint32_t tgid, const Mapping& mapping) const {
  // map_files needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE and leads to the exact file. The other two
  // go by name: what they lead to must show the mapping's inode number.
  struct Way {
    std::string path;
    bool by_name;
  };
  const std::array<Way, 3> ways{Way{path(tgid, "map_files/" + mapping.range), false},
                                Way{path(tgid, "root") + mapping.path, true}, Way{path(tgid, "exe"), true}};
  int error = ENOENT;
  for (const Way& way : ways) {
    if (way.by_name && mapping.path.empty()) continue;
    struct stat status{};
    // Opening a device or a FIFO has effects: look first.
    if (::stat(way.path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) {
      error = error == ENOENT ? errno : error;
      continue;
    }
    if (way.by_name && status.st_ino != mapping.file.inode) continue;
    UniqueFd file(::open(way.path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    if (!file) {
      error = errno;
      continue;
    }
    if (way.by_name && (::fstat(file.get(), &status) != 0 || status.st_ino != mapping.file.inode)) continue;
    return file;
  }
  return Error{"open mapped file: " + std::string(::strerror(error))};
}

}  // namespace llmtap
