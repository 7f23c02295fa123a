// SPDX-License-Identifier: Apache-2.0
// A table of owned objects by key: one cache line to find one, where a node-based map takes three. The
// objects stay where they are; for_each goes in no particular order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace llmtap {

// `Hash` must mix: the low bits choose the slot.
template <typename Key, typename T, typename Hash>
class FlatMap {
 public:
  T* find(const Key& key) const {
    if (size_ == 0) return nullptr;
    for (size_t at = home(key); slots_[at].value; at = next(at))
      if (slots_[at].key == key) return slots_[at].value.get();
    return nullptr;
  }

  // `key` must not be there.
  T& insert(const Key& key, std::unique_ptr<T> value) {
    if ((size_ + 1) * 2 > slots_.size()) grow();
    ++size_;
    Slot& slot = slots_[free_slot(key)];
    slot.key = key;
    slot.value = std::move(value);
    return *slot.value;
  }

  void erase(const Key& key) {
    if (size_ == 0) return;
    size_t hole = home(key);
    while (slots_[hole].value && !(slots_[hole].key == key)) hole = next(hole);
    if (!slots_[hole].value) return;
    // Destroyed last: its end may look for others.
    const std::unique_ptr<T> erased = std::move(slots_[hole].value);
    --size_;
    // Those behind move up, unless the hole lies before their own slot.
    for (size_t at = next(hole); slots_[at].value; at = next(at)) {
      if (((at - home(slots_[at].key)) & mask()) < ((at - hole) & mask())) continue;
      slots_[hole] = std::move(slots_[at]);
      hole = at;
    }
  }

  size_t size() const { return size_; }
  // A key that is there: the first at or behind the place of `key`. There must be one.
  const Key& near(const Key& key) const {
    size_t at = home(key);
    while (!slots_[at].value) at = next(at);
    return slots_[at].key;
  }

  template <typename Visit>
  void for_each(Visit&& visit) const {
    for (const Slot& slot : slots_)
      if (slot.value) visit(slot.key, *slot.value);
  }

 private:
  struct Slot {
    Key key{};
    std::unique_ptr<T> value;  // null: free
  };

  size_t mask() const { return slots_.size() - 1; }
  size_t home(const Key& key) const { return Hash{}(key)&mask(); }
  size_t next(size_t at) const { return (at + 1) & mask(); }
  size_t free_slot(const Key& key) const {
    size_t at = home(key);
    while (slots_[at].value) at = next(at);
    return at;
  }
  void grow() {
    std::vector<Slot> old(slots_.empty() ? 16 : slots_.size() * 2);
    old.swap(slots_);
    for (Slot& slot : old) {
      if (!slot.value) continue;
      Slot& to = slots_[free_slot(slot.key)];
      to.key = slot.key;
      to.value = std::move(slot.value);
    }
  }

  std::vector<Slot> slots_;  // a power of two, at most half full
  size_t size_ = 0;
};

// Numbers given out one after the other.
struct IdHash {
  size_t operator()(uint64_t id) const {
    const uint64_t mixed = id * 0x9e3779b97f4a7c15;
    return static_cast<size_t>(mixed ^ (mixed >> 32));
  }
};

}  // namespace llmtap
