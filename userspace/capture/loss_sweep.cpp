// SPDX-License-Identifier: Apache-2.0
#include "capture/loss_sweep.h"

#include <utility>

namespace llmtap {

void LossSweep::step(uint64_t now_ns) {
  switch (state_) {
    case State::kIdle:
      if (now_ns < (wanted_ ? next_ns_ : again_ ? next_ns_ + kLongPause_ns : UINT64_MAX)) return;
      // What is lost from here on asks for the next sweep.
      wanted_ = again_ = false;
      book_.begin_sweep();
      state_ = State::kConnections;
      return read_connections(true, now_ns);
    case State::kConnections: return read_connections(false, now_ns);
    case State::kProcesses: return read_processes();
    case State::kDraining:
      if (port_.consumed() < drained_at_) return;
      unmarked_ = book_.unmarked();
      at_ = 0;
      state_ = State::kTelling;
      return;
    case State::kTelling: return tell(now_ns);
  }
}

void LossSweep::read_connections(bool from_start, uint64_t now_ns) {
  read_.clear();
  const SweepPort::Piece piece = port_.read_connections(from_start, read_);
  if (piece == SweepPort::Piece::kFailed) {
    // Without the whole table nothing is known to be gone.
    orphans_.clear();
    wanted_ = true;
    return finish(now_ns);
  }
  for (const SweepPort::Connection& connection : read_) {
    const bool known = book_.mark(connection.id);
    // Its end may still come to pass and will not be told: look again.
    if (known && !connection.announced) again_ = true;
    if (connection.owner != 0 &&
        !lives({static_cast<uint32_t>(connection.owner), connection.process_start_ns}))
      orphans_.push_back(connection);
  }
  if (piece == SweepPort::Piece::kMore) return;
  processes_ = book_.processes();
  at_ = 0;
  state_ = State::kProcesses;
}

bool LossSweep::lives(ProcessKey process) {
  const auto known = life_.find(process);
  if (known != life_.end()) return known->second;
  return life_[process] = port_.lives(process);
}

void LossSweep::read_processes() {
  for (size_t n = 0; n < kProcessesInAStep && at_ < processes_.size(); ++n, ++at_)
    if (!lives(processes_[at_])) gone_.push_back(processes_[at_]);
  if (at_ < processes_.size()) return;
  // An end is put into the ring before the kernel's table forgets the connection, an exit before the
  // process leaves /proc: what was not lost is in the ring by now.
  drained_at_ = port_.reserved();
  state_ = State::kDraining;
}

void LossSweep::tell(uint64_t now_ns) {
  for (size_t told = 0; told < kTellsInAStep; ++told) {
    if (at_ < unmarked_.size()) {
      if (const auto end = book_.end_unseen(unmarked_[at_++], now_ns)) port_.tell(*end);
    } else if (!orphans_.empty()) {
      const SweepPort::Connection orphan = orphans_.back();
      orphans_.pop_back();
      port_.drop(orphan);
      if (const auto end = book_.end_unseen(orphan.id, now_ns)) port_.tell(*end);
    } else if (!gone_.empty()) {
      const ProcessKey process = gone_.back();
      gone_.pop_back();
      if (book_.has_process(process)) port_.tell_exit(process, now_ns);
    } else {
      return finish(now_ns);
    }
  }
}

// Nothing is kept between two sweeps: a table of a hundred thousand connections is only read.
void LossSweep::finish(uint64_t now_ns) {
  read_ = {};
  life_ = {};
  processes_ = {};
  unmarked_ = {};
  state_ = State::kIdle;
  next_ns_ = now_ns + kPause_ns;
}

}  // namespace llmtap
