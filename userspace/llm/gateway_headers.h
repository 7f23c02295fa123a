// SPDX-License-Identifier: Apache-2.0
// Gateways recognised by their headers, and the ids that replies carry.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "llmtap/llm_call.h"
#include "llmtap/message.h"

namespace llmtap {

// Adds what a request's headers say: that it is meant for portkey, helicone, cloudflare, … Only the
// name is set.
void add_gateway_request_headers(GatewayFacts&, std::span<const HeaderField> request_headers);
// /v1/{account}/{gateway}/{provider}/… of Cloudflare's host.
void add_cloudflare_path(GatewayFacts&, std::string_view path);

// Adds what a reply's headers say. `name` is one of litellm, portkey, helicone, cloudflare, kong,
// envoy_ai_gateway, pydantic; a reply's evidence beats a request's.
void add_gateway_response_headers(GatewayFacts&, std::span<const HeaderField> response_headers);

// True when the reply says that the gateway served it from its cache.
std::optional<bool> gateway_cache_hit(std::span<const HeaderField> response_headers);

// The provider's id of the request (x-request-id, request-id, x-amzn-requestid, apim-request-id, …):
// printable, ≤ 128 bytes, empty if absent.
std::string provider_request_id(std::span<const HeaderField> response_headers);

// X-Request-ID of a request or reply as it came, if printable and ≤ 128 bytes, else empty.
std::string request_id_header(std::span<const HeaderField> headers);

// x-stainless-retry-count of the SDKs, or the attempt of AWS's; 0 if absent.
uint32_t sdk_retry_count(std::span<const HeaderField> request_headers);

}  // namespace llmtap
