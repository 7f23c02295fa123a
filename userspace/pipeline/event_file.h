// SPDX-License-Identifier: Apache-2.0
// Events to a file and back: `llmtap record`, `llmtap replay`, the goldens. Format: events.h.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "llmtap/facts.h"

namespace llmtap {

// Nothing if `event`, with `available` bytes from its start, is a record as events.h has it: the size
// covers the struct of its type and its payload. Else what is wrong. Unknown types pass (size only).
std::optional<std::string> record_defect(const llmtap_event_hdr& event, size_t available);
bool is_known_event_type(uint16_t type);

// Writes records as they come, buffered. on_event cannot fail: after the first failed write the file
// is cut back to its last whole record, the error is kept, and later events are counted as lost.
class EventFileWriter : public EventSink {
 public:
  struct Options {
    bool redacted = false;     // sets LLMTAP_FILE_REDACTED
    uint64_t realtime_ns = 0;  // when the recording began, on both clocks
    uint64_t monotonic_ns = 0;
  };
  // The file must not exist: a recording is never overwritten, and never written through a link that
  // someone placed. Readable by its owner only: it holds what programs said inside TLS.
  static Result<std::unique_ptr<EventFileWriter>> create(const std::string& path, const Options& options);
  ~EventFileWriter() override;
  EventFileWriter(const EventFileWriter&) = delete;
  EventFileWriter& operator=(const EventFileWriter&) = delete;

  void on_event(const llmtap_event_hdr& event) override;
  // Writes what is buffered. After it (or a failure) the file ends with a whole record.
  Result<> flush();
  // Flush, then close; the first error of the whole recording.
  Result<> finish();
  bool failed() const { return error_.has_value(); }
  uint64_t events_written() const { return events_written_; }
  uint64_t events_lost() const { return events_lost_; }
  uint64_t bytes_written() const { return file_bytes_ + buffer_.size(); }

 private:
  EventFileWriter(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  void append(const void* data, size_t bytes);
  void write_out();

  std::string path_;
  int fd_ = -1;
  std::vector<uint8_t> buffer_;
  uint64_t file_bytes_ = 0;  // whole records in the file
  uint64_t events_written_ = 0, events_lost_ = 0;
  std::optional<Error> error_;
};

// Reads them back. Every record is checked before it is delivered; at damage poll() has delivered all
// records before it and says the byte position. Never waits, whatever the timeout.
class EventFileReader : public EventSource {
 public:
  static Result<std::unique_ptr<EventFileReader>> open(const std::string& path);
  // `bytes` is a whole file and outlives the reader.
  static Result<std::unique_ptr<EventFileReader>> from_memory(std::span<const uint8_t> bytes);
  ~EventFileReader() override;
  EventFileReader(const EventFileReader&) = delete;
  EventFileReader& operator=(const EventFileReader&) = delete;

  Result<size_t> poll(EventSink& sink, std::chrono::milliseconds timeout) override;
  bool at_end() const override { return at_end_; }
  const llmtap_file_header& header() const { return header_; }
  uint64_t unknown_events() const { return unknown_events_; }

 private:
  // Up to `bytes` into `to`: as many as there are, 0 at the end, negative: -errno.
  using Input = std::function<long(void* to, size_t bytes)>;
  EventFileReader(std::string name, int fd, Input input);
  Result<> read_header();
  // At least `bytes` unread ones in the buffer, or false: the input ended before.
  Result<bool> fill(size_t bytes);
  Error damage(const std::string& what) const;
  const uint8_t* unread() const;

  std::string name_;
  int fd_ = -1;
  Input input_;
  llmtap_file_header header_{};
  std::vector<uint64_t> buffer_;  // 8-byte aligned; records start at multiples of 8
  size_t begin_ = 0, end_ = 0;    // unread bytes of the buffer
  uint64_t position_ = 0;         // file offset of begin_
  bool input_ended_ = false, at_end_ = false;
  uint64_t unknown_events_ = 0;
};

}  // namespace llmtap
