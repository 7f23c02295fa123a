// SPDX-License-Identifier: Apache-2.0
#include "llm/header_policy.h"

#include <algorithm>
#include <string>

#include "base/ascii.h"

namespace llmtap {

namespace {

// Sorted. No field here carries content, a credential, a person or an organisation.
constexpr std::string_view kAllowed[] = {
    "accept",
    "accept-encoding",
    "age",
    "allow",
    "amz-sdk-request",
    "anthropic-beta",
    "anthropic-dangerous-direct-browser-access",
    "anthropic-version",
    "apim-request-id",
    "cache-control",
    "cf-aig-cache-key",
    "cf-aig-cache-status",
    "cf-aig-cache-ttl",
    "cf-aig-event-id",
    "cf-aig-log-id",
    "cf-aig-run-id",
    "cf-aig-step",
    "cf-cache-status",
    "cf-ray",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "expect",
    "fireworks-prompt-tokens",
    "fireworks-server-time-to-first-token",
    "helicone-cache",
    "helicone-id",
    "helicone-request-id",
    "helicone-status",
    "host",
    "http2-settings",
    "keep-alive",
    "mcp-protocol-version",
    "mistral-correlation-id",
    "ms-azureml-model-time",
    "num_tokens",
    "nvcf-reqid",
    "nvcf-status",
    "openai-beta",
    "openai-model",
    "openai-processing-ms",
    "openai-version",
    "originator",
    "pydantic-ai-gateway-price-estimate",
    "request-id",
    "retry-after",
    "retry-after-ms",
    "sec-websocket-accept",
    "sec-websocket-extensions",
    "sec-websocket-version",
    "server",
    "server-timing",
    "te",
    "traceparent",
    "traceresponse",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "x-ai-eg-model",
    "x-amzn-bedrock-cache-read-input-token-count",
    "x-amzn-bedrock-cache-write-input-token-count",
    "x-amzn-bedrock-input-token-count",
    "x-amzn-bedrock-invocation-latency",
    "x-amzn-bedrock-output-token-count",
    "x-amzn-errortype",
    "x-amzn-requestid",
    "x-app",
    "x-cache",
    "x-compute-characters",
    "x-compute-time",
    "x-compute-type",
    "x-correlation-id",
    "x-dashscope-sse",
    "x-debug-trace-id",
    "x-ds-trace-id",
    "x-envoy-upstream-service-time",
    "x-generated-tokens",
    "x-generation-id",
    "x-groq-region",
    "x-inference-time",
    "x-kong-llm-model",
    "x-kong-proxy-latency",
    "x-kong-request-id",
    "x-kong-response-latency",
    "x-kong-upstream-latency",
    "x-litellm-attempted-fallbacks",
    "x-litellm-attempted-retries",
    "x-litellm-cache-key",
    "x-litellm-call-id",
    "x-litellm-callback-duration-ms",
    "x-litellm-key-max-budget",
    "x-litellm-key-rpm-limit",
    "x-litellm-key-spend",
    "x-litellm-key-tpm-limit",
    "x-litellm-max-fallbacks",
    "x-litellm-max-retries",
    "x-litellm-model-group",
    "x-litellm-model-id",
    "x-litellm-model-region",
    "x-litellm-overhead-duration-ms",
    "x-litellm-response-cost",
    "x-litellm-response-cost-discount-amount",
    "x-litellm-response-cost-margin-amount",
    "x-litellm-response-cost-original",
    "x-litellm-response-duration-ms",
    "x-litellm-stream-timeout",
    "x-litellm-timeout",
    "x-litellm-timing-llm-api-ms",
    "x-litellm-timing-post-processing-ms",
    "x-litellm-timing-pre-processing-ms",
    "x-litellm-version",
    "x-ms-client-request-id",
    "x-ms-deployment-name",
    "x-ms-is-spilled-over",
    "x-ms-region",
    "x-ms-retry-after-ms",
    "x-portkey-cache",
    "x-portkey-cache-status",
    "x-portkey-last-used-option-index",
    "x-portkey-mode",
    "x-portkey-provider",
    "x-portkey-provider-model",
    "x-portkey-retry-attempt-count",
    "x-portkey-retry-count",
    "x-portkey-trace-id",
    "x-prompt-tokens",
    "x-provider-name",
    "x-queue-time",
    "x-request-id",
    "x-should-retry",
    "x-time-per-token",
    "x-total-time",
    "x-validation-time",
};
static_assert(std::ranges::is_sorted(kAllowed));

// Families whose members are numbers and durations only.
constexpr std::string_view kAllowedPrefixes[] = {"x-ratelimit-", "anthropic-ratelimit-", "x-stainless-",
                                                 "x-litellm-key-remaining-"};

constexpr std::string_view kCredentialWords[] = {"key",        "token",     "secret",  "auth", "cookie",
                                                 "credential", "signature", "session", "passw"};
constexpr std::string_view kCredentials[] = {"sec-websocket-protocol", "x-portkey-config",
                                             "x-forwarded-client-cert"};
constexpr std::string_view kCredentialPrefixes[] = {"x-aigw-", "x-portkey-aws-", "mcp-param-",
                                                    "x-portkey-virtual-"};

}  // namespace

bool is_allowed_header(std::string_view name) {
  if (name.empty() || name.size() > 128) return false;
  const std::string key = lowered(name);
  std::string_view field = key;
  // LiteLLM hands a provider's headers on under this prefix, cookies included.
  constexpr std::string_view kProviderPrefix = "llm_provider-";
  if (field.starts_with(kProviderPrefix)) field.remove_prefix(kProviderPrefix.size());
  if (std::ranges::binary_search(kAllowed, field)) return true;
  return std::ranges::any_of(kAllowedPrefixes,
                             [&](std::string_view prefix) { return field.starts_with(prefix); });
}

bool is_credential_header(std::string_view name) {
  if (is_allowed_header(name)) return false;
  const std::string field = lowered(name);
  const auto starts = [&](std::string_view prefix) { return field.starts_with(prefix); };
  const auto contains = [&](std::string_view word) { return field.find(word) != std::string::npos; };
  return std::ranges::find(kCredentials, field) != std::end(kCredentials) ||
         std::ranges::any_of(kCredentialPrefixes, starts) || std::ranges::any_of(kCredentialWords, contains);
}

}  // namespace llmtap
