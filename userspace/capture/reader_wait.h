// SPDX-License-Identifier: Apache-2.0
// How long the reader of the ring waits. To wake it costs the observed program an interrupt, so the
// programs do that only while it waits long; while urgent records come it looks by itself.
#pragma once

#include <chrono>
#include <cstdint>

namespace llmtap {

// enum reader_state of bpf/lib/maps.bpf.h.
enum class ReaderState : uint32_t { kSoon = 0, kAsleep = 1, kWanted = 2 };

struct ReaderWait {
  ReaderState state = ReaderState::kSoon;  // to be stored before the wait
  std::chrono::milliseconds longest{};
  bool operator==(const ReaderWait&) const = default;
};

// What is not urgent may wait so long: a look costs a tenth of a millisecond, also where nothing is.
inline constexpr std::chrono::milliseconds kLongestWait{100};
inline constexpr std::chrono::milliseconds kShortWait{1};

// `state` as the programs left it; the ring was just read to its end, or to a record that is still
// being written (`record_pending`).
constexpr ReaderWait next_wait(ReaderState state, bool record_pending) {
  switch (state) {
    case ReaderState::kWanted: return {ReaderState::kSoon, kShortWait};
    // A program that read the state just before this store does not wake: one more look.
    case ReaderState::kSoon: return {ReaderState::kAsleep, kShortWait};
    case ReaderState::kAsleep: break;
  }
  return {ReaderState::kAsleep, record_pending ? kShortWait : kLongestWait};
}

}  // namespace llmtap
