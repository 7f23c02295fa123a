// SPDX-License-Identifier: Apache-2.0
// Every metric family that calls and plain HTTP exchanges feed: name, type, labels, buckets, help.
// One line here and one in metrics.cpp is a new metric. Labels are one comma-separated list, in the
// order in which metrics.cpp gives their values.
#pragma once

#include <prometheus/metric_type.h>

#include <cstddef>
#include <span>
#include <string_view>

namespace llmtap {

enum class FamilyId : size_t {
  kRequests,
  kDuration,
  kFirstByte,
  kFirstToken,
  kInterToken,
  kTimePerToken,
  kTokensPerSecond,
  kStreamDuration,
  kStreamChunks,
  kStreamMaxGap,
  kStreamAborts,
  kInFlight,
  kInFlightOldest,
  kRequestSize,
  kResponseSize,
  kFinishReasons,
  kTokens,
  kTokensPerRequest,
  kCost,
  kPriceMissing,
  kBackendErrors,
  kRateLimited,
  kRateLimitLimit,
  kRateLimitRemaining,
  kRateLimitReset,
  kRetryAfter,
  kToolCalls,
  kMcpCalls,
  kMcpDuration,
  kExchangesIncomplete,
  kHttpRequests,
  kHttpDuration,
  kHttpInFlight,
  kHttpRequestSize,
  kHttpResponseSize,
  // Names of the OpenTelemetry GenAI conventions; only with MetricsOptions::genai_names.
  kGenaiClientDuration,
  kGenaiClientTokens,
  kGenaiClientFirstChunk,
  kGenaiServerDuration,
  kGenaiServerFirstToken,
  kGenaiServerTimePerToken,
  kCount,
};
inline constexpr size_t kFirstGenaiFamily = static_cast<size_t>(FamilyId::kGenaiClientDuration);

struct FamilyDesc {
  std::string_view name;
  prometheus::MetricType type;
  std::string_view labels;
  std::span<const double> buckets;  // histograms: upper bounds without +Inf
  bool exemplars = false;           // trace ids are kept for OpenMetrics
  std::string_view help;
};

// Indexed by FamilyId.
std::span<const FamilyDesc> metric_families();

}  // namespace llmtap
