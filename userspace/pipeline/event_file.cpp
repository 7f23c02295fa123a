// SPDX-License-Identifier: Apache-2.0
#include "pipeline/event_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/event_bytes.h"

namespace llmtap {
namespace {

constexpr size_t kWriteBufferBytes = 256 << 10;
constexpr size_t kReadBytes = 1 << 20;
constexpr size_t kEventsPerPoll = 256;
// The text of a PROCESS event: some paths and names. Records of types that we do not know yet.
constexpr size_t kMaxTextBytes = 64 << 10;
constexpr size_t kMaxUnknownBytes = 16 << 20;

size_t padded(size_t bytes) { return (bytes + 7) & ~size_t{7}; }

size_t max_record_bytes(uint16_t type) {
  switch (type) {
    case LLMTAP_EVENT_DATA: return fixed_event_bytes(type) + LLMTAP_MAX_RECORD_PAYLOAD;
    case LLMTAP_EVENT_PROCESS: return fixed_event_bytes(type) + kMaxTextBytes;
    default: return is_known_event_type(type) ? fixed_event_bytes(type) : kMaxUnknownBytes;
  }
}

size_t min_record_bytes(uint16_t type) {
  return is_known_event_type(type) ? fixed_event_bytes(type) : sizeof(llmtap_event_hdr);
}

std::string system_error(int error) { return std::strerror(error); }

}  // namespace

bool is_known_event_type(uint16_t type) { return fixed_event_bytes(type) != 0; }

std::optional<std::string> record_defect(const llmtap_event_hdr& event, size_t available) {
  const std::string record = "record of type " + std::to_string(event.type);
  if (event.size < min_record_bytes(event.type) || event.size > max_record_bytes(event.type))
    return record + " has the impossible size " + std::to_string(event.size);
  if (event.size > available) return record + " is cut off";
  if (event.type == LLMTAP_EVENT_DATA) {
    const auto& data = reinterpret_cast<const llmtap_data_event&>(event);
    if (data.captured_bytes > event.size - sizeof(data) || data.captured_bytes > data.original_bytes)
      return record + " claims " + std::to_string(data.captured_bytes) + " captured bytes";
    if (data.direction > LLMTAP_WRITE) return record + " has direction " + std::to_string(data.direction);
    if (data.source >= LLMTAP_SOURCE_MAX) return record + " has source " + std::to_string(data.source);
  }
  if (event.type == LLMTAP_EVENT_PROCESS) {
    const auto& facts = reinterpret_cast<const llmtap_process_facts_event&>(event);
    if (facts.text_bytes > event.size - sizeof(facts))
      return record + " claims " + std::to_string(facts.text_bytes) + " bytes of text";
  }
  return std::nullopt;
}

Result<std::unique_ptr<EventFileWriter>> EventFileWriter::create(const std::string& path,
                                                                 const Options& options) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) {
    const int error = errno;
    return Error{"cannot create " + path + ": " + system_error(error),
                 error == EEXIST
                     ? "a recording is never overwritten: choose another name, or remove the file first"
                     : "choose a directory that exists and that this user may write to"};
  }
  std::unique_ptr<EventFileWriter> writer(new EventFileWriter(path, fd));
  llmtap_file_header header{};
  std::memcpy(header.magic, LLMTAP_FILE_MAGIC, sizeof(header.magic));
  header.version = LLMTAP_EVENTS_VERSION;
  header.flags = options.redacted ? LLMTAP_FILE_REDACTED : 0;
  header.realtime_ns = options.realtime_ns;
  header.monotonic_ns = options.monotonic_ns;
  writer->append(&header, sizeof(header));
  LLMTAP_TRY(writer->flush());
  return writer;
}

EventFileWriter::~EventFileWriter() {
  if (fd_ < 0) return;
  if (!error_) write_out();
  ::close(fd_);
}

void EventFileWriter::append(const void* data, size_t bytes) {
  const auto* from = static_cast<const uint8_t*>(data);
  buffer_.insert(buffer_.end(), from, from + bytes);
  buffer_.resize(padded(buffer_.size()));
}

void EventFileWriter::on_event(const llmtap_event_hdr& event) {
  if (error_ || fd_ < 0) {
    ++events_lost_;
    return;
  }
  if (buffer_.size() + event.size > kWriteBufferBytes) write_out();
  if (error_) {
    ++events_lost_;
    return;
  }
  append(&event, event.size);
  ++events_written_;
}

void EventFileWriter::write_out() {
  size_t written = 0;
  int error = 0;
  while (written < buffer_.size()) {
    const ssize_t n = ::write(fd_, buffer_.data() + written, buffer_.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      error = n < 0 ? errno : EIO;
      break;
    }
    written += static_cast<size_t>(n);
  }
  // What of it are whole records? The header, when it is the first thing in the buffer, counts as one.
  size_t whole = 0, lost_records = 0;
  bool at_header = file_bytes_ == 0;
  for (size_t next = 0; next < buffer_.size();) {
    size_t bytes = sizeof(llmtap_file_header);
    if (!at_header) {
      llmtap_event_hdr header;
      std::memcpy(&header, buffer_.data() + next, sizeof(header));
      bytes = padded(header.size);
    }
    next += bytes;
    if (next <= written)
      whole = next;
    else if (!at_header)
      ++lost_records;
    at_header = false;
  }
  file_bytes_ += whole;
  buffer_.clear();
  if (error == 0) return;
  events_written_ -= lost_records;
  events_lost_ += lost_records;
  // A partial record would make the whole file look damaged.
  const bool cut = ::ftruncate(fd_, static_cast<off_t>(file_bytes_)) == 0;
  error_ = Error{
      "cannot write " + path_ + ": " + system_error(error),
      (error == ENOSPC || error == EDQUOT || error == EFBIG
           ? std::string("free some space or record to another disk; ")
           : std::string()) +
          (cut ? "the " + std::to_string(events_written_) + " events before are whole and can be replayed"
               : std::string("the file may end inside a record"))};
}

