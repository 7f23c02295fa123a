// SPDX-License-Identifier: Apache-2.0
// When the breakpoints of a file are kept to the processes that need them, and when every process that maps
// it has them again. Decides; knows no kernel.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace llmtap {

class NarrowPolicy {
 public:
  using Time = std::chrono::steady_clock::time_point;

  struct Options {
    double cpu_share = 0;                     // of a core, that processes without LLM calls may cost; 0: any
    std::chrono::milliseconds window{1'000};  // of each measurement
    uint32_t windows_over = 3;                // in a row, before the first time
    std::chrono::milliseconds shared_for{1'000};   // at least, after each reason to look at all processes
    std::chrono::milliseconds narrow_for{19'000};  // at most, then all are looked at again
    std::chrono::milliseconds young{10'000};       // so long a process is one that may need them
    size_t links = 16;  // of a process each: every one costs each of the others' calls a little
    std::chrono::milliseconds leave_within{60'000};  // else stay shared for as long again
  };

  enum class State : uint8_t {
    kShared,   // one link for every process that maps the file
    kLeaving,  // that one still there for the calls in progress; processes that need it have one of their own
    kNarrow,   // only those
  };
  enum class Step : uint8_t { kNone, kLeave, kDetachShared, kAttachShared };

  struct Look {
    Time now{};
    double cpu_share = 0;            // the bound in force
    uint64_t hits = 0;               // of the shared link by processes without evidence, cumulative
    std::function<double()> hit_ns;  // what one costs; asked only where it matters. 0: cannot be narrowed
    size_t wanted = 0, others = 0;   // processes that map the file: with evidence or young; not
    std::function<bool()> calls_underway;  // of the wanted, that the shared link saw begin
  };
  // What is to be done now; the state is what it will be then.
  Step step(const Options&, const Look&);
  // A process began to map the file. True: a step is due.
  bool touch(const Options&, Time now);
  // The shared link could not be attached: tried again after a window.
  void still_narrow(const Options&, Time now);
  // Own links could not be attached.
  void stay_shared(const Options&, Time now);

  State state() const { return state_; }
  double share() const { return share_; }  // last measured
  Time due(const Options&, double cpu_share) const;

 private:
  Step look_at_cost(const Options&, const Look&);

  State state_ = State::kShared;
  bool started_ = false, touched_ = false;
  bool known_dear_ = false;  // was narrow a moment ago: one window is enough
  Time window_start_{}, hold_until_{}, since_{};
  uint64_t hits_ = 0;
  uint32_t over_ = 0;
  double share_ = 0;
};

}  // namespace llmtap
