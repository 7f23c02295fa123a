// SPDX-License-Identifier: Apache-2.0
#include "streams/stream_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "hello_bytes.h"

namespace llmtap::test {
namespace {

using ::testing::ElementsAre;

class Recorder : public StreamSink {
 public:
  std::vector<std::string> lines;
  ConnectionFacts last;
  void on_open(const ConnectionFacts& facts) override { note(facts, "open"); }
  void on_facts(const ConnectionFacts& facts) override { note(facts, "facts"); }
  void on_chunk(const ConnectionFacts& facts, Direction direction, const StreamChunk& chunk) override {
    note(facts, arrow(direction) + std::string(chunk.bytes.begin(), chunk.bytes.end()) + " @" +
                    std::to_string(chunk.offset) + " t" + std::to_string(chunk.time_ns));
  }
  void on_gap(const ConnectionFacts& facts, Direction direction, uint64_t bytes, uint64_t) override {
    note(facts, arrow(direction) + "gap " + std::to_string(bytes));
  }
  void on_direction_end(const ConnectionFacts& facts, Direction direction, EndReason reason,
                        uint64_t) override {
    note(facts, arrow(direction) + "end " + std::to_string(static_cast<int>(reason)));
  }
  void on_end(const ConnectionFacts& facts, EndReason reason, uint64_t) override {
    note(facts, "end " + std::to_string(static_cast<int>(reason)));
  }

 private:
  static std::string arrow(Direction direction) { return direction == Direction::kRead ? "< " : "> "; }
  void note(const ConnectionFacts& facts, const std::string& what) {
    last = facts;
    lines.push_back(std::to_string(facts.id) + " " + what);
  }
};

class StreamTableTest : public ::testing::Test {
 protected:
  Limits limits;
  Recorder recorder;
  std::unique_ptr<StreamTable> table;
  uint64_t now = 100;

  void SetUp() override { table = std::make_unique<StreamTable>(limits, recorder); }

