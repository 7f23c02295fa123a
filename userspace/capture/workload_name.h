// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace llmtap {

// The text of /proc/PID/cmdline as words.
std::vector<std::string> split_arguments(std::string_view cmdline);

}  // namespace llmtap
