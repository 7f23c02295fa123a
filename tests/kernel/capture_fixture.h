// SPDX-License-Identifier: Apache-2.0
// Real calls of a forked process under a loaded probe, and what the probe said of them.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "capture/probe.h"

namespace llmtap {

// One direction of one connection, as the records tell it.
struct SeenStream {
  struct Record {
    uint64_t offset = 0;
    uint32_t original_bytes = 0, captured_bytes = 0, sequence = 0;
    uint16_t flags = 0;
    uint8_t loss = 0, message_class = 0;
    uint64_t time_ns = 0, entry_time_ns = 0;
  };
  std::vector<Record> records;
  std::string bytes;       // captured ones, in order
  uint64_t gap_bytes = 0;  // that no record stands for, or one of nothing but a loss
  uint64_t next_offset = 0;
};

struct SeenConnection {
  llmtap_conn_event facts{};
  size_t announcements = 0;
  SeenStream stream[2];
  std::map<uint32_t, llmtap_conn_end_event> ends;  // by reason
  const std::string& read() const { return stream[LLMTAP_READ].bytes; }
  const std::string& written() const { return stream[LLMTAP_WRITE].bytes; }
};

class Recorder : public EventSink {
 public:
  void on_event(const llmtap_event_hdr& event) override;
  // Of one process, in the order of their first event.
  std::vector<const SeenConnection*> connections(uint32_t tgid, uint8_t source) const;
  const SeenConnection* connection(uint64_t id) const;

  std::function<void(const llmtap_data_event&)> on_data;
  std::map<uint32_t, size_t> execs, exits;  // by tgid
  std::vector<uint16_t> types;              // of all events, in order
  llmtap_lost_event lost{};

 private:
  std::map<uint64_t, SeenConnection> connections_;
};

class CaptureTest : public ::testing::Test {
 protected:
  void open(const ProbeOptions& options = {});
  // Runs `body` in a forked process and polls until its EXIT event. Returns its tgid; the test fails
  // if the body does not return 0.
  uint32_t run(const std::function<int()>& body);
  uint32_t fork_body(const std::function<int()>& body);
  void poll_until(const std::function<bool()>& done);
  void expect_success(uint32_t tgid);

  std::unique_ptr<Probe> probe_;
  Recorder seen_;
};

// A connected pair of TCP sockets over loopback, both ends in this process.
struct TcpPair {
  int client = -1, server = -1;
  explicit TcpPair(bool ipv6 = false);
  ~TcpPair();
  void close_client();
  void close_server();
};

bool send_all(int fd, const std::string& bytes);
// Exactly so many bytes, fewer only at the end of the stream.
std::string receive(int fd, size_t bytes);
std::string pattern(size_t bytes);

}  // namespace llmtap
