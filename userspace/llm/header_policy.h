// SPDX-License-Identifier: Apache-2.0
// Which header fields may be kept. An allow list decides; the list of credentials only says which of
// the rest are secrets. Names in any case.
#pragma once

#include <string_view>

namespace llmtap {

// The value may be stored, logged and recorded (after mask_secrets for free text).
bool is_allowed_header(std::string_view name);

// The value is a credential or may hold one. Never true for an allowed header.
bool is_credential_header(std::string_view name);

}  // namespace llmtap
