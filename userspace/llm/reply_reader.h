// SPDX-License-Identifier: Apache-2.0
// What a reply's body says of a call, read as it flows: one JSON object, a stream of events, lines,
// or the elements of an array. Each object is one record; what it says takes effect at its end.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "llm/body_fields.h"
#include "llm/dialect.h"
#include "llm/reply_record.h"
#include "llmtap/limits.h"
#include "llmtap/llm_call.h"

namespace llmtap {

struct ReplyFacts {
  std::string model, id, service_tier, conversation_id, previous_response_id, status, incomplete_reason;
  UsageNumbers usage;
  bool usage_is_final = false;  // Anthropic: a message_delta reported; before, output is a placeholder
  std::optional<double> cost_usd;
  std::vector<std::string> finish_reasons;  // by choice
  uint32_t tool_calls = 0;
  std::vector<std::string> tool_names;
  TextCount content, reasoning, tool_text;
  bool error = false;
  bool tool_failed = false;  // MCP: the call was answered, the tool failed
  std::string error_type, error_code, error_message;
  bool terminal = false;     // the event that ends a stream of this dialect
  bool finish_seen = false;  // a finish reason
  bool prompt_blocked = false;
  bool refused = false;      // the model did, in words that the dialect marks
  bool interrupted = false;  // by the one who speaks
  Dialect shape = Dialect::kNone;
  uint64_t records = 0;
  std::string speed, geo;  // of the service, where prices depend on it
  uint64_t images = 0, searches = 0;
  std::optional<double> seconds;  // of audio

  uint64_t stream_chunks = 0, content_chunks = 0;
  uint64_t first_content_ns = 0, first_reasoning_ns = 0, first_tool_ns = 0, first_audio_ns = 0,
           last_token_ns = 0;
  InterTokenGaps gaps;
};

class BatchResults;

class ReplyReader final : private RecordListener {
 public:
  ReplyReader(const Limits&, RecordPool& pool);  // the pool outlives it
  ~ReplyReader() override;
  ReplyReader(const ReplyReader&) = delete;
  ReplyReader& operator=(const ReplyReader&) = delete;

  // A body that is one document, or several one after the other.
  void feed_body(std::string_view bytes, uint64_t time_ns);
  // Data of one SSE event or NDJSON line, and its end; `time_ns` of its first data byte.
  void feed_event(std::string_view bytes);
  void end_event(std::string_view name, uint64_t time_ns, bool complete);
  // The event that ends now is an error by its framing: `type` is the error's.
  void set_error(std::string_view type);
  // Both, for an event that lies in one piece: what equals the last one but for its text is not read
  // again (event_shape.h).
  void event(std::string_view data, std::string_view name, uint64_t time_ns, bool complete);
  // The body ended, maybe inside a document: what was complete in it counts.
  void finish();

  // Records of a plain body are chunks of a stream (Gemini's array, lines under another name).
  void set_body_is_stream() { body_is_stream_ = true; }
  // Lines of a batch's results are added there, and are nothing else. It outlives the reader.
  void set_batch(BatchResults* batch) { batch_ = batch; }
  // The request asked for pieces where this dialect sends the whole text so far.
  void set_incremental() { incremental_ = true; }
  // By the records so far, the one being read included.
  Dialect shape() const { return facts_.shape != Dialect::kNone ? facts_.shape : record_shape(); }
  bool malformed() const { return malformed_ || (reader_ && reader_->malformed()); }
  const ReplyFacts& facts() const { return facts_; }

 private:
  struct Learned;

  void on_record_begin() override;
  void on_record_end() override;

  RecordReader& reader();
  void release();
  void add_to_event(std::string_view bytes);
  bool learn(std::string_view data, std::string_view name);
  Dialect record_shape() const;
  void apply(std::string_view event_name, uint64_t time_ns, bool chunk);
  void apply_texts(ReplyTexts& texts, TextCount ReplyTexts::* delta, uint64_t time_ns, bool chunk,
                   bool tool_named);
  void apply_finishes();
  void apply_tools();
  void apply_errors(std::string_view type);
  void apply_chunk(const ReplyTexts& texts, uint64_t time_ns, bool tool_named);
  TextCount fresh(TextCount& seen, const TextCount& now) const;
  void take_new_text(ReplyRecord&, std::string_view type);
  void count_tool(const std::string& name, uint64_t key);
  uint32_t choice_index(uint32_t position) const;

  size_t max_tool_names_, max_finish_reasons_;
  RecordPool& pool_;
  std::unique_ptr<RecordReader> reader_;  // inside a record only
  std::unique_ptr<Learned> learned_;
  BatchResults* batch_ = nullptr;
  ReplyFacts facts_;
  std::vector<uint64_t> tools_seen_, searches_seen_;
  TextCount content_seen_, reasoning_seen_;
  uint64_t now_ns_ = 0, record_ns_ = 0;
  std::array<char, 8> event_prefix_{};
  uint8_t event_prefix_bytes_ = 0;
  uint64_t event_bytes_ = 0;
  bool in_event_ = false, record_open_ = false, body_is_stream_ = false, incremental_ = false;
  bool malformed_ = false;
};

}  // namespace llmtap
