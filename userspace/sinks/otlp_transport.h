// SPDX-License-Identifier: Apache-2.0
// The two wires of OTLP behind the SDK's exporter interface; Export() returns when the collector has
// answered. Only for otlp_exporter.cpp: its includes are slow.
#pragma once

#include <opentelemetry/sdk/trace/exporter.h>

#include <memory>

#include "sinks/otlp_exporter.h"

namespace llmtap {

std::unique_ptr<opentelemetry::sdk::trace::SpanExporter> make_otlp_transport(const OtlpOptions& options);

}  // namespace llmtap
