// SPDX-License-Identifier: Apache-2.0
// Which files hold a TLS runtime, who maps them, and the breakpoints in them. One owner thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "capture/attacher.h"
#include "capture/coverage.h"
#include "capture/narrower.h"
#include "capture/process_facts.h"
#include "capture/tls/runtimes.h"

namespace llmtap {

class AttachManager {
 public:
  using Time = std::chrono::steady_clock::time_point;

  struct Options {
    size_t files = 65536;  // remembered; at the cap those without a runtime are forgotten and looked at again
    std::chrono::milliseconds linger{10'000};  // breakpoints stay this long after the last process
    NarrowPolicy::Options narrow;
  };

  AttachManager(const ProcFs& procfs, UprobeAttacher& attacher, std::span<const TlsRuntime> runtimes,
                Options options)
      : procfs_(procfs),
        attacher_(attacher),
        runtimes_(runtimes),
        options_(options),
        narrower_(attacher, options.narrow) {}

  ~AttachManager();
  AttachManager(const AttachManager&) = delete;
  AttachManager& operator=(const AttachManager&) = delete;

  // A new look at everything: files seen before it are checked for change again, failed attaches retried.
  void begin_pass() { ++pass_; }

  // Whether any of the mappings holds a runtime. Reads files not seen before.
  bool inspect(uint32_t tgid, const std::vector<Mapping>&);
  // The process maps these files now, and only these; attaches what is not. After inspect().
  std::vector<RuntimeUse> use(ProcessKey, const std::vector<Mapping>&, Time now);
  void forget(ProcessKey, Time now);
  // The kernel cannot spare this one process: nothing is attached to a file that it maps. After use().
  void refuse(ProcessKey, const std::string& reason);
  // Detaches what nobody maps any more. Returns when to come back, Time::max() if nothing waits.
  Time collect(Time now);

  // A file that only some processes are hooked in is hooked in all as soon as one more begins to map it:
  // then true, and narrow() is due.
  bool touch(const FileKey&, Time now);
  // The process made an LLM call or is about to: it is never left out.
  void see_evidence(ProcessKey process) { narrower_.see_evidence({process.tgid, process.start_ns}); }
  bool is_evident(ProcessKey process) const { return narrower_.is_evident({process.tgid, process.start_ns}); }
  void forget_evidence_of_all_but(const std::set<uint32_t>& tgids) { narrower_.forget_all_but(tgids); }
  // A child of it is no user yet.
  void touch_files_of(ProcessKey, Time now);
  void press(bool pressed) { narrower_.press(pressed); }
  // What is to be done about files that cost much. Returns when to come back.
  Time narrow(Time now);
  // How often something changed that describe() tells.
  uint64_t changes() const { return narrower_.changes(); }
  // In which calls of some process may have passed unseen; of all files.
  std::chrono::nanoseconds unfollowed() const { return narrower_.unfollowed(); }

  // Known and without a runtime.
  bool is_negative(const FileKey&) const;
  void describe(Coverage&) const;

 private:
  struct File {
    int64_t size = 0;
    int64_t changed_ns = 0;
    uint64_t generation = 0;
    uint64_t pass = 0;         // when it was last checked for change
    uint64_t attach_pass = 0;  // when attaching was last tried
    std::string path;
    std::vector<RuntimeUse> runtimes;
    std::vector<HookPlace> places;
    std::string placement;
    bool single_stepped = false;
    HookPlan fallback;    // of the whole file; empty places: none
    std::string refused;  // why it is never attached
    std::unique_ptr<AttachedLink> link;
    std::map<Narrower::User, Time> users;  // since when each maps it
    Time unused_since{};
    Narrower::File narrowed;
  };

  File* look_up(uint32_t tgid, const Mapping&);
  void examine(int fd, File&);
  void attach(uint32_t tgid, const Mapping&, File&);
  void fail(File&, size_t runtime, const std::string& what);
  void make_room();
  void drop(File&);
  Result<UniqueFd> open(const FileKey&, const File&) const;
  void refuse(File&, const std::string& reason);

  const ProcFs& procfs_;
  UprobeAttacher& attacher_;
  std::span<const TlsRuntime> runtimes_;
  Options options_;
  uint64_t pass_ = 1;
  uint64_t generations_ = 0;
  Narrower narrower_;
  std::map<FileKey, File> files_;
  std::map<std::pair<uint32_t, uint64_t>, std::set<FileKey>> files_by_process_;
  std::map<std::pair<std::string, std::string>, uint64_t> failures_;
};

}  // namespace llmtap
