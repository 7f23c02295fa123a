// SPDX-License-Identifier: Apache-2.0
// What `llmtap doctor` looks at. Nothing is attached and nothing is left behind.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "capture/coverage.h"
#include "capture/doctor_facts.h"
#include "pipeline/coverage_json.h"

namespace llmtap {

struct DoctorReport {
  std::vector<DoctorFact> facts;
  Coverage coverage;                      // attached: every place was found, so that it could be
  std::string coverage_error;             // why coverage is missing or incomplete; empty: it is whole
  std::optional<HookedLibraries> daemon;  // of the one that runs here, if it answers
};

DoctorReport examine_node();

}  // namespace llmtap
