// SPDX-License-Identifier: Apache-2.0
#include "capture/facts_requester.h"

namespace llmtap {

void FactsRequester::ask(uint32_t tgid, uint64_t start_ns) {
  const auto known = asked_.find(tgid);
  if (known != asked_.end() && known->second == start_ns) return;
  if (known == asked_.end() && asked_.size() >= kMaxProcesses) asked_.clear();
  asked_[tgid] = start_ns;
  request_(tgid);
}

void FactsRequester::on_event(const llmtap_event_hdr& event) {
  switch (event.type) {
    case LLMTAP_EVENT_CONN:
      ask(event.tgid, reinterpret_cast<const llmtap_conn_event&>(event).process_start_ns);
      break;
    case LLMTAP_EVENT_EXEC:
      // Another program under the same number and start: who it is has changed.
      if (asked_.contains(event.tgid)) request_(event.tgid);
      break;
    case LLMTAP_EVENT_EXIT: asked_.erase(event.tgid); break;
    default: break;
  }
  next_.on_event(event);
}

}  // namespace llmtap
