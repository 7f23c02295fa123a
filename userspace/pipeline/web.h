// SPDX-License-Identifier: Apache-2.0
// The routes of the daemon's HTTP server: metrics, health, readiness, recent calls.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "pipeline/config.h"
#include "pipeline/live_capture.h"
#include "pipeline/sink_set.h"
#include "sinks/http_server.h"

namespace llmtap {

// The server listens, bound but not yet answering, or an error that names the address. Null when
// metrics are off. `sinks` outlives it.
Result<std::unique_ptr<HttpServer>> open_web(const Config& config, SinkSet& sinks,
                                             std::function<Readiness()> readiness,
                                             std::function<std::shared_ptr<const Coverage>()> coverage);

}  // namespace llmtap
