// SPDX-License-Identifier: Apache-2.0
#include "sinks/trace_sampler.h"

#include <charconv>
#include <string_view>

#include "sinks/label_names.h"

namespace llmtap {
namespace {

// TraceIdRatioBased (OpenTelemetry specification, trace/sdk.md) as the SDKs for Go (sdk/trace/sampling.go)
// and Python (opentelemetry/sdk/trace/sampling.py) have it: the last eight bytes of the trace id, high byte
// first, below rate * 2^64. In 63 bits, where the rate 1 is no overflow.
bool in_rate(std::string_view trace_id, double rate) {
  const std::string_view last = trace_id.substr(trace_id.size() - 16);
  uint64_t number = 0;
  std::from_chars(last.data(), last.data() + last.size(), number, 16);
  return number >> 1 < static_cast<uint64_t>(rate * 0x1p63);
}

bool lasted_longer(const LlmCall& call, std::chrono::nanoseconds limit) {
  return call.request_start_ns != 0 && call.end_ns > call.request_start_ns &&
         call.end_ns - call.request_start_ns > static_cast<uint64_t>(limit.count());
}

}  // namespace

bool TraceSampler::keeps(const LlmCall& call) const {
  if (type != Type::kProbability) return type == Type::kAlways;
  if (keep_errors && call.outcome != Outcome::kOk) return true;
  if (keep_slower_than.count() > 0 && lasted_longer(call, keep_slower_than)) return true;
  if (call.trace_flag != TraceFlag::kNone) return call.trace_flag == TraceFlag::kSampled;
  return in_rate(span_ids(call).trace_id, rate);
}

}  // namespace llmtap
