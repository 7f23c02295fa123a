// SPDX-License-Identifier: Apache-2.0
// Families as text: Prometheus format 0.0.4, or OpenMetrics 1.0 with exemplars.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "sinks/series_store.h"

namespace llmtap {

enum class ExpositionFormat { kText, kOpenMetrics };

inline constexpr std::string_view kTextContentType = "text/plain; version=0.0.4; charset=utf-8";
inline constexpr std::string_view kOpenMetricsContentType =
    "application/openmetrics-text; version=1.0.0; charset=utf-8";

// The format that an Accept header prefers; text when in doubt.
ExpositionFormat negotiate_format(std::string_view accept);
std::string expose(std::span<const CollectedFamily> families, ExpositionFormat format);
std::string_view content_type(ExpositionFormat format);

}  // namespace llmtap
