// SPDX-License-Identifier: Apache-2.0
// One JSON object of a reply, as far as it was read. Read by a RecordReader that a reply has only while
// it is inside an object: between two events of a stream, thousands of open replies share a few.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "llm/body_fields.h"
#include "llm/json_scanner.h"

namespace llmtap {

struct TextCount {
  uint64_t characters = 0, wide = 0;
  void add(uint64_t more, uint64_t more_wide) {
    characters += more;
    wide += more_wide;
  }
  void add(const TextCount& more) { add(more.characters, more.wide); }
};

// Generated text by where it stands.
struct ReplyTexts {
  TextCount content, choice_text, reasoning, tool_text, audio, delta, part_content, part_reasoning;
  // Not of learned events: whether these are new or repeat what came before is decided per reply.
  TextCount so_far, reasoning_so_far, root, token, generated;
};

struct ReplyRecord {
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
  // Counts of one list whose meaning a sibling says: a modality, a time to live.
  struct Detail {
    uint32_t position = 0;
    bool output = false, write = false;
    std::string kind;
    uint64_t count = 0;
    // The others (text, five minutes) are in the sums already.
    bool counts() const { return write ? kind == "1h" : kind == "AUDIO" || kind == "IMAGE"; }
  };
  struct Finish {
    uint32_t choice = 0;
    std::string reason;
  };

  std::string type, object, model, id, service_tier, conversation_id, previous_response_id, status,
      incomplete_reason, done_reason, block_reason, role, request_id, model_name, instance, stop_type, speed,
      geo;
  std::string error_type, error_code, error_message, top_code, top_message;
  UsageNumbers usage;
  std::optional<double> cost_usd;
  ReplyTexts texts;
  std::vector<Finish> finishes;
  std::vector<std::pair<uint32_t, uint32_t>> choice_indices;  // position -> index
  std::vector<Tool> tools;
  std::vector<Item> items;
  std::vector<Part> parts;
  std::vector<Detail> details;
  uint64_t predicted_tokens = 0;
  std::optional<uint64_t> embedded_tokens;
  uint32_t images = 0;
  std::optional<double> seconds;
  bool repeats = false;  // has one of the texts that may repeat others
  bool refused = false, interrupted = false;
  bool json_rpc = false, tool_failed = false;  // MCP
  bool batch_line = false;                     // one result of a batch
  bool output = false, meta_info = false, tgi_token = false, token_special = false, generated_text = false,
       text_output = false, llama_stop = false;
  bool error = false, done = false, has_done = false, choices = false, candidates = false,
       usage_metadata = false, embedding = false, created_at = false, message = false, bedrock_output = false;
  bool ended = false;
  // llama.cpp says why it stopped in its last event only, "none" before.
  bool stop_seen() const { return !stop_type.empty() && stop_type != "none"; }
  void clear();
};

class RecordListener {
 public:
  virtual ~RecordListener() = default;
  virtual void on_record_begin() = 0;
  virtual void on_record_end() = 0;
};

class RecordReader final : public JsonHandler {
 public:
  explicit RecordReader(size_t max_string_bytes) : scanner_(reply_paths(), *this, max_string_bytes) {}

  // For another reply: forgets everything.
  void begin(RecordListener& listener);
  void feed(std::string_view bytes) { scanner_.feed(bytes); }
  // As feed(), of a whole document of less than 64 KiB; spans() are then its spans.
  void feed_whole(std::string_view bytes);
  void finish() { scanner_.finish(); }
  bool malformed() const { return scanner_.malformed(); }
  ReplyRecord& record() { return record_; }
  const ReplyRecord& record() const { return record_; }
  uint64_t records() const { return records_; }  // begun
  const std::vector<JsonSpan>& spans() const { return spans_; }

 private:
  void on_json_string(uint16_t field, const JsonPlace&, std::string_view value, bool cut) override;
  void on_json_number(uint16_t field, const JsonPlace&, const JsonNumber&) override;
  void on_json_bool(uint16_t field, const JsonPlace&, bool) override;
  void on_json_text(uint16_t field, const JsonPlace&, const JsonText&) override;
  void on_json_open(uint16_t field, const JsonPlace&) override;
  void on_json_record_begin() override;
  void on_json_record_end() override;
  ReplyRecord::Tool& tool_at(const JsonPlace&);
  ReplyRecord::Item& item_at(const JsonPlace&);
  ReplyRecord::Part& part_at(const JsonPlace&);
  ReplyRecord::Detail& detail_at(const JsonPlace&, bool output, bool write);
  void take_details();

  RecordListener* listener_ = nullptr;
  ReplyRecord record_;
  uint64_t records_ = 0;
  JsonScanner scanner_;
  std::vector<JsonSpan> spans_;
};

// Readers that no reply has at the moment.
class RecordPool {
 public:
  explicit RecordPool(size_t max_string_bytes) : max_string_bytes_(max_string_bytes) {}
  std::unique_ptr<RecordReader> take(RecordListener& listener);
  void give(std::unique_ptr<RecordReader> reader);

 private:
  size_t max_string_bytes_;
  std::vector<std::unique_ptr<RecordReader>> free_;
};

}  // namespace llmtap
