// SPDX-License-Identifier: Apache-2.0
// Keeps credentials and content out of what is stored: text that quotes keys, paths, labels, and the
// plaintext of a recording.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace llmtap {

// `text` with everything that looks like a credential (provider keys, Bearer values, JWTs, AWS access
// keys), an organisation id or an e-mail address replaced by "[redacted]". For error texts and codes.
std::string mask_secrets(std::string_view text);

// A request target as it may be stored: absolute form without userinfo, query values dropped unless
// they are on the allow list (api-version, alt, beta, model, deployment, version, stream), secrets
// masked, control bytes and non-ASCII escaped as %XX, cut at `max_bytes`.
std::string safe_path(std::string_view target, size_t max_bytes = 512);

// Printable ASCII or UTF-8 as a label value: control bytes and broken UTF-8 become '_', cut at a
// character boundary.
std::string bounded_label(std::string_view text, size_t max_bytes = 128);

}  // namespace llmtap
