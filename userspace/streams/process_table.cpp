// SPDX-License-Identifier: Apache-2.0
#include "streams/process_table.h"

namespace llmtap {
namespace {

constexpr size_t kMaxValueBytes = 4096;  // a path's length; longer values are cut

std::string_view next_string(std::string_view& text) {
  const size_t end = text.find('\0');
  const std::string_view value = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  return value.substr(0, kMaxValueBytes);
}

}  // namespace

ProcessTable::Entry& ProcessTable::entry(ProcessKey key) {
  const auto found = entries_.find(key);
  if (found != entries_.end()) return found->second;
  if (entries_.size() >= limits_.processes) erase(ended_.empty() ? running_.front() : ended_.front());
  Entry& made = entries_[key];
  auto facts = std::make_shared<ProcessFacts>();
  facts->key = key;
  facts->workload = "unknown";
  made.facts = std::move(facts);
  made.place = running_.insert(running_.end(), key);
  newest_start_by_tgid_[key.tgid] = key.start_ns;
  return made;
}

void ProcessTable::erase(ProcessKey key) {
  const auto found = entries_.find(key);
  (found->second.ended ? ended_ : running_).erase(found->second.place);
  entries_.erase(found);
  const auto newest = newest_start_by_tgid_.find(key.tgid);
  if (newest != newest_start_by_tgid_.end() && newest->second == key.start_ns)
    newest_start_by_tgid_.erase(newest);
}

void ProcessTable::set_facts(ProcessKey key, std::string_view text) {
  auto facts = std::make_shared<ProcessFacts>();
  facts->key = key;
  while (!text.empty()) {
    const std::string_view name = next_string(text);
    const std::string_view value = next_string(text);
    if (name == "exe")
      facts->exe = value;
    else if (name == "comm")
      facts->comm = value;
    else if (name == "workload")
      facts->workload = value;
    else if (name == "container_id")
      facts->container_id = value;
    else if (name == "cgroup")
      facts->cgroup = value;
    else if (name == "unit")
      facts->unit = value;
  }
  if (facts->workload.empty()) facts->workload = facts->comm.empty() ? "unknown" : facts->comm;
  entry(key).facts = std::move(facts);
}

void ProcessTable::set_comm(ProcessKey key, std::string_view comm) {
  Entry& known = entry(key);
  if (known.facts->comm == comm) return;
  auto facts = std::make_shared<ProcessFacts>(*known.facts);
  facts->comm = comm;
  known.facts = std::move(facts);
}

void ProcessTable::set_ended(ProcessKey key) {
  const auto found = entries_.find(key);
  if (found == entries_.end() || found->second.ended) return;
  found->second.ended = true;
  ended_.splice(ended_.end(), running_, found->second.place);
  if (ended_.size() > limits_.ended_processes) erase(ended_.front());
}

ProcessKey ProcessTable::newest(uint32_t tgid) const {
  const auto found = newest_start_by_tgid_.find(tgid);
  return {tgid, found == newest_start_by_tgid_.end() ? 0 : found->second};
}

std::shared_ptr<const ProcessFacts> ProcessTable::find(ProcessKey key) const {
  const auto found = entries_.find(key.start_ns != 0 ? key : newest(key.tgid));
  if (found != entries_.end()) return found->second.facts;
  auto unknown = std::make_shared<ProcessFacts>();
  unknown->key = key;
  unknown->workload = "unknown";
  return unknown;
}

}  // namespace llmtap
