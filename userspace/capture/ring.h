// SPDX-License-Identifier: Apache-2.0
// Records of the ring, checked before anyone believes them.
#pragma once

#include <cstddef>

#include "llmtap/events.h"

namespace llmtap {

// The record if its type is known, its size covers the type's struct and payload, and the ring holds
// that many bytes; nullptr otherwise.
const llmtap_event_hdr* valid_event(const void* bytes, size_t available);

}  // namespace llmtap
