// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "llm/dialect.h"
#include "llm/reply_record.h"

namespace llmtap {

// The dialect that one object of a reply proves by its names, kNone if it proves none (yet).
Dialect shape_of(const ReplyRecord&);

}  // namespace llmtap
