// SPDX-License-Identifier: Apache-2.0
// Finished calls as OpenTelemetry spans, sent by OTLP over gRPC or HTTP. A thread of its own sends,
// with retries; the queue before it is bounded.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "llmtap/limits.h"
#include "llmtap/result.h"
#include "llmtap/sink.h"
#include "sinks/self_observation.h"
#include "sinks/trace_sampler.h"

namespace llmtap {

struct OtlpOptions {
  enum class Protocol { kGrpc, kHttp };
  std::string endpoint;  // host:port or a URL; HTTP: /v1/traces is added to one without a path
  Protocol protocol = Protocol::kGrpc;
  bool insecure = false;  // no TLS, where the endpoint's scheme does not say
  std::vector<std::pair<std::string, std::string>> headers;
  // Attribute names of the GenAI conventions up to 1.41 where they differ from the current ones.
  bool old_genai_names = false;
  TraceSampler sampler;
  std::string service_version;
  size_t queue = Limits{}.export_queue;
  size_t batch = 256;
  unsigned attempts = 4;  // of one batch; then it is counted as an error
  std::chrono::milliseconds timeout{10'000};
  std::chrono::milliseconds first_backoff{1'000};  // doubles with each attempt
};

class OtlpExporter : public CallSink {
 public:
  static Result<std::unique_ptr<OtlpExporter>> open(OtlpOptions options);
  ~OtlpExporter() override;  // sends what is queued, one attempt each

  void on_call_open(const LlmCall&) override {}
  void on_call_finished(const LlmCall& call) override;

  bool flush(std::chrono::milliseconds timeout);
  ExportCounters counters() const;

 private:
  struct Impl;  // keeps the OpenTelemetry headers out of everyone's build
  explicit OtlpExporter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace llmtap
