// SPDX-License-Identifier: Apache-2.0
#include "sinks/json_log.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "sinks/call_json.h"

namespace llmtap {
namespace {

constexpr size_t kBatch = 256;
// How long a stalled reader may hold up the end of the program.
constexpr int kStallAtStopMs = 1000;
constexpr int kPollMs = 100;
// A line is written so long after its call at most, while the disk keeps up.
constexpr std::chrono::milliseconds kGather{50};

}  // namespace

Result<std::unique_ptr<JsonLog>> JsonLog::open(JsonLogOptions options) {
  std::unique_ptr<JsonLog> log(new JsonLog(std::move(options)));
  if (!log->open_file())
    return Error{"cannot write the call log " + log->options_.path + ": " + std::strerror(errno),
                 "choose another path with log.requests.file, or \"-\" for standard output"};
  log->thread_ = std::thread([raw = log.get()] { raw->run(); });
  return log;
}

JsonLog::~JsonLog() {
  queue_.stop();
  if (thread_.joinable()) thread_.join();
  if (fd_ > STDERR_FILENO) ::close(fd_);
}

bool JsonLog::open_file() {
  if (options_.path == "-") {
    fd_ = STDOUT_FILENO;
    return true;
  }
  // Group and others may not read: lines hold who called what.
  const int fresh = ::open(options_.path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
  if (fresh < 0) return false;
  if (fd_ >= 0) ::close(fd_);
  fd_ = fresh;
  mid_line_ = false;
  return true;
}

void JsonLog::reopen() {
  reopen_ = true;
  queue_.wake();
}

// A rotated file is recognised by what its path leads to now.
void JsonLog::follow_rotation() {
  if (options_.path == "-") return;
  struct stat here{}, there{};
  const bool moved = ::stat(options_.path.c_str(), &there) != 0 || ::fstat(fd_, &here) != 0 ||
                     here.st_ino != there.st_ino || here.st_dev != there.st_dev;
  if (!reopen_.exchange(false) && !moved) return;
  if (!open_file()) succeeded(false, errno);
}

void JsonLog::succeeded(bool ok, int error) {
  if (ok != failing_) return;
  failing_ = !ok;
  if (!options_.report) return;
  options_.report(ok ? "writing the call log " + options_.path + " works again"
                     : "cannot write the call log " + options_.path + ": " + std::strerror(error) +
                           "; lines are lost until it works again");
}

bool JsonLog::write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    // A pipe that polls writable takes PIPE_BUF bytes without blocking, so the end of the program is
    // never held up by a reader that sleeps.
    pollfd writable{fd_, POLLOUT, 0};
    const int ready = poll(&writable, 1, stalled_at_stop_ms_ >= kStallAtStopMs ? 0 : kPollMs);
    if (ready < 0 && errno != EINTR) return false;
    if (ready <= 0) {
      if (queue_.stopped() && (stalled_at_stop_ms_ += kPollMs) >= kStallAtStopMs) {
        errno = EAGAIN;
        return false;
      }
      continue;
    }
    const ssize_t sent = ::write(fd_, bytes.data(), std::min<size_t>(bytes.size(), PIPE_BUF));
    if (sent < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (sent <= 0) return false;
    mid_line_ = bytes[static_cast<size_t>(sent) - 1] != '\n';
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

void JsonLog::write_lines(const std::vector<LlmCall>& calls) {
  for (const LlmCall& call : calls) {
    // After a write that the disk cut short, the rest of that line is lost: begin a new one.
    const std::string line = (mid_line_ ? "\n" : "") + call_json(call) + "\n";
    if (write_all(line)) {
      ++ok_;
      succeeded(true, 0);
    } else {
      ++error_;
      succeeded(false, errno);
    }
  }
}

void JsonLog::run() {
  // A closed pipe is an error to count, not a reason to die.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  for (;;) {
    const std::vector<LlmCall> calls = queue_.take(kBatch, kGather);
    follow_rotation();
    if (calls.empty() && queue_.stopped()) return;
    write_lines(calls);
  }
}

ExportCounters JsonLog::counters() const {
  // Read in this order, what waits is never negative.
  const uint64_t ok = ok_, error = error_;
  return {"logs", ok, error, queue_.dropped(), queue_.accepted() - ok - error};
}

}  // namespace llmtap
