// SPDX-License-Identifier: Apache-2.0
// What the core keeps of what flows through it: streams, protocols, llm and links together.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstring>
#include <memory>

#include "links/hop_linker.h"
#include "llm/call_tracker.h"
#include "protocols/connection_readers.h"
#include "streams/stream_table.h"
#include "unit/protocols/heap.h"

namespace llmtap::test {
namespace {

constexpr size_t kMiB = 1 << 20;

size_t peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<size_t>(usage.ru_maxrss) * 1024;
}

class Kept final : public CallSink, public VerdictSink {
 public:
  std::vector<LlmCall> calls;
  void on_call_open(const LlmCall&) override {}
  void on_call_finished(const LlmCall& call) override { calls.push_back(call); }
  void set_verdict(uint64_t, Verdict) override {}
};

class CoreMemory : public ::testing::Test {
 protected:
  Limits limits;
  Kept sink;
  HopLinker links{limits, sink};
  CallTracker calls{limits, {}, {}, links, sink};
  ConnectionReaders readers{limits, calls, sink};
  StreamTable streams{limits, readers};
  std::vector<std::array<uint64_t, 2>> offsets;
  std::vector<uint64_t> record;
  uint64_t now = 1'000'000'000;
  size_t heap_before = 0, heap_peak = 0;

  void begin() {
    record.reserve(64 * 1024);
    heap_before = heap_peak = heap_bytes();
  }

  template <typename Event>
  void send(Event event, uint16_t type, uint64_t id, std::string_view payload = {}) {
    event.hdr = {.time_ns = now += 1'000'000,
                 .size = static_cast<uint32_t>(sizeof(Event) + payload.size()),
                 .type = type,
                 .tgid = 42,
                 .tid = 42,
                 .conn_id = id};
    record.resize((event.hdr.size + 7) / 8);
    std::memcpy(record.data(), &event, sizeof(event));
    if (!payload.empty())
      std::memcpy(reinterpret_cast<char*>(record.data()) + sizeof(event), payload.data(), payload.size());
    streams.on_event(*reinterpret_cast<const llmtap_event_hdr*>(record.data()));
  }

  void open(uint64_t id) {
    llmtap_conn_event event{};
    event.role = LLMTAP_ROLE_CLIENT;
    event.source = LLMTAP_SOURCE_OPENSSL;
    event.first_byte_seen = 1;
    event.fd = -1;
    send(event, LLMTAP_EVENT_CONN, id);
    if (offsets.size() <= id) offsets.resize(id + 1);
  }

  void data(uint64_t id, uint8_t direction, std::string_view bytes) {
    llmtap_data_event event{};
    event.offset = offsets[id][direction];
    event.original_bytes = event.captured_bytes = static_cast<uint32_t>(bytes.size());
    event.direction = direction;
    event.source = LLMTAP_SOURCE_OPENSSL;
    offsets[id][direction] += bytes.size();
    send(event, LLMTAP_EVENT_DATA, id, bytes);
  }

  void request(uint64_t id, uint64_t length) {
    data(id, LLMTAP_WRITE,
         "POST /v1/chat/completions HTTP/1.1\r\nhost: api.openai.com\r\ncontent-type: "
         "application/json\r\ncontent-length: " +
             std::to_string(length) + "\r\n\r\n");
  }

  void look() { heap_peak = std::max(heap_peak, heap_bytes()); }
  size_t grown() const { return heap_peak - heap_before; }
};

const std::string kRequest =
    R"({"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"hi"}]})";
const std::string kStreamHead =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

std::string chunk(const std::string& text) {
  char size[20];
  std::snprintf(size, sizeof(size), "%zx\r\n", text.size());
  return size + text + "\r\n";
}

std::string delta(uint64_t call, uint64_t number) {
  return chunk(
      "data: {\"id\":\"chatcmpl-" + std::to_string(call) +
      "\",\"object\":\"chat.completion.chunk\",\"created\":1767323045,\"model\":\"gpt-4o-mini-2024-07-18\","
      "\"system_fingerprint\":\"fp_44709d6fcb\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word" +
      std::to_string(number) + "\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n");
}

TEST_F(CoreMemory, ABodyOf256MegabytesLeavesNothing) {
  const std::string head =
                        R"({"model":"gpt-4o","messages":[{"role":"user","content":[{"type":"text","text":")",
                    tail = R"("}]}]})";
  const std::string piece = [] {
    std::string text;
    while (text.size() < 256 * 1024 - 16) text += "some \\\"text\\\"\\n\\u6d77 ";
    return text;
  }();
  begin();
  open(1);
  const size_t pieces = 256 * kMiB / piece.size() + 1;
  request(1, head.size() + tail.size() + pieces * piece.size());
  data(1, LLMTAP_WRITE, head);
  const size_t resident = peak_resident_bytes();
  for (size_t i = 0; i < pieces; ++i) {
    data(1, LLMTAP_WRITE, piece);
    look();
  }
  EXPECT_LT(peak_resident_bytes() - resident, 8 * kMiB);
  data(1, LLMTAP_WRITE, tail);
  data(1, LLMTAP_READ,
       "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 78\r\n\r\n"
       "{\"object\":\"chat.completion\",\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5}}");
  ASSERT_EQ(sink.calls.size(), 1U);
  EXPECT_EQ(sink.calls[0].requested_model, "gpt-4o");
  EXPECT_EQ(sink.calls[0].tokens.output, 5U);
  EXPECT_EQ(sink.calls[0].incomplete, Incomplete::kNo);
  EXPECT_LT(grown(), 256 * 1024U);
}

TEST_F(CoreMemory, AStreamOf100000EventsLeavesNothing) {
  begin();
  open(1);
  request(1, kRequest.size());
  data(1, LLMTAP_WRITE, kRequest);
  data(1, LLMTAP_READ, kStreamHead);
  for (uint64_t i = 0; i < 100'000; ++i) {
    const std::string event = delta(1, i);
    // Now and then an event comes in two reads.
    const size_t cut = i % 10 == 0 ? event.size() / 2 : event.size();
    data(1, LLMTAP_READ, std::string_view(event).substr(0, cut));
    if (cut < event.size()) data(1, LLMTAP_READ, std::string_view(event).substr(cut));
    if (i % 64 == 0) look();
  }
  data(1, LLMTAP_READ, chunk("data: [DONE]\n\n") + "0\r\n\r\n");
  ASSERT_EQ(sink.calls.size(), 1U);
  EXPECT_EQ(sink.calls[0].content_chunks, 100'000U);
  EXPECT_LT(grown(), 256 * 1024U);
}

// The budget: 128 MiB for 10,000 streams, with room for what the sinks keep.
TEST_F(CoreMemory, TenThousandOpenStreams) {
  begin();
  constexpr uint64_t kStreams = 10'000;
  for (uint64_t id = 1; id <= kStreams; ++id) {
    open(id);
    request(id, kRequest.size());
    data(id, LLMTAP_WRITE, kRequest);
    data(id, LLMTAP_READ, kStreamHead);
    for (uint64_t i = 0; i < 4; ++i) data(id, LLMTAP_READ, delta(id, i));
  }
  look();
  EXPECT_EQ(calls.open_exchanges(), kStreams);
  RecordProperty("bytes_per_stream", static_cast<int>(grown() / kStreams));
  EXPECT_LT(grown() / kStreams, 12 * 1024U);
  for (uint64_t id = 1; id <= kStreams; ++id) data(id, LLMTAP_READ, chunk("data: [DONE]\n\n") + "0\r\n\r\n");
  EXPECT_EQ(sink.calls.size(), kStreams);
}

}  // namespace
}  // namespace llmtap::test
