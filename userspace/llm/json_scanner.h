// SPDX-License-Identifier: Apache-2.0
// Reads foreign JSON as it flows: pushed bytes, any split, only the paths asked for. Nothing is
// built, nothing is buffered but one short value; a 20 MB image costs the time to find its closing
// quote. What is not asked for is skipped without being validated.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "llm/text_hash.h"

namespace llmtap {

enum class JsonWant : uint8_t {
  kValue,  // strings (bounded), numbers, booleans, null
  kText,   // strings: only how long they are and their hash; the bytes are never kept
  kCount,  // strings: only how long they are
  kOpen,   // that an object or array begins here
};

// `path` as in "choices[].delta.content": names joined by dots, [] for the elements of an array. One
// path may have a kOpen rule beside another. A top-level array is transparent: its elements are the
// records that paths start from.
struct JsonRule {
  std::string_view path;
  uint16_t field = 0;
  JsonWant want = JsonWant::kValue;
};

// Rules compiled once per table; shared by all scanners of it.
class JsonPaths {
 public:
  static constexpr uint16_t kNone = 0xffff;
  static constexpr size_t kMaxDepth = 14;

  explicit JsonPaths(std::span<const JsonRule> rules);

  struct Node {
    uint16_t field = kNone;
    uint16_t open_field = kNone;
    JsonWant want = JsonWant::kValue;
    uint32_t element = 0;    // node of [] below; 0: none
    uint32_t slots = 0;      // first slot of the hash table of names below
    uint32_t slot_mask = 0;  // 0: no names below
    bool has_names() const { return slot_mask != 0; }
  };
  const Node* root() const { return &nodes_[0]; }
  const Node* element(const Node* node) const { return node->element ? &nodes_[node->element] : nullptr; }
  const Node* name(const Node* node, std::string_view name) const;

 private:
  struct Slot {
    std::string key;
    uint32_t node = 0;
  };
  std::vector<Node> nodes_;
  std::vector<Slot> slots_;
};

// A number as written: `integer` says whether `whole` is it.
struct JsonNumber {
  double value = 0;
  int64_t whole = 0;
  bool integer = false;
};

struct JsonText {
  uint64_t bytes = 0;       // decoded, UTF-8
  uint64_t characters = 0;  // code points
  uint64_t wide = 0;        // of these, beyond U+07FF: CJK and the like
  uint64_t hash = 0;        // of the decoded bytes; never 0, but for kCount
  bool complete = true;     // false: the input ended inside the string
};

// Positions in the arrays on the way to a value, outermost first; the top-level array is not one.
struct JsonPlace {
  static constexpr size_t kLevels = 4;
  std::array<uint32_t, kLevels> at{};
  uint8_t levels = 0;
};

class JsonHandler {
 public:
  virtual ~JsonHandler() = default;
  // `value` is valid during the call; longer than the bound: cut at a character, and `cut` is set.
  virtual void on_json_string(uint16_t field, const JsonPlace&, std::string_view value, bool cut) = 0;
  virtual void on_json_number(uint16_t field, const JsonPlace&, const JsonNumber&) = 0;
  virtual void on_json_bool(uint16_t field, const JsonPlace&, bool) = 0;
  virtual void on_json_null(uint16_t, const JsonPlace&) {}
  virtual void on_json_text(uint16_t field, const JsonPlace&, const JsonText&) = 0;
  virtual void on_json_open(uint16_t, const JsonPlace&) {}
  // A top-level object, or an object in a top-level array, begins and ends.
  virtual void on_json_record_begin() {}
  virtual void on_json_record_end() {}
};

// Where the values of a document lie that was fed whole; what lies below a skipped container is part
// of that. Strings without their quotes, containers without their opening bracket.
struct JsonSpan {
  enum class Kind : uint8_t {
    kSpace,
    kString,
    kText,
    kScalar,
    kSkippedString,
    kSkippedScalar,
    kSkippedContainer
  };
  uint16_t begin = 0, end = 0;
  uint16_t field = JsonPaths::kNone;
  Kind kind = Kind::kSpace;
};

enum class JsonState : uint8_t { kOk, kIncomplete, kMalformed };

class JsonScanner {
 public:
  JsonScanner(const JsonPaths& paths, JsonHandler& handler, size_t max_string_bytes)
      : paths_(&paths), handler_(&handler), max_string_(max_string_bytes) {}

  void feed(std::string_view bytes);
  // The input is over: delivers a number that only its end could end, and the length of a text that
  // was cut; never half a value. Call reset() to begin again.
  JsonState finish();
  void reset();
  // Notes the spans of the next feed(), which must be a whole document of less than 64 KiB; null: no more.
  void trace_into(std::vector<JsonSpan>* spans) { trace_ = spans; }
  bool malformed() const { return mode_ == Mode::kMalformed; }

 private:
  enum class Mode : uint8_t {
    kTop,
    kValue,
    kFirstElement,
    kFirstName,
    kName,
    kColon,
    kAfter,
    kString,
    kEscape,
    kHex,
    kScalar,
    kSkipScalar,
    kSkipContainer,
    kMalformed,
  };
  enum class Use : uint8_t { kName, kValue, kText, kCount, kSkip };
  struct Frame {
    const JsonPaths::Node* node;
    bool array;
    bool record;  // a record of its own: an object at the top, or in the top-level array
    bool top_array;
  };

  const char* structural(const char* p, const char* end);
  const char* begin_value(const char* p, const char* end);
  const char* begin_name(const char* p, const char* end);
  const char* string_bytes(const char* p, const char* end);
  const char* text_bytes(const char* p, const char* end);
  const char* escape_bytes(const char* p);
  const char* skip_container(const char* p, const char* end);
  void open(bool array);
  void close(bool array);
  void end_name(std::string_view name);
  void end_string();
  void end_scalar();
  void end_value();
  void emit(const char* bytes, size_t n);
  void emit_code_point(uint32_t code_point);
  void flush_surrogate();
  void deliver_text(bool complete);
  bool counts() const { return use_ == Use::kText || use_ == Use::kCount; }
  void note(JsonSpan::Kind kind, const char* begin, const char* end);
  void note_end(const char* end);
  void fail() { mode_ = Mode::kMalformed; }
  Frame& top() { return frames_[depth_ - 1]; }

  const JsonPaths* paths_;
  JsonHandler* handler_;
  size_t max_string_;
  std::array<Frame, JsonPaths::kMaxDepth + 2> frames_{};
  const JsonPaths::Node* node_ = nullptr;  // of the value that comes next; null: nobody asks
  uint64_t skip_depth_ = 0;
  JsonText text_;
  TextHash hash_;
  std::string value_;  // a name, string value or scalar that a split interrupted, or with escapes
  JsonPlace place_;
  uint8_t depth_ = 0;
  Mode mode_ = Mode::kTop;
  Use use_ = Use::kSkip;
  bool in_skipped_string_ = false, skipped_escape_ = false;  // inside a skipped container
  bool cut_ = false;
  uint8_t hex_digits_ = 0;
  uint16_t hex_ = 0;
  uint16_t high_surrogate_ = 0;
  std::vector<JsonSpan>* trace_ = nullptr;
  const char* trace_base_ = nullptr;
};

}  // namespace llmtap
