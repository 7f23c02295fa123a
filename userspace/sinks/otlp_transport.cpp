// SPDX-License-Identifier: Apache-2.0
#include "sinks/otlp_transport.h"

#include <opentelemetry/exporters/otlp/otlp_grpc_exporter_factory.h>
#include <opentelemetry/exporters/otlp/otlp_grpc_exporter_options.h>
#include <opentelemetry/exporters/otlp/otlp_http_client.h>
#include <opentelemetry/exporters/otlp/otlp_http_exporter_factory.h>
#include <opentelemetry/exporters/otlp/otlp_http_exporter_options.h>
#include <opentelemetry/exporters/otlp/otlp_recordable_utils.h>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

namespace llmtap {
namespace {

namespace otlp = opentelemetry::exporter::otlp;
namespace nostd = opentelemetry::nostd;
namespace sdk = opentelemetry::sdk;

namespace protobuf = google::protobuf;
using TraceRequest = opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;

// The library's own HTTP span exporter (1.19) reports success whatever the collector answers: nothing
// could be counted or tried again. Its client tells.
class HttpSpanExporter : public sdk::trace::SpanExporter {
 public:
  HttpSpanExporter(std::unique_ptr<SpanExporter> recordables, const protobuf::Message* prototype,
                   otlp::OtlpHttpClientOptions&& options)
      : recordables_(std::move(recordables)), prototype_(prototype), client_(std::move(options)) {}

  std::unique_ptr<sdk::trace::Recordable> MakeRecordable() noexcept override {
    return recordables_->MakeRecordable();
  }
  sdk::common::ExportResult Export(
      const nostd::span<std::unique_ptr<sdk::trace::Recordable>>& spans) noexcept override {
    const std::unique_ptr<protobuf::Message> request(prototype_->New());
    // Packages do not install the generated headers, so the type is incomplete here. protoc makes
    // Message the first and only base class: both pointers are the same.
    // NOLINTNEXTLINE(bugprone-casting-through-void)
    auto* const traces = static_cast<TraceRequest*>(static_cast<void*>(request.get()));
    otlp::OtlpRecordableUtils::PopulateRequest(spans, traces);
    return client_.Export(*request);
  }
  bool ForceFlush(std::chrono::microseconds timeout) noexcept override { return client_.ForceFlush(timeout); }
  bool Shutdown(std::chrono::microseconds timeout) noexcept override { return client_.Shutdown(timeout); }

 private:
  std::unique_ptr<SpanExporter> recordables_;  // only makes recordables
  const protobuf::Message* prototype_;
  otlp::OtlpHttpClient client_;
};

const protobuf::Message* trace_request_prototype() {
  const protobuf::Descriptor* type = protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(
      "opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest");
  return type ? protobuf::MessageFactory::generated_factory()->GetPrototype(type) : nullptr;
}

otlp::OtlpHeaders headers_of(const OtlpOptions& options) {
  otlp::OtlpHeaders headers;
  for (const auto& [name, value] : options.headers) headers.emplace(name, value);
  return headers;
}

}  // namespace

std::unique_ptr<sdk::trace::SpanExporter> make_otlp_transport(const OtlpOptions& options) {
  const bool has_scheme = options.endpoint.find("://") != std::string::npos;
  const std::string endpoint =
      has_scheme ? options.endpoint : (options.insecure ? "http://" : "https://") + options.endpoint;
  if (options.protocol == OtlpOptions::Protocol::kGrpc) {
    otlp::OtlpGrpcExporterOptions grpc;
    grpc.endpoint = endpoint;
    grpc.use_ssl_credentials = !endpoint.starts_with("http://");
    grpc.timeout = options.timeout;
    grpc.metadata = headers_of(options);
    grpc.retry_policy_max_attempts = 0;  // attempts are counted by the caller
    return otlp::OtlpGrpcExporterFactory::Create(grpc);
  }
  const size_t path = endpoint.find('/', endpoint.find("://") + 3);
  const bool bare = path == std::string::npos || path + 1 == endpoint.size();
  const std::string url = bare ? endpoint.substr(0, path) + "/v1/traces" : endpoint;
  using Seconds = std::chrono::duration<float>;
  const protobuf::Message* prototype = trace_request_prototype();
  if (!prototype) return nullptr;
  otlp::OtlpHttpExporterOptions plain;
  plain.content_type = otlp::HttpRequestContentType::kBinary;
  return std::make_unique<HttpSpanExporter>(
      otlp::OtlpHttpExporterFactory::Create(plain), prototype,
      otlp::OtlpHttpClientOptions(url, /*ssl_insecure_skip_verify=*/false, "", "", "", "", "", "", "", "", "",
                                  "", otlp::HttpRequestContentType::kBinary,
                                  otlp::JsonBytesMappingKind::kHexId, "none", false, false, options.timeout,
                                  headers_of(options), /*retry_policy_max_attempts=*/0, Seconds(0),
                                  Seconds(0), 0, nullptr));
}

}  // namespace llmtap
