// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace llmtap {

// A path segment that names one thing among many: integer, UUID, ULID, 8 or more hex digits, a random
// word of 16 or more base64url characters, a provider's id (resp_…, file-…), a secret, or anything
// that is no plain word.
bool looks_like_id(std::string_view segment);

// Once, and not of malformed escapes.
std::string percent_decoded(std::string_view text);

}  // namespace llmtap
