// SPDX-License-Identifier: Apache-2.0
// The memory that the redactors of a recording may keep, all of its connections together.
#pragma once

#include <cstddef>
#include <utility>

#include "llmtap/limits.h"
#include "protocols/decoder_budget.h"

namespace llmtap {

class MemoryBudget {
 public:
  explicit MemoryBudget(size_t max_bytes) : max_bytes_(max_bytes) {}
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;
  size_t used() const { return used_; }

 private:
  friend class MemoryShare;
  size_t max_bytes_;
  size_t used_ = 0;
};

// What one part keeps, as far as it is worth counting: given back with it.
class MemoryShare {
 public:
  explicit MemoryShare(MemoryBudget& budget) : budget_(&budget) {}
  MemoryShare(MemoryShare&& other) noexcept
      : budget_(other.budget_), bytes_(std::exchange(other.bytes_, 0)) {}
  MemoryShare& operator=(MemoryShare&&) = delete;
  ~MemoryShare() { budget_->used_ -= bytes_; }

  // False: the budget is spent, the share stays as it was, and whoever asked keeps nothing more.
  bool resize(size_t bytes) {
    if (bytes > bytes_ && bytes - bytes_ > budget_->max_bytes_ - budget_->used_) return false;
    budget_->used_ += bytes - bytes_;
    bytes_ = bytes;
    return true;
  }

 private:
  MemoryBudget* budget_;
  size_t bytes_ = 0;
};

struct RecordingBudgets {
  explicit RecordingBudgets(const Limits& limits = {})
      : inflaters(limits.decoder_bytes), kept(limits.redaction_bytes) {}

  DecoderBudget inflaters;
  MemoryBudget kept;  // all else
};

}  // namespace llmtap
