// SPDX-License-Identifier: Apache-2.0
// Any bytes as an event file: every record delivered passes the check that the core relies on.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "pipeline/event_file.h"

namespace {

class CheckingSink : public llmtap::EventSink {
 public:
  void on_event(const llmtap_event_hdr& event) override {
    LLMTAP_CHECK(reinterpret_cast<uintptr_t>(&event) % 8 == 0);
    LLMTAP_CHECK(!llmtap::record_defect(event, event.size));
    const auto* bytes = reinterpret_cast<const volatile uint8_t*>(&event);
    for (uint32_t i = 0; i < event.size; ++i)
      sum_ = static_cast<uint8_t>(sum_ + bytes[i]);  // readable to the end
  }

 private:
  uint8_t sum_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto reader = llmtap::EventFileReader::from_memory({data, size});
  if (!reader) return 0;
  CheckingSink sink;
  while (!(*reader)->at_end())
    if (!(*reader)->poll(sink, std::chrono::milliseconds(0))) return 0;
  return 0;
}