  template <typename Event>
  void send(Event event, uint16_t type, std::string_view payload = {}) {
    event.hdr.type = type;
    event.hdr.size = static_cast<uint32_t>(sizeof(Event) + payload.size());
    event.hdr.time_ns = now++;
    if (event.hdr.tgid == 0) event.hdr.tgid = 42;
    std::vector<uint64_t> record((event.hdr.size + 7) / 8);
    std::memcpy(record.data(), &event, sizeof(event));
    if (!payload.empty())
      std::memcpy(reinterpret_cast<char*>(record.data()) + sizeof(event), payload.data(), payload.size());
    table->on_event(*reinterpret_cast<const llmtap_event_hdr*>(record.data()));
  }
  void conn(uint64_t id, llmtap_conn_event event = {}) {
    event.hdr.conn_id = id;
    if (event.process_start_ns == 0) event.process_start_ns = 5;
    event.first_byte_seen = 1;
    send(event, LLMTAP_EVENT_CONN);
  }
  void data(uint64_t id, llmtap_direction direction, uint64_t offset, std::string_view bytes,
            uint32_t original = 0, llmtap_data_event event = {}) {
    event.hdr.conn_id = id;
    event.direction = static_cast<uint8_t>(direction);
    event.offset = offset;
    event.captured_bytes = static_cast<uint32_t>(bytes.size());
    event.original_bytes = original ? original : event.captured_bytes;
    send(event, LLMTAP_EVENT_DATA, bytes);
  }
  void conn_end(uint64_t id, llmtap_end_reason reason, uint64_t read = 0, uint64_t write = 0) {
    llmtap_conn_end_event event{};
    event.hdr.conn_id = id;
    event.reason = reason;
    event.read_offset = read;
    event.write_offset = write;
    send(event, LLMTAP_EVENT_CONN_END);
  }
  void expect_balance() {
    const StageBooks& books = table->books();
    EXPECT_EQ(books.bytes_in, books.bytes_out + books.bytes_left_out + books.bytes_lost);
    EXPECT_EQ(books.items_in, books.items_out + books.items_lost);
  }
};

TEST_F(StreamTableTest, DeliversInOrderWithTimes) {
  conn(1);
  llmtap_data_event entered{};
  entered.entry_time_ns = 7;
  data(1, LLMTAP_WRITE, 0, "ask", 0, entered);
  data(1, LLMTAP_READ, 0, "rep", 0, entered);
  data(1, LLMTAP_READ, 3, "ly");
  conn_end(1, LLMTAP_END_CLOSED, 5, 3);
  EXPECT_THAT(recorder.lines,
              ElementsAre("1 open", "1 > ask @0 t7", "1 < rep @0 t102", "1 < ly @3 t103", "1 end 0"));
  EXPECT_EQ(table->open_connections(), 0U);
  expect_balance();
}

TEST_F(StreamTableTest, GapsAreToldAndNamed) {
  conn(1);
  llmtap_data_event cut{};
  cut.loss = LLMTAP_LOST_TOO_LARGE;
  data(1, LLMTAP_READ, 10, "abc", 8, cut);
  data(1, LLMTAP_READ, 20, "def");
  conn_end(1, LLMTAP_END_CLOSED, 30, 4);
  EXPECT_THAT(recorder.lines,
              ElementsAre("1 open", "1 < gap 10", "1 < abc @10 t101", "1 < gap 5", "1 < gap 2",
                          "1 < def @20 t102", "1 < gap 7", "1 > gap 4", "1 end 0"));
  EXPECT_EQ(table->books().lost_bytes_by_reason.at("too_large"), 5U);
  EXPECT_EQ(table->books().lost_bytes_by_reason.at("skipped"), 10U + 2 + 7 + 4);
  EXPECT_EQ(table->books().bytes_in, 34U);
  expect_balance();
}

TEST_F(StreamTableTest, WhatNobodyWantsIsNotLost) {
  conn(1);
  data(1, LLMTAP_READ, 0, "abc", 8);
  llmtap_data_event behind{};
  behind.hdr.flags = LLMTAP_FLAG_LEFT_OUT;
  data(1, LLMTAP_READ, 20, "def", 0, behind);
  // Lost records have one of their own, behind what was left out.
  behind.loss = LLMTAP_LOST_RING_FULL;
  data(1, LLMTAP_READ, 30, "", 100, behind);
  data(1, LLMTAP_READ, 130, "g");
  EXPECT_EQ(table->books().bytes_left_out, 5U + 12 + 7);
  EXPECT_EQ(table->books().lost_bytes_by_reason.at("ring_full"), 100U);
  EXPECT_EQ(table->books().bytes_lost, 100U);
  EXPECT_EQ(table->books().bytes_in, 131U);
  expect_balance();
}

TEST_F(StreamTableTest, WhatWasDeliveredIsNotDeliveredAgain) {
  conn(1);
  data(1, LLMTAP_READ, 0, "abcd");
  data(1, LLMTAP_READ, 0, "abcd");
  data(1, LLMTAP_READ, 2, "cdef");
  EXPECT_THAT(recorder.lines, ElementsAre("1 open", "1 < abcd @0 t101", "1 < ef @4 t103"));
  EXPECT_EQ(table->books().lost_bytes_by_reason.at("duplicate"), 6U);
  expect_balance();
}

TEST_F(StreamTableTest, AConnectionMetByItsBytesBeginsThere) {
  data(9, LLMTAP_READ, 1000, "x");
  data(9, LLMTAP_WRITE, 500, "y");
  EXPECT_THAT(recorder.lines, ElementsAre("9 open", "9 < x @1000 t100", "9 > y @500 t101"));
  EXPECT_FALSE(recorder.last.first_byte_seen);
  EXPECT_EQ(recorder.last.process.tgid, 42U);
  expect_balance();
}

TEST_F(StreamTableTest, EndsOfDirectionsAndConnections) {
  for (const uint64_t id : {1, 2, 3}) {
    conn(id);
    data(id, LLMTAP_READ, 0, "x");
  }
  recorder.lines.clear();
  conn_end(1, LLMTAP_END_SHUTDOWN_WRITE, 1);
  conn_end(1, LLMTAP_END_EOF, 1);
  conn_end(1, LLMTAP_END_EOF, 1);
  conn_end(1, LLMTAP_END_CLOSED, 1);
  conn_end(2, LLMTAP_END_RESET, 1);
  data(2, LLMTAP_READ, 1, "late");
  conn_end(2, LLMTAP_END_CLOSED, 5);
  conn_end(3, LLMTAP_END_EXIT, 1);
  conn_end(77, LLMTAP_END_CLOSED, 1);
  EXPECT_THAT(recorder.lines, ElementsAre("1 > end 0", "1 < end 1", "1 end 0", "2 end 2", "3 end 3"));
  EXPECT_EQ(table->books().lost_bytes_by_reason.at("after_end"), 4U);
  EXPECT_EQ(table->open_connections(), 0U);
  expect_balance();
}

TEST_F(StreamTableTest, AProcessThatEndsTakesItsTlsObjectsAlong) {
  llmtap_conn_event other{};
  other.source = LLMTAP_SOURCE_OPENSSL;
  conn(2, other);
  conn(1, other);
  other.hdr.tgid = 43;
  conn(3, other);
  conn(4);
  for (const uint64_t id : {1, 2, 4}) data(id, LLMTAP_READ, 0, "x");
  recorder.lines.clear();
  llmtap_process_event exit{};
  exit.process_start_ns = 5;
  send(exit, LLMTAP_EVENT_EXIT);
  EXPECT_THAT(recorder.lines, ElementsAre("1 end 3", "2 end 3"));
  // Its socket may be another process's, too: it goes on until the kernel closes it.
  EXPECT_EQ(table->open_connections(), 2U);
  data(4, LLMTAP_READ, 1, "y");
  conn_end(4, LLMTAP_END_EXIT, 2);
  EXPECT_EQ(recorder.lines.back(), "4 end 3");
}

TEST_F(StreamTableTest, TheLongestIdleConnectionGoesFirst) {
  limits.connections = 2;
  SetUp();
  conn(1);
  data(1, LLMTAP_READ, 0, "x");
  conn(2);
  data(2, LLMTAP_READ, 0, "x");
  data(1, LLMTAP_READ, 1, "y");
  recorder.lines.clear();
  conn(3);
  EXPECT_THAT(recorder.lines, ElementsAre("2 end 4"));
  EXPECT_EQ(table->counters().connections_evicted, 1U);
  EXPECT_EQ(table->open_connections(), 2U);
}

TEST_F(StreamTableTest, TheNameOfAClientHelloReachesTheTlsConnection) {
  const auto hello = client_hello("api.example.com", {"http/1.1"});
  const std::string bytes(hello.begin(), hello.end());
  llmtap_data_event tls{};
  tls.message_class = LLMTAP_CLASS_TLS;
  llmtap_conn_event above{};
  above.source = LLMTAP_SOURCE_OPENSSL;
  above.socket_conn_id = 1;
  llmtap_data_event plain{};
  plain.source = LLMTAP_SOURCE_OPENSSL;

  // The TLS object is known before the hello, or after it.
  conn(1);
  conn(2, above);
  data(2, LLMTAP_WRITE, 0, "GET", 0, plain);
  data(1, LLMTAP_WRITE, 0, bytes.substr(0, 20), 0, tls);
  data(1, LLMTAP_WRITE, 20, bytes.substr(20));
  data(1, LLMTAP_READ, 0, "\x16\x03\x03 cipher");
  conn_end(1, LLMTAP_END_CLOSED, 100000, 1000);
  EXPECT_THAT(recorder.lines, ElementsAre("2 open", "2 > GET @0 t102", "2 facts"));
  EXPECT_EQ(recorder.last.sni, "api.example.com");
  EXPECT_EQ(table->counters().tls_ciphertext_bytes, bytes.size() + 10);
  EXPECT_EQ(table->books().bytes_in, 3U);

  conn(11);
  data(11, LLMTAP_WRITE, 0, bytes, 0, tls);
  above.socket_conn_id = 11;
  conn(12, above);
  data(12, LLMTAP_WRITE, 0, "GET", 0, plain);
  EXPECT_EQ(recorder.last.id, 12U);
  EXPECT_EQ(recorder.last.sni, "api.example.com");
  expect_balance();
}

// A TLS library says nothing of a peer that left without an alert: the socket below it does.
TEST_F(StreamTableTest, ATlsConnectionEndsAsItsSocketSaw) {
  llmtap_data_event hello{};
  hello.message_class = LLMTAP_CLASS_TLS;
  const auto pair = [&](uint64_t socket, uint64_t tls) {
    llmtap_conn_event above{};
    above.source = LLMTAP_SOURCE_OPENSSL;
    above.socket_conn_id = socket;
    llmtap_data_event plain{};
    plain.source = LLMTAP_SOURCE_OPENSSL;
    conn(socket);
    data(socket, LLMTAP_WRITE, 0, "\x16\x03\x01", 0, hello);
    conn(tls, above);
    data(tls, LLMTAP_WRITE, 0, "x", 0, plain);
  };
  for (const uint64_t id : {10, 20, 30, 40}) pair(id, id + 1);
  recorder.lines.clear();
  conn_end(10, LLMTAP_END_EOF);
  conn_end(20, LLMTAP_END_RESET);
  conn_end(30, LLMTAP_END_SHUTDOWN_WRITE);
  EXPECT_TRUE(recorder.lines.empty());
  conn_end(11, LLMTAP_END_CLOSED, 0, 1);
  conn_end(21, LLMTAP_END_CLOSED, 0, 1);
  conn_end(31, LLMTAP_END_CLOSED, 0, 1);
  EXPECT_THAT(recorder.lines, ElementsAre("11 end 1", "21 end 2", "31 end 0"));

  // Freed late: plaintext that it holds is read, then it is over without its socket.
  recorder.lines.clear();
  conn_end(40, LLMTAP_END_CLOSED);
  llmtap_data_event plain{};
  plain.source = LLMTAP_SOURCE_OPENSSL;
  data(41, LLMTAP_READ, 0, "late", 0, plain);
  now += 2'000'000'000;
  send(llmtap_clock_event{}, LLMTAP_EVENT_CLOCK);
  conn_end(41, LLMTAP_END_CLOSED, 4, 1);
  ASSERT_EQ(recorder.lines.size(), 2U);
  EXPECT_THAT(recorder.lines.front(), ::testing::StartsWith("41 < late"));
  EXPECT_EQ(recorder.lines.back(), "41 end 0");
  expect_balance();
}

TEST_F(StreamTableTest, FactsAreKeptWhenALaterEventKnowsLess) {
  llmtap_conn_event event{};
  event.role = LLMTAP_ROLE_CLIENT;
  event.has_addresses = 1;
  event.remote_port = 443;
  event.fd = 7;
  conn(1, event);
  data(1, LLMTAP_READ, 0, "x");
  llmtap_conn_event less{};
  less.fd = -1;
  conn(1, less);
  EXPECT_EQ(recorder.lines.back(), "1 facts");
  EXPECT_EQ(recorder.last.role, Role::kClient);
  EXPECT_EQ(recorder.last.remote.port, 443);
  EXPECT_EQ(recorder.last.fd, 7);
}

TEST_F(StreamTableTest, ProcessFacts) {
  EXPECT_EQ(table->process({1, 2})->workload, "unknown");
  llmtap_process_facts_event facts{};
  facts.hdr.tgid = 50;
  facts.process_start_ns = 9;
  const std::string_view text("workload\0gw\0comm\0python\0new_key\0x\0exe\0/usr/bin/python3\0", 56);
  facts.text_bytes = static_cast<uint32_t>(text.size());
  send(facts, LLMTAP_EVENT_PROCESS, text);
  EXPECT_EQ(table->process({50, 9})->workload, "gw");
  EXPECT_EQ(table->process({50, 0})->comm, "python");
  EXPECT_EQ(table->process({50, 9})->exe, "/usr/bin/python3");
  EXPECT_EQ(table->process({50, 10})->workload, "unknown");
  llmtap_process_event exec{};
  exec.hdr.tgid = 50;
  exec.process_start_ns = 9;
  std::memcpy(exec.comm, "sixteen bytes 16", 16);
  send(exec, LLMTAP_EVENT_EXEC);
  EXPECT_EQ(table->process({50, 9})->comm, "sixteen bytes 16");
  EXPECT_EQ(table->process({50, 9})->workload, "gw");
  send(exec, LLMTAP_EVENT_EXIT);
  EXPECT_EQ(table->process({50, 9})->workload, "gw");
}

TEST(ProcessTable, IsBounded) {
  Limits limits;
  limits.processes = 4;
  limits.ended_processes = 2;
  ProcessTable table(limits);
  for (uint32_t tgid = 1; tgid <= 100; ++tgid) {
    table.set_comm({tgid, 1}, "x");
    if (tgid % 2) table.set_ended({tgid, 1});
    ASSERT_LE(table.size(), 4U);
  }
  EXPECT_EQ(table.find({100, 1})->comm, "x");
}

TEST_F(StreamTableTest, ClockAndLossesAreKept) {
  uint64_t told = 0;
  table->set_clock_sink([&](const ClockFacts& clock) { told = clock.realtime_ns; });
  llmtap_clock_event clock{};
  clock.realtime_ns = 99;
  send(clock, LLMTAP_EVENT_CLOCK);
  EXPECT_EQ(told, 99U);
  EXPECT_EQ(table->clock().realtime_ns, 99U);
  llmtap_lost_event lost{};
  lost.bytes[LLMTAP_LOST_RING_FULL] = 12;
  send(lost, LLMTAP_EVENT_LOST);
  EXPECT_EQ(table->kernel_lost_bytes()[LLMTAP_LOST_RING_FULL], 12U);
}

TEST_F(StreamTableTest, MalformedEventsAreCounted) {
  llmtap_data_event data_event{};
  data_event.captured_bytes = 100;
  data_event.original_bytes = 100;
  send(data_event, LLMTAP_EVENT_DATA, "short");
  llmtap_clock_event clock{};
  clock.hdr.conn_id = 1;
  send(clock, LLMTAP_EVENT_CONN);
  send(clock, 999);
  // One that reaches beyond the last offset would be followed by one in front of it.
  data_event.captured_bytes = data_event.original_bytes = 3;
  data_event.offset = UINT64_MAX - 2;
  data_event.hdr.conn_id = 1;
  send(data_event, LLMTAP_EVENT_DATA, "abc");
  EXPECT_EQ(table->counters().malformed_events, 3U);
  EXPECT_EQ(table->counters().unknown_events, 1U);
  EXPECT_TRUE(recorder.lines.empty());
}

TEST_F(StreamTableTest, TheEndNamesWhatNoRecordDoes) {
  conn(1);
  data(1, LLMTAP_WRITE, 0, "ask");
  llmtap_conn_end_event end{};
  end.hdr.conn_id = 1;
  end.reason = LLMTAP_END_CLOSED;
  end.read_offset = 4;
  end.write_offset = 5;
  end.loss[LLMTAP_WRITE] = LLMTAP_LOST_RING_FULL;
  send(end, LLMTAP_EVENT_CONN_END);
  EXPECT_EQ(table->books().lost_bytes_by_reason.at("ring_full"), 2U);
  EXPECT_EQ(table->books().lost_bytes_by_reason.at("skipped"), 4U);
  expect_balance();
}

TEST_F(StreamTableTest, WhatIsFoundGoneEndedUnseen) {
  llmtap_conn_event tls{};
  tls.source = LLMTAP_SOURCE_OPENSSL;
  tls.socket_conn_id = 1;
  conn(1);
  conn(2, tls);
  data(2, LLMTAP_WRITE, 0, "ask");
  conn(3);
  data(3, LLMTAP_WRITE, 0, "ask");
  conn(4);
  data(4, LLMTAP_WRITE, 0, "ask");
  recorder.lines.clear();
  llmtap_conn_end_event gone{};
  gone.hdr.flags = LLMTAP_FLAG_NOT_SEEN;
  gone.reason = LLMTAP_END_CLOSED;
  gone.write_offset = 5;
  gone.hdr.conn_id = 3;
  send(gone, LLMTAP_EVENT_CONN_END);
  // The TLS object is never freed: it is over with its socket.
  gone.hdr.conn_id = 1;
  send(gone, LLMTAP_EVENT_CONN_END);
  now += 2'000'000'000;
  send(llmtap_clock_event{}, LLMTAP_EVENT_CLOCK);
  llmtap_process_event exit{};
  exit.hdr.flags = LLMTAP_FLAG_NOT_SEEN;
  exit.process_start_ns = 5;
  send(exit, LLMTAP_EVENT_EXIT);
  const std::string unseen = " end " + std::to_string(static_cast<int>(EndReason::kNotSeen));
  EXPECT_THAT(recorder.lines, ElementsAre("3 > gap 2", "3" + unseen, "2" + unseen, "4" + unseen));
  EXPECT_EQ(table->counters().connections_not_seen_ending, 3U);
  EXPECT_EQ(table->open_connections(), 0U);
  // The kernel's own word, should it come after all, changes nothing.
  conn_end(3, LLMTAP_END_CLOSED, 100, 100);
  EXPECT_EQ(table->counters().connections_ended, 3U);
  expect_balance();
}

class OpaqueTest : public StreamTableTest {
 protected:
  void SetUp() override {
    StreamTableTest::SetUp();
    table->set_opaque_sink([this](const ConnectionFacts& facts) { opaque.push_back(facts.sni); });
    table->set_hello_sink([this](const ConnectionFacts& facts) { hellos.push_back(facts.sni); });
  }
  void tls_data(uint64_t id, llmtap_direction direction, uint64_t offset, std::string_view bytes) {
    llmtap_data_event event{};
    event.message_class = offset == 0 ? LLMTAP_CLASS_TLS : LLMTAP_CLASS_UNKNOWN;
    data(id, direction, offset, bytes, 0, event);
  }
  void hello(uint64_t id) {
    const std::vector<uint8_t> bytes = client_hello("api.openai.com", {});
    tls_data(id, LLMTAP_WRITE, 0, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  void finish_handshake(uint64_t id) {
    tls_data(id, LLMTAP_READ, 0, "\x16\x03\x03server");
    tls_data(id, LLMTAP_WRITE, 4096, "finished");
  }
  void tls_object(uint64_t id, uint64_t socket) {
    llmtap_conn_event event{};
    event.source = LLMTAP_SOURCE_OPENSSL;
    event.socket_conn_id = socket;
    conn(id, event);
  }
  std::vector<std::string> opaque, hellos;
};

TEST_F(OpaqueTest, AHandshakeTellsItsHostAtOnce) {
  conn(1);
  EXPECT_TRUE(hellos.empty());
  hello(1);
  EXPECT_THAT(hellos, ElementsAre("api.openai.com"));
  finish_handshake(1);
  EXPECT_EQ(hellos.size(), 1u);
}

TEST_F(OpaqueTest, ASocketUnderALibraryThatNobodyReadsIsOpaqueOnce) {
  conn(1);
  hello(1);
  EXPECT_TRUE(opaque.empty());
  finish_handshake(1);
  EXPECT_THAT(opaque, ElementsAre("api.openai.com"));
  conn_end(1, LLMTAP_END_CLOSED);
  EXPECT_EQ(opaque.size(), 1u);
  EXPECT_EQ(table->counters().opaque_connections, 1u);
}

TEST_F(OpaqueTest, AConnectionThatEndsEarlyIsJudgedAtItsEnd) {
  conn(1);
  hello(1);
  conn_end(1, LLMTAP_END_CLOSED);
  EXPECT_EQ(opaque.size(), 1u);
}

TEST_F(OpaqueTest, ASocketBelowATlsObjectIsClear) {
  conn(1);
  tls_object(2, 1);
  hello(1);
  finish_handshake(1);
  data(2, LLMTAP_WRITE, 0, "GET / HTTP/1.1");
  conn_end(2, LLMTAP_END_CLOSED);
  conn_end(1, LLMTAP_END_CLOSED);
  EXPECT_TRUE(opaque.empty());
  EXPECT_EQ(table->counters().clear_connections[LLMTAP_SOURCE_OPENSSL], 1u);
}

TEST_F(OpaqueTest, AProcessWhoseTlsIsReadHasNoOpaqueSockets) {
  conn(1);
  tls_object(2, 0);  // a memory BIO: nothing says which socket is below
  hello(1);
  finish_handshake(1);
  conn_end(1, LLMTAP_END_CLOSED);
  EXPECT_TRUE(opaque.empty());
}

TEST_F(OpaqueTest, PlainTextIsClear) {
  conn(1);
  data(1, LLMTAP_WRITE, 0, "GET / HTTP/1.1");
  conn_end(1, LLMTAP_END_CLOSED);
  EXPECT_TRUE(opaque.empty());
  EXPECT_EQ(table->counters().clear_connections[LLMTAP_SOURCE_SOCKET], 1u);
}

}  // namespace
}  // namespace llmtap::test