Result<> EventFileWriter::flush() {
  if (!error_ && fd_ >= 0) write_out();
  if (error_) return *error_;
  return Ok{};
}

Result<> EventFileWriter::finish() {
  Result<> result = flush();
  if (fd_ < 0) return result;
  // Network file systems report a full disk at close only.
  const int closed = ::close(std::exchange(fd_, -1));
  if (closed != 0 && result.has_value()) {
    error_ = Error{"cannot write " + path_ + ": " + system_error(errno), "the file may be incomplete"};
    return *error_;
  }
  return result;
}

EventFileReader::EventFileReader(std::string name, int fd, Input input)
    : name_(std::move(name)), fd_(fd), input_(std::move(input)) {}

EventFileReader::~EventFileReader() {
  if (fd_ >= 0) ::close(fd_);
}

Result<std::unique_ptr<EventFileReader>> EventFileReader::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return Error{"cannot open " + path + ": " + system_error(errno),
                 "expected a file written by `llmtap record`"};
  std::unique_ptr<EventFileReader> reader(new EventFileReader(path, fd, [fd](void* to, size_t bytes) -> long {
    for (;;) {
      const ssize_t n = ::read(fd, to, bytes);
      if (n >= 0) return n;
      if (errno != EINTR) return -errno;
    }
  }));
  LLMTAP_TRY(reader->read_header());
  return reader;
}

Result<std::unique_ptr<EventFileReader>> EventFileReader::from_memory(std::span<const uint8_t> bytes) {
  std::unique_ptr<EventFileReader> reader(
      new EventFileReader("event data", -1, [bytes](void* to, size_t wanted) mutable -> long {
        const size_t n = std::min(wanted, bytes.size());
        if (n > 0) std::memcpy(to, bytes.data(), n);
        bytes = bytes.subspan(n);
        return static_cast<long>(n);
      }));
  LLMTAP_TRY(reader->read_header());
  return reader;
}

Error EventFileReader::damage(const std::string& what) const {
  return Error{name_ + ": damaged at byte " + std::to_string(position_) + ": " + what,
               "everything before this byte is good; record again for the rest"};
}

const uint8_t* EventFileReader::unread() const {
  return reinterpret_cast<const uint8_t*>(buffer_.data()) + begin_;
}

Result<bool> EventFileReader::fill(size_t bytes) {
  while (end_ - begin_ < bytes && !input_ended_) {
    if (begin_ > 0) {
      std::memmove(buffer_.data(), unread(), end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
    }
    // Grows with what is there, never by what a record claims: a header of 32 bytes reserves nothing.
    if (buffer_.size() * 8 - end_ < kReadBytes) buffer_.resize((end_ + kReadBytes) / 8);
    const long n = input_(reinterpret_cast<uint8_t*>(buffer_.data()) + end_, buffer_.size() * 8 - end_);
    if (n < 0) return Error{"cannot read " + name_ + ": " + system_error(static_cast<int>(-n))};
    if (n == 0) input_ended_ = true;
    end_ += static_cast<size_t>(n);
  }
  return end_ - begin_ >= bytes;
}

Result<> EventFileReader::read_header() {
  const bool whole = LLMTAP_TRY(fill(sizeof(header_)));
  const std::string hint = "expected a file written by `llmtap record`";
  if (whole) std::memcpy(&header_, unread(), sizeof(header_));
  if (!whole || std::memcmp(header_.magic, LLMTAP_FILE_MAGIC, sizeof(header_.magic)) != 0)
    return Error{name_ + ": is not an event file", hint};
  if (header_.version != LLMTAP_EVENTS_VERSION)
    return Error{name_ + ": has version " + std::to_string(header_.version) +
                     " of the event format, this program reads " + std::to_string(LLMTAP_EVENTS_VERSION),
                 "replay it with the version of llmtap that recorded it"};
  begin_ += sizeof(header_);
  position_ += sizeof(header_);
  return Ok{};
}

Result<size_t> EventFileReader::poll(EventSink& sink, std::chrono::milliseconds timeout) {
  size_t delivered = 0;
  while (delivered < kEventsPerPoll && !at_end_) {
    if (!LLMTAP_TRY(fill(sizeof(llmtap_event_hdr)))) {
      if (end_ != begin_) return damage("the file ends inside a record");
      at_end_ = true;
      break;
    }
    // Room for the struct of the type, so that its fields can be looked at; the payload follows.
    const auto* event = reinterpret_cast<const llmtap_event_hdr*>(unread());
    const uint16_t type = event->type;
    const uint32_t size = event->size;
    if (size < min_record_bytes(type) || size > max_record_bytes(type))
      return damage(*record_defect(*event, size));
    if (!LLMTAP_TRY(fill(padded(size)))) return damage("the file ends inside a record");
    event = reinterpret_cast<const llmtap_event_hdr*>(unread());
    if (const auto defect = record_defect(*event, end_ - begin_)) return damage(*defect);
    if (is_known_event_type(type)) {
      sink.on_event(*event);
      ++delivered;
    } else {
      ++unknown_events_;
    }
    begin_ += padded(size);
    position_ += padded(size);
  }
  return delivered;
}

}  // namespace llmtap
