// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "llmtap/facts.h"

namespace llmtap {

struct ProcessKeyHash {
  size_t operator()(const ProcessKey& key) const {
    return std::hash<uint64_t>{}((key.start_ns * 0x9e3779b97f4a7c15) ^ key.tgid);
  }
};

}  // namespace llmtap
