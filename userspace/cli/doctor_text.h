// SPDX-License-Identifier: Apache-2.0
// The report of `llmtap doctor` for people, and for programs.
#pragma once

#include <string>

#include "pipeline/doctor.h"

namespace llmtap {

// Nothing that is needed is missing.
bool can_observe(const DoctorReport& report);
std::string doctor_text(const DoctorReport& report);
std::string doctor_json(const DoctorReport& report);

}  // namespace llmtap
