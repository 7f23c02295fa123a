// SPDX-License-Identifier: Apache-2.0
// One JSON line per finished call, to standard output or a file that may be rotated. A thread of its
// own writes: a full disk or a stalled reader costs lines, which are counted, never time.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "llmtap/limits.h"
#include "llmtap/result.h"
#include "llmtap/sink.h"
#include "sinks/call_queue.h"
#include "sinks/self_observation.h"

namespace llmtap {

struct JsonLogOptions {
  std::string path = "-";  // "-": standard output
  size_t queue = Limits{}.export_queue;
  // Told once when writing begins to fail and once when it works again; on the writer's thread.
  std::function<void(const std::string&)> report;
};

class JsonLog : public CallSink {
 public:
  static Result<std::unique_ptr<JsonLog>> open(JsonLogOptions options);
  ~JsonLog() override;  // writes what is queued, unless the reader stalls

  void on_call_open(const LlmCall&) override {}
  void on_call_finished(const LlmCall& call) override { queue_.push(call); }

  // Opens the path again: after rotation, on SIGHUP. Also done when another file is at the path.
  void reopen();
  // Waits until everything handed over so far is written or counted as lost.
  bool flush(std::chrono::milliseconds timeout) { return queue_.wait_idle(timeout); }
  ExportCounters counters() const;

 private:
  explicit JsonLog(JsonLogOptions options) : options_(std::move(options)), queue_(options_.queue) {}
  void run();
  void follow_rotation();
  bool open_file();
  void write_lines(const std::vector<LlmCall>& calls);
  bool write_all(std::string_view bytes);
  void succeeded(bool ok, int error);

  JsonLogOptions options_;
  CallQueue queue_;
  std::atomic<uint64_t> ok_ = 0, error_ = 0;
  std::atomic<bool> reopen_ = false;
  // Of the writer's thread:
  int fd_ = -1;
  bool mid_line_ = false;  // the last write ended inside a line
  bool failing_ = false;
  int stalled_at_stop_ms_ = 0;
  std::thread thread_;
};

}  // namespace llmtap
