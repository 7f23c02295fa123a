// SPDX-License-Identifier: Apache-2.0
// After events were lost: which connections and processes are gone whose end was among them. A full
// ring loses ends like anything else, and without them a call would stay open for ever.
//
// A sweep reads the kernel's table of connections and /proc, a bounded piece at each step, then waits
// until everything that was in the ring by then has been delivered. What the book still holds and the
// kernel did not is gone, and its end was lost: it is told now, as "not seen".
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "base/process_key_hash.h"
#include "capture/ring_book.h"
#include "llmtap/facts.h"

namespace llmtap {

// What a sweep asks of the machine and gives to it. Everything is called on the core thread.
class SweepPort {
 public:
  struct Connection {
    uint64_t id = 0;
    uint64_t object = 0, owner = 0;  // the key: a TLS object and its process; owner 0: a socket
    uint64_t process_start_ns = 0;
    bool announced = false;  // else the kernel will not tell its end
  };

  virtual ~SweepPort() = default;
  enum class Piece { kMore, kLast, kFailed };
  // Appends some of the kernel's connections, from where the last call ended.
  virtual Piece read_connections(bool from_start, std::vector<Connection>& out) = 0;
  virtual bool lives(ProcessKey process) = 0;
  // Forgets the TLS object of a process that is gone; nobody else will.
  virtual void drop(const Connection& connection) = 0;
  // Positions in the stream of the ring's bytes.
  virtual uint64_t reserved() = 0;
  virtual uint64_t consumed() = 0;
  // To be noted in the book and delivered.
  virtual void tell(const llmtap_conn_end_event& end) = 0;
  virtual void tell_exit(ProcessKey process, uint64_t now_ns) = 0;
};

class LossSweep {
 public:
  static constexpr uint64_t kPause_ns = 1'000'000'000;  // between the end of a sweep and the next
  // For connections whose end will not be told, though nothing more was lost.
  static constexpr uint64_t kLongPause_ns = 10'000'000'000;
  static constexpr size_t kTellsInAStep = 1024;
  static constexpr size_t kProcessesInAStep = 128;

  LossSweep(RingBook& book, SweepPort& port) : book_(book), port_(port) {}

  void on_lost() { wanted_ = true; }
  // Between two readings of the ring.
  void step(uint64_t now_ns);
  // step() has more to do and does not wait for its time to come.
  bool sweeping() const { return state_ != State::kIdle; }
  bool idle() const { return state_ == State::kIdle && !wanted_ && !again_; }

 private:
  enum class State { kIdle, kConnections, kProcesses, kDraining, kTelling };

  void read_connections(bool from_start, uint64_t now_ns);
  void read_processes();
  void tell(uint64_t now_ns);
  void finish(uint64_t now_ns);
  bool lives(ProcessKey process);

  RingBook& book_;
  SweepPort& port_;
  State state_ = State::kIdle;
  bool wanted_ = false, again_ = false;
  uint64_t next_ns_ = 0;
  uint64_t drained_at_ = 0;
  std::vector<SweepPort::Connection> read_;                    // of one step
  std::vector<SweepPort::Connection> orphans_;                 // TLS objects of processes that are gone
  std::unordered_map<ProcessKey, bool, ProcessKeyHash> life_;  // as this sweep found it
  std::vector<ProcessKey> processes_;
  size_t at_ = 0;
  std::vector<ProcessKey> gone_;
  std::vector<uint64_t> unmarked_;
};

}  // namespace llmtap
