// SPDX-License-Identifier: Apache-2.0
#include "capture/ring.h"

#include <cstdint>

#include "base/event_bytes.h"

namespace llmtap {

const llmtap_event_hdr* valid_event(const void* bytes, size_t available) {
  if (available < sizeof(llmtap_event_hdr)) return nullptr;
  const auto* event = static_cast<const llmtap_event_hdr*>(bytes);
  const size_t fixed = fixed_event_bytes(event->type);
  if (fixed == 0 || event->size < fixed || event->size > available) return nullptr;
  size_t payload = 0;
  if (event->type == LLMTAP_EVENT_DATA) {
    const auto* data = reinterpret_cast<const llmtap_data_event*>(event);
    payload = data->captured_bytes;
    if (payload > data->original_bytes || data->direction > LLMTAP_WRITE) return nullptr;
  } else if (event->type == LLMTAP_EVENT_PROCESS) {
    payload = reinterpret_cast<const llmtap_process_facts_event*>(event)->text_bytes;
  }
  return payload <= event->size - fixed ? event : nullptr;
}

}  // namespace llmtap
