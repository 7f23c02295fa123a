// SPDX-License-Identifier: Apache-2.0
// The fixed part of a record, by its type; 0: a type that is not known.
#pragma once

#include <cstddef>
#include <cstdint>

#include "llmtap/events.h"

namespace llmtap {

constexpr size_t fixed_event_bytes(uint16_t type) {
  switch (type) {
    case LLMTAP_EVENT_DATA: return sizeof(llmtap_data_event);
    case LLMTAP_EVENT_CONN: return sizeof(llmtap_conn_event);
    case LLMTAP_EVENT_CONN_END: return sizeof(llmtap_conn_end_event);
    case LLMTAP_EVENT_EXEC:
    case LLMTAP_EVENT_EXIT:
    case LLMTAP_EVENT_MMAP_EXEC: return sizeof(llmtap_process_event);
    case LLMTAP_EVENT_PROCESS: return sizeof(llmtap_process_facts_event);
    case LLMTAP_EVENT_CLOCK: return sizeof(llmtap_clock_event);
    case LLMTAP_EVENT_LOST: return sizeof(llmtap_lost_event);
    default: return 0;
  }
}

}  // namespace llmtap
