// SPDX-License-Identifier: Apache-2.0
// Writes records as capture delivers them (include/llmtap/events.h).
#pragma once

#include <array>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "bench/traffic.h"

namespace llmtap::bench {

class EventWriter {
 public:
  explicit EventWriter(Traffic& traffic) : traffic_(traffic) {
    tick(100'000'000);
    static constexpr std::string_view kFacts("exe\0/usr/bin/bench\0comm\0bench\0workload\0bench\0", 45);
    llmtap_process_facts_event facts{};
    facts.process_start_ns = kStartNs;
    facts.text_bytes = kFacts.size();
    add(LLMTAP_EVENT_PROCESS, 0, 0, facts, kFacts);
  }

  void open(uint64_t id) {
    llmtap_conn_event event{};
    event.open_time_ns = now_;
    event.tls_object = 0x7f0000000000 + id * 64;
    event.process_start_ns = kStartNs;
    event.fd = 7;
    for (uint8_t* address : {event.local_address, event.remote_address}) {
      address[10] = address[11] = 0xff;
      address[12] = 10;
      address[15] = 1;
    }
    event.remote_address[14] = 1;
    event.local_port = static_cast<uint16_t>(20'000 + id % 40'000);
    event.remote_port = 443;
    event.role = LLMTAP_ROLE_CLIENT;
    event.source = LLMTAP_SOURCE_OPENSSL;
    event.has_addresses = event.first_byte_seen = 1;
    add(LLMTAP_EVENT_CONN, id, 0, event);
    if (sent_.size() <= id) sent_.resize(id + 1);
  }

  void write(uint64_t id, std::string_view bytes, bool turn) { data(id, LLMTAP_WRITE, bytes, turn); }
  void read(uint64_t id, std::string_view bytes, bool turn) { data(id, LLMTAP_READ, bytes, turn); }

  void close(uint64_t id) {
    llmtap_conn_end_event event{};
    event.read_offset = sent_[id].offset[LLMTAP_READ];
    event.write_offset = sent_[id].offset[LLMTAP_WRITE];
    add(LLMTAP_EVENT_CONN_END, id, 0, event);
  }

  void tick(uint64_t nanoseconds) {
    now_ += nanoseconds;
    if (now_ - last_clock_ < 100'000'000) return;
    last_clock_ = now_;
    llmtap_clock_event clock{};
    clock.boottime_ns = now_;
    clock.realtime_ns = 1'767'323'045'000'000'000 + now_;
    add(LLMTAP_EVENT_CLOCK, 0, 0, clock);
  }

 private:
  static constexpr uint64_t kStartNs = 1'000'000'000;
  struct Sent {
    std::array<uint64_t, 2> offset{};
    std::array<uint32_t, 2> sequence{};
  };

  template <typename Event>
  void add(uint16_t type, uint64_t id, uint16_t flags, Event event, std::string_view payload = {}) {
    event.hdr = {.time_ns = now_,
                 .size = static_cast<uint32_t>(sizeof(Event) + payload.size()),
                 .type = type,
                 .flags = flags,
                 .tgid = 4242,
                 .tid = 4242,
                 .conn_id = id};
    const size_t at = traffic_.records.size();
    traffic_.records.resize(at + (event.hdr.size + 7) / 8);
    auto* to = reinterpret_cast<char*>(&traffic_.records[at]);
    std::memcpy(to, &event, sizeof(event));
    if (!payload.empty()) std::memcpy(to + sizeof(event), payload.data(), payload.size());
  }

  void data(uint64_t id, uint8_t direction, std::string_view bytes, bool turn) {
    llmtap_data_event event{};
    Sent& sent = sent_[id];
    event.offset = sent.offset[direction];
    event.entry_time_ns = now_ - 1000;
    event.original_bytes = event.captured_bytes = static_cast<uint32_t>(bytes.size());
    event.sequence = sent.sequence[direction]++;
    event.direction = direction;
    event.source = LLMTAP_SOURCE_OPENSSL;
    event.message_class =
        direction == LLMTAP_WRITE ? LLMTAP_CLASS_HTTP1_REQUEST : LLMTAP_CLASS_HTTP1_RESPONSE;
    sent.offset[direction] += bytes.size();
    traffic_.wire_bytes += bytes.size();
    add(LLMTAP_EVENT_DATA, id, turn ? LLMTAP_FLAG_TURN : 0, event, bytes);
  }

  Traffic& traffic_;
  std::vector<Sent> sent_;
  uint64_t now_ = 1'000'000'000'000, last_clock_ = 0;
};

}  // namespace llmtap::bench
