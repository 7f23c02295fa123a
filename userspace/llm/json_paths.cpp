// SPDX-License-Identifier: Apache-2.0
#include <map>

#include "base/check.h"
#include "llm/json_scanner.h"

namespace llmtap {
namespace {

uint32_t name_hash(std::string_view name) {
  if (name.empty()) return 0;
  const auto first = static_cast<unsigned char>(name.front());
  const auto last = static_cast<unsigned char>(name.back());
  const auto middle = static_cast<unsigned char>(name[name.size() / 2]);
  return (static_cast<uint32_t>(name.size()) * 0x9e3779b1u) ^ (first * 0x85ebca6bu) ^ (last * 0xc2b2ae35u) ^
         (middle * 0x27d4eb2fu);
}

uint32_t slot_of(std::string_view name, uint32_t mask) {
  const uint32_t hash = name_hash(name);
  return (hash ^ (hash >> 15)) & mask;
}

struct Building {
  std::map<std::string, uint32_t, std::less<>> names;
};

}  // namespace

JsonPaths::JsonPaths(std::span<const JsonRule> rules) {
  std::vector<Building> building(1);
  nodes_.resize(1);
  const auto add_node = [&] {
    nodes_.emplace_back();
    building.emplace_back();
    return static_cast<uint32_t>(nodes_.size() - 1);
  };
  for (const JsonRule& rule : rules) {
    uint32_t at = 0;
    size_t depth = 0;
    std::string_view rest = rule.path;
    while (!rest.empty()) {
      if (rest.starts_with("[]")) {
        rest.remove_prefix(2);
        if (nodes_[at].element == 0) {
          const uint32_t added = add_node();
          nodes_[at].element = added;
        }
        at = nodes_[at].element;
      } else {
        if (rest.front() == '.') rest.remove_prefix(1);
        const size_t length = std::min(rest.find_first_of(".["), rest.size());
        const std::string name(rest.substr(0, length));
        rest.remove_prefix(length);
        const auto found = building[at].names.find(name);
        uint32_t next = 0;
        if (found == building[at].names.end()) {
          next = add_node();
          building[at].names.emplace(name, next);
        } else {
          next = found->second;
        }
        at = next;
      }
      ++depth;
    }
    LLMTAP_CHECK(depth > 0 && depth <= kMaxDepth);
    if (rule.want == JsonWant::kOpen) {
      nodes_[at].open_field = rule.field;
    } else {
      LLMTAP_CHECK(nodes_[at].field == kNone);
      nodes_[at].field = rule.field;
      nodes_[at].want = rule.want;
    }
  }
  for (size_t i = 0; i < nodes_.size(); ++i) {
    const auto& names = building[i].names;
    if (names.empty()) continue;
    uint32_t size = 2;
    while (size < names.size() * 2) size *= 2;
    nodes_[i].slots = static_cast<uint32_t>(slots_.size());
    nodes_[i].slot_mask = size - 1;
    slots_.resize(slots_.size() + size);
    for (const auto& [name, node] : names) {
      uint32_t slot = slot_of(name, size - 1);
      while (slots_[nodes_[i].slots + slot].node != 0) slot = (slot + 1) & (size - 1);
      slots_[nodes_[i].slots + slot] = {name, node};
    }
  }
}

const JsonPaths::Node* JsonPaths::name(const Node* node, std::string_view name) const {
  if (!node->has_names()) return nullptr;
  const uint32_t mask = node->slot_mask;
  for (uint32_t slot = slot_of(name, mask);; slot = (slot + 1) & mask) {
    const Slot& candidate = slots_[node->slots + slot];
    if (candidate.node == 0) return nullptr;
    if (candidate.key == name) return &nodes_[candidate.node];
  }
}

}  // namespace llmtap
