// SPDX-License-Identifier: Apache-2.0
// What a reply's body says of a call, read as it flows: one JSON object, a stream of events, lines,
// or the elements of an array. Each object is one record; what it says takes effect at its end.
#pragma once

#include <string>
#include <vector>

#include "llm/body_fields.h"
#include "llm/dialect.h"
#include "llmtap/limits.h"
#include "llmtap/llm_call.h"

namespace llmtap {

struct TextCount {
  uint64_t characters = 0, wide = 0;
  void add(uint64_t more, uint64_t more_wide) {
    characters += more;
    wide += more_wide;
  }
};

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
  std::string error_type, error_code, error_message;
  bool terminal = false;     // the event that ends a stream of this dialect
  bool finish_seen = false;  // a finish reason
  bool prompt_blocked = false;
  Dialect shape = Dialect::kNone;
  uint64_t records = 0;

  uint64_t stream_chunks = 0, content_chunks = 0;
  uint64_t first_content_ns = 0, first_reasoning_ns = 0, first_tool_ns = 0, last_token_ns = 0;
  InterTokenGaps gaps;
};

class ReplyReader final : public JsonHandler {
 public:
  explicit ReplyReader(const Limits&);

  // A body that is one document, or several one after the other.
  void feed_body(std::string_view bytes, uint64_t time_ns);
  // Data of one SSE event or NDJSON line, and its end; `time_ns` of its first data byte.
  void feed_event(std::string_view bytes);
  void end_event(std::string_view name, uint64_t time_ns, bool complete);
  // The body ended, maybe inside a document: what was complete in it counts.
  void finish();

  // Records of a plain body are chunks of a stream (Gemini's array, lines under another name).
  void set_body_is_stream() { body_is_stream_ = true; }
  // By the records so far, the one being read included.
  Dialect shape() const { return facts_.shape != Dialect::kNone ? facts_.shape : record_shape(); }
  bool malformed() const { return scanner_.malformed(); }
  const ReplyFacts& facts() const { return facts_; }

 private:
  struct Tool {
    uint32_t choice = 0, position = 0;
    std::optional<uint64_t> index;
    uint64_t id_hash = 0;
    std::string name;
  };
  struct Item {
    uint32_t position = 0;
    std::string type, name;
    uint64_t id_hash = 0;
  };
  struct Part {
    uint32_t choice = 0, position = 0;
    TextCount text;
    bool thought = false;
  };
  struct Finish {
    uint32_t choice = 0;
    std::string reason;
  };
  // One object, as far as it was read.
  struct Record {
    std::string type, object, model, id, service_tier, conversation_id, previous_response_id, status,
        incomplete_reason, done_reason, block_reason, role;
    std::string error_type, error_code, error_message, top_code, top_message;
    UsageNumbers usage;
    std::optional<double> cost_usd;
    TextCount content, choice_text, reasoning, tool_text, delta;
    std::vector<Finish> finishes;
    std::vector<std::pair<uint32_t, uint32_t>> choice_indices;  // position -> index
    std::vector<Tool> tools;
    std::vector<Item> items;
    std::vector<Part> parts;
    bool error = false, done = false, has_done = false, choices = false, candidates = false,
         usage_metadata = false, embedding = false, created_at = false, message = false,
         bedrock_output = false;
    bool ended = false;
    void clear();
  };

  void on_json_string(uint16_t field, const JsonPlace&, std::string_view value, bool cut) override;
  void on_json_number(uint16_t field, const JsonPlace&, const JsonNumber&) override;
  void on_json_bool(uint16_t field, const JsonPlace&, bool) override;
  void on_json_text(uint16_t field, const JsonPlace&, const JsonText&) override;
  void on_json_open(uint16_t field, const JsonPlace&) override;
  void on_json_record_begin() override;
  void on_json_record_end() override;

  Dialect record_shape() const;
  void apply(std::string_view event_name, uint64_t time_ns, bool chunk);
  void apply_delta_kind(std::string_view type);
  void apply_finishes();
  void apply_tools();
  void apply_errors(std::string_view type);
  void apply_chunk(uint64_t time_ns, bool tool_named);
  void count_tool(const std::string& name, uint64_t key);
  Tool& tool_at(const JsonPlace&);
  Item& item_at(const JsonPlace&);
  Part& part_at(const JsonPlace&);
  uint32_t choice_index(uint32_t position) const;

  size_t max_tool_names_, max_finish_reasons_;
  ReplyFacts facts_;
  Record record_;
  JsonScanner scanner_;
  std::vector<uint64_t> tools_seen_;
  uint64_t now_ns_ = 0, record_ns_ = 0;
  std::array<char, 8> event_prefix_{};
  uint8_t event_prefix_bytes_ = 0;
  uint64_t event_bytes_ = 0;
  bool in_event_ = false, record_open_ = false, body_is_stream_ = false;
};

}  // namespace llmtap
