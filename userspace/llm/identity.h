// SPDX-License-Identifier: Apache-2.0
// Who made a call, as hashes. The credential is hashed where it lies and never copied.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/sha256.h"
#include "llmtap/message.h"

namespace llmtap {

// What makes attempts at one request the same to their receiver: Idempotency-Key, AWS's invocation id.
std::string idempotency_sha256(std::span<const HeaderField> request_headers);

// SHA-256 of the API key (as LiteLLM stores it) from Authorization: Bearer, x-api-key, api-key,
// x-goog-api-key, x-litellm-api-key, Ocp-Apim-Subscription-Key, in this order; "Bearer " is stripped.
// Empty: no key. Signatures (AWS4-HMAC-SHA256) and Basic are not keys.
std::string credential_sha256(std::span<const HeaderField> request_headers);

// The end user that a request's headers name, hashed: x-litellm-customer-id, x-litellm-end-user-id, the
// configured names (lower case), helicone-user-id, x-portkey-metadata._user. Empty: none.
std::string end_user_sha256(std::span<const HeaderField> request_headers,
                            std::span<const std::string> configured_headers = {});

// The subject (`sub`, else `email`) of a JWT in Authorization: Bearer, hashed. Last in order, behind the
// headers and the body. The signature is not checked: this tells callers apart, it admits nobody.
std::string jwt_subject_sha256(std::span<const HeaderField> request_headers);

// A value from the body, hashed (user, metadata.user_id, safety_identifier). Empty for empty.
std::string hash_end_user(std::string_view value);

}  // namespace llmtap
