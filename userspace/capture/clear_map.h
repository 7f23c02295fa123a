// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace llmtap {

// Deletes every entry of a hash map; how many there were. Entries made meanwhile may stay.
uint64_t clear_map(int map);

}  // namespace llmtap
