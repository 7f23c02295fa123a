// SPDX-License-Identifier: Apache-2.0
#include "llm/gateway_headers.h"

#include "base/ascii.h"
#include "llm/redact.h"

namespace llmtap {

namespace {

constexpr size_t kMaxIdBytes = 128, kMaxProviderBytes = 64;

// Most specific first: an answer of LiteLLM behind Cloudflare carries both families.
struct Mark {
  std::string_view prefix, gateway;
};
constexpr Mark kReplyMarks[] = {
    {"x-litellm-", "litellm"},
    {"x-portkey-", "portkey"},
    {"helicone-", "helicone"},
    {"cf-aig-", "cloudflare"},
    {"x-ai-eg-", "envoy_ai_gateway"},
    {"x-kong-llm-model", "kong"},
    {"pydantic-ai-gateway-", "pydantic"},
};
constexpr Mark kRequestMarks[] = {
    {"x-portkey-", "portkey"},        {"helicone-", "helicone"}, {"cf-aig-", "cloudflare"},
    {"x-ai-eg-", "envoy_ai_gateway"}, {"x-litellm-", "litellm"},
};

std::string_view header(std::span<const HeaderField> headers, std::string_view name) {
  for (const HeaderField& field : headers)
    if (field.name == name) return field.value;
  return {};
}

template <size_t N>
std::string_view recognised(std::span<const HeaderField> headers, const Mark (&marks)[N]) {
  for (const Mark& mark : marks)
    for (const HeaderField& field : headers)
      if (field.name.starts_with(mark.prefix)) return mark.gateway;
  return {};
}

// LiteLLM prints Python's None for what it does not have.
std::string_view present(std::string_view value) {
  return value == "None" || value == "null" ? std::string_view() : value;
}

std::optional<double> number(std::string_view value) { return parse_number(present(value)); }

std::optional<double> not_negative(std::string_view value) {
  const auto parsed = number(value);
  return parsed && *parsed >= 0 ? parsed : std::nullopt;
}

std::optional<uint32_t> count(std::string_view value) { return parse_integer<uint32_t>(present(value)); }

void read_litellm(GatewayFacts& facts, std::string_view name, std::string_view value) {
  const auto text = [&] { return mask_secrets(bounded_label(present(value))); };
  if (name == "call-id")
    facts.call_id = text();
  else if (name == "model-id")
    facts.model_id = text();
  else if (name == "model-group")
    facts.model_group = text();
  else if (name == "version")
    facts.version = text();
  else if (name == "response-cost")
    facts.response_cost_usd = not_negative(value);
  else if (name == "attempted-retries")
    facts.attempted_retries = count(value);
  else if (name == "attempted-fallbacks")
    facts.attempted_fallbacks = count(value);
  else if (name == "key-spend")
    facts.key_spend_usd = not_negative(value);
  else if (name == "key-max-budget")
    facts.key_max_budget_usd = not_negative(value);
  else if (name == "key-tpm-limit")
    facts.key_tpm_limit = not_negative(value);
  else if (name == "key-rpm-limit")
    facts.key_rpm_limit = not_negative(value);
  else if (name == "overhead-duration-ms")
    facts.overhead_ms = not_negative(value);
  else if (name == "response-duration-ms")
    facts.response_duration_ms = not_negative(value);
}

// "0.0001USD"
std::optional<double> usd(std::string_view value) {
  value = trimmed(value);
  if (!value.ends_with("USD")) return std::nullopt;
  value.remove_suffix(3);
  return not_negative(value);
}

// Anything may stand in such a header, a key too.
std::string printable_id(std::string_view value) {
  value = trimmed(value);
  return !value.empty() && value.size() <= kMaxIdBytes && all_visible(value) ? mask_secrets(value)
                                                                             : std::string();
}

std::string_view before_slash(std::string_view text) {
  const size_t slash = text.find('/');
  return slash == std::string_view::npos ? std::string_view() : text.substr(0, slash);
}

}  // namespace

void add_gateway_request_headers(GatewayFacts& facts, std::span<const HeaderField> request_headers) {
  if (facts.name.empty()) facts.name = recognised(request_headers, kRequestMarks);
  if (facts.name == "envoy_ai_gateway")
    facts.model_group = mask_secrets(bounded_label(header(request_headers, "x-ai-eg-model")));
  for (const std::string_view name : {"x-portkey-provider", "x-ai-eg-upstream-host"})
    if (facts.provider.empty())
      facts.provider = mask_secrets(bounded_label(header(request_headers, name), kMaxProviderBytes));
}

void add_cloudflare_path(GatewayFacts& facts, std::string_view path) {
  facts.name = "cloudflare";
  for (int i = 0; i < 4; ++i) {
    const size_t slash = path.find('/');
    if (slash == std::string_view::npos) return;
    path.remove_prefix(slash + 1);
  }
  const std::string_view provider = path.substr(0, path.find_first_of("/?"));
  // Below compat, the model's name says whom it goes to.
  if (provider != "compat") facts.provider = mask_secrets(bounded_label(provider, kMaxProviderBytes));
}

void add_gateway_response_headers(GatewayFacts& facts, std::span<const HeaderField> response_headers) {
  if (const auto name = recognised(response_headers, kReplyMarks); !name.empty()) facts.name = name;
  facts.cache_hit = gateway_cache_hit(response_headers);
  for (const HeaderField& field : response_headers) {
    if (field.name.starts_with("x-litellm-"))
      read_litellm(facts, field.name.substr(10), field.value);
    else if (field.name == "x-portkey-retry-attempt-count")
      facts.attempted_retries = count(field.value);
    else if (field.name == "x-portkey-trace-id")
      facts.call_id = mask_secrets(bounded_label(field.value));
    else if (field.name == "helicone-id" || field.name == "cf-aig-log-id")
      facts.call_id = mask_secrets(bounded_label(field.value));
    else if (field.name == "x-kong-llm-model" || field.name == "x-portkey-provider-model")
      facts.model_id = mask_secrets(bounded_label(field.value));
    else if (field.name == "x-portkey-provider" || field.name == "x-provider-name")
      facts.provider = mask_secrets(bounded_label(field.value, kMaxProviderBytes));
    else if (field.name == "pydantic-ai-gateway-price-estimate")
      facts.response_cost_usd = usd(field.value);
  }
  if (facts.name == "kong") {
    // "openai/gpt-4o"
    facts.provider = bounded_label(before_slash(facts.model_id), kMaxProviderBytes);
    facts.call_id = printable_id(header(response_headers, "x-kong-request-id"));
  }
}

std::optional<bool> gateway_cache_hit(std::span<const HeaderField> response_headers) {
  std::optional<bool> hit;
  for (const std::string_view name :
       {"x-portkey-cache-status", "helicone-cache", "cf-aig-cache-status", "x-cache"}) {
    const std::string_view value = header(response_headers, name);
    // "HIT", "SEMANTIC HIT", "Hit from cloudfront"
    if (icontains(value, "hit") && !value.empty()) return true;
    // A web cache in front of a provider misses every call: that says nothing of a gateway's.
    if (name != "x-cache" && icontains(value, "miss") && !value.empty()) hit = false;
  }
  return hit;
}

std::string provider_request_id(std::span<const HeaderField> response_headers) {
  for (const std::string_view name :
       {"x-request-id", "request-id", "x-amzn-requestid", "apim-request-id", "mistral-correlation-id",
        "x-debug-trace-id", "x-ds-trace-id", "nvcf-reqid"})
    if (std::string id = printable_id(header(response_headers, name)); !id.empty()) return id;
  return {};
}

std::string request_id_header(std::span<const HeaderField> headers) {
  return printable_id(header(headers, "x-request-id"));
}

uint32_t sdk_retry_count(std::span<const HeaderField> request_headers) {
  if (const auto count = parse_integer<uint32_t>(header(request_headers, "x-stainless-retry-count")))
    return *count;
  // AWS SDKs count attempts: "attempt=2; max=3".
  std::string_view aws = header(request_headers, "amz-sdk-request");
  const size_t at = aws.find("attempt=");
  if (at == std::string_view::npos) return 0;
  aws.remove_prefix(at + 8);
  const auto attempt = parse_integer<uint32_t>(aws.substr(0, aws.find_first_not_of("0123456789")));
  return attempt && *attempt > 0 ? *attempt - 1 : 0;
}

}  // namespace llmtap
