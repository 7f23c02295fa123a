// SPDX-License-Identifier: Apache-2.0
#include "capture/run_time_sampler.h"

#include <utility>

namespace llmtap {

void RunTimeSampler::tick(uint64_t now_ns) {
  if (!in_window_) {
    if (window_start_ns_ != 0 && now_ns - window_start_ns_ < kPeriod_ns) return;
    window_start_ns_ = now_ns;
    enabled_ = enable_();
    at_start_ = read_();
    in_window_ = true;
    return;
  }
  const uint64_t length_ns = now_ns - window_start_ns_;
  if (length_ns < kWindow_ns) return;
  in_window_ = false;
  const std::vector<RunTime> at_end = read_();
  enabled_ = UniqueFd();
  const double scale = static_cast<double>(kPeriod_ns) / static_cast<double>(length_ns);
  const auto scaled = [&](uint64_t end, uint64_t start) {
    return end > start ? static_cast<uint64_t>(static_cast<double>(end - start) * scale) : 0;
  };
  const std::lock_guard lock(mutex_);
  estimate_.resize(at_end.size());
  for (size_t i = 0; i < at_end.size() && i < at_start_.size(); ++i) {
    estimate_[i].ns += scaled(at_end[i].ns, at_start_[i].ns);
    estimate_[i].runs += scaled(at_end[i].runs, at_start_[i].runs);
  }
}

std::vector<RunTime> RunTimeSampler::estimate() const {
  const std::lock_guard lock(mutex_);
  return estimate_;
}

}  // namespace llmtap
