// SPDX-License-Identifier: Apache-2.0
// What is known of processes, bounded. Ended ones are kept a while: their last calls are finished
// after them.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string_view>
#include <unordered_map>

#include "base/process_key_hash.h"
#include "llmtap/facts.h"
#include "llmtap/limits.h"

namespace llmtap {

class ProcessTable {
 public:
  explicit ProcessTable(const Limits& limits) : limits_(limits) {}

  // Text of a PROCESS event: "key\0value\0" pairs.
  void set_facts(ProcessKey, std::string_view text);
  void set_comm(ProcessKey, std::string_view comm);
  void set_ended(ProcessKey);
  // Never null. A key without start time finds the newest process of that tgid.
  std::shared_ptr<const ProcessFacts> find(ProcessKey) const;
  // Fills in the start time of the newest process of that tgid, if known.
  ProcessKey newest(uint32_t tgid) const;
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::shared_ptr<const ProcessFacts> facts;
    bool ended = false;
    std::list<ProcessKey>::iterator place;
  };
  Entry& entry(ProcessKey);
  void erase(ProcessKey);

  const Limits limits_;
  std::unordered_map<ProcessKey, Entry, ProcessKeyHash> entries_;
  std::unordered_map<uint32_t, uint64_t> newest_start_by_tgid_;
  std::list<ProcessKey> running_, ended_;  // oldest first
};

}  // namespace llmtap
