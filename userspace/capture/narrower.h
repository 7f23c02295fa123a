// SPDX-License-Identifier: Apache-2.0
// Keeps the breakpoints of a dear file to the processes that need them: those with evidence of LLM calls and
// those that just came. Each of them has a link of its own, the others' calls pass unseen until the file is
// shared again. One owner thread.
//
// No call is missed or counted twice when a process changes from one to the other: both count while its own
// comes or goes, and neither goes while a call that it saw begin is underway. What a process did unseen ends
// its TLS connections in the kernel (LLMTAP_COOKIE_EPOCH): what follows is read as of connections that are
// older than the probe.
#pragma once

#include <array>
#include <bitset>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "capture/attacher.h"
#include "capture/narrow_policy.h"
#include "capture/unique_fd.h"
#include "llmtap/facts.h"

namespace llmtap {

class Narrower {
 public:
  using Time = NarrowPolicy::Time;
  using User = std::pair<uint32_t, uint64_t>;  // tgid, start

  // What it keeps of a file.
  struct File {
    uint8_t number = 0;  // 0: there were too many; never narrowed
    uint16_t epoch = 0;  // of the shared link, or the last there was
    NarrowPolicy policy;
    struct Own {
      std::unique_ptr<AttachedLink> link;
      uint16_t epoch = 0;
      uint64_t since_ns = 0;
    };
    std::map<User, Own> own;
    std::vector<std::unique_ptr<AttachedLink>>
        ended;        // of processes that are gone, or execute something else
    UniqueFd opened;  // while there are own links, or no link: it keeps the inode's number from others
    uint64_t shared_since_ns = 0;
    Time stepped{};  // time as narrow until then is in unfollowed()
  };
  // What it needs of it for a step.
  struct Target {
    std::span<const HookPlace> places;
    std::unique_ptr<AttachedLink>& shared;
    const std::map<User, Time>& users;  // since when each maps the file
    std::function<Result<UniqueFd>()> open;
  };

  Narrower(UprobeAttacher& attacher, const NarrowPolicy::Options& options)
      : attacher_(attacher), options_(options) {}

  void enter(File&);  // gives it a number
  void leave(File&);  // its links are gone with it
  LinkReach shared_reach(const File& file) const { return {.file = file.number, .epoch = file.epoch}; }

  bool touch(File& file, Time now) { return file.policy.touch(options_, now); }
  void step(File&, const Target&, Time now);
  Time due(const File& file) const;

  void see_evidence(User user) { evident_.try_emplace(user, false); }
  bool is_evident(User user) const { return evident_.contains(user); }
  // The process does not map the file any more, whatever it does.
  void end_use(File& file, User user);
  void forget_all_but(const std::set<uint32_t>& tgids);
  // Whatever a file costs is too much.
  void press(bool pressed) { pressed_ = pressed; }
  // Read once before the steps of all files.
  void read_hits();

  // How often something changed of what links there are.
  uint64_t changes() const { return changes_; }
  // Time in which some process had no breakpoints, of all files.
  std::chrono::nanoseconds unfollowed() const { return unfollowed_; }

 private:
  double bound() const;
  bool needs(User user, Time since, Time now) const;
  bool attach_own(File&, const Target&, Time now);
  void drop_own(File&, const Target&, Time now);
  void mark_evident(const Target&);

  UprobeAttacher& attacher_;
  const NarrowPolicy::Options options_;
  std::map<User, bool> evident_;  // and whether the kernel side was told
  std::bitset<LinkReach::kFiles> numbers_;
  std::array<uint64_t, LinkReach::kFiles> hits_{};
  std::chrono::nanoseconds unfollowed_{0};
  uint64_t changes_ = 0;
  bool pressed_ = false;
};

}  // namespace llmtap
