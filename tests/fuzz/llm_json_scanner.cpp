// SPDX-License-Identifier: Apache-2.0
// The first byte seeds the cuts. Oracle: the scanner delivers the same values however its input is split;
// of a document that nlohmann::json accepts, those that its events have at our paths.
#include <charconv>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "base/check.h"
#include "llm/json_scanner.h"

namespace {

using namespace llmtap;

constexpr size_t kMaxString = 16, kMaxScalar = 64;

constexpr JsonRule kRules[] = {
    {"a", 0},
    {"a", 1, JsonWant::kOpen},
    {"a.b", 2},
    {"a[]", 3},
    {"a[].b[].a", 4, JsonWant::kText},
    {"b", 5, JsonWant::kText},
    {"b.a[].b", 6},
    {"ab", 7},
};

const JsonPaths& paths() {
  static const JsonPaths compiled(kRules);
  return compiled;
}

struct Recorder final : JsonHandler {
  std::string seen;
  void place(uint16_t field, const JsonPlace& at) {
    seen += std::to_string(field) + ":";
    for (size_t i = 0; i < at.levels && i < JsonPlace::kLevels; ++i) seen += std::to_string(at.at[i]) + ".";
  }
  void on_json_string(uint16_t f, const JsonPlace& at, std::string_view v, bool cut) override {
    place(f, at);
    seen.append(v);
    seen += cut ? '+' : '|';
  }
  void on_json_number(uint16_t f, const JsonPlace& at, const JsonNumber& n) override {
    place(f, at);
    seen += std::to_string(n.value) + "|";
  }
  void on_json_bool(uint16_t f, const JsonPlace& at, bool v) override {
    place(f, at);
    seen += v ? 'T' : 'F';
  }
  void on_json_null(uint16_t f, const JsonPlace& at) override { place(f, at); }
  void on_json_text(uint16_t f, const JsonPlace& at, const JsonText& t) override {
    place(f, at);
    seen += std::to_string(t.characters) + "/" + std::to_string(t.bytes) + "/" + std::to_string(t.wide) +
            "/" + std::to_string(t.hash) + "|";
    if (t.characters > t.bytes || t.wide > t.characters) std::abort();
  }
  void on_json_open(uint16_t f, const JsonPlace& at) override { place(f, at); }
  void on_json_record_begin() override { seen += '<'; }
  void on_json_record_end() override { seen += '>'; }
};

// The same from nlohmann's events: every value knows its path as text, and is compared with each rule's.
class Reference final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Reference(Recorder& to) : to_(to) {}

  bool null() override {
    begin();
    if (const JsonRule* rule = find(false)) to_.on_json_null(rule->field, place());
    return true;
  }
  bool boolean(bool value) override {
    begin();
    if (const JsonRule* rule = find(false)) to_.on_json_bool(rule->field, place(), value);
    return true;
  }
  bool number_integer(number_integer_t value) override { return number(static_cast<double>(value)); }
  bool number_unsigned(number_unsigned_t value) override { return number(static_cast<double>(value)); }
  bool number_float(number_float_t value, const string_t& written) override {
    double read = 0;
    const auto result = std::from_chars(written.data(), written.data() + written.size(), read);
    // Too long, or too small to be a double other than 0: ours drops it.
    if (written.size() > kMaxScalar || result.ec != std::errc{}) {
      begin();
      return true;
    }
    return number(value);
  }
  bool string(string_t& value) override {
    begin();
    const JsonRule* rule = find(false);
    if (!rule) return true;
    if (rule->want == JsonWant::kText) {
      text(*rule, value);
    } else if (value.size() <= kMaxString) {
      to_.on_json_string(rule->field, place(), value, false);
    } else {
      value.resize(kMaxString);
      bool whole = false;
      while (!whole && !value.empty() && (value.back() & 0x80) != 0) {
        whole = (value.back() & 0xc0) == 0xc0;
        value.pop_back();
      }
      to_.on_json_string(rule->field, place(), value, true);
    }
    return true;
  }
  bool start_object(std::size_t) override { return start(false); }
  bool start_array(std::size_t) override { return start(true); }
  bool end_object() override { return end(); }
  bool end_array() override { return end(); }
  bool key(string_t& name) override {
    levels_.back().name = name;
    return true;
  }
  bool binary(binary_t&) override { return true; }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
    return false;
  }

 private:
  struct Level {
    bool array = false, record = false, top = false;
    uint32_t next = 0, index = 0;
    std::string name;
  };

  // A value begins: the next element, if it is one.
  void begin() {
    if (!levels_.empty() && levels_.back().array) levels_.back().index = levels_.back().next++;
  }
  bool number(double value) {
    begin();
    if (const JsonRule* rule = find(false)) to_.on_json_number(rule->field, place(), {value, 0, false});
    return true;
  }
  bool start(bool array) {
    begin();
    const bool top = levels_.empty() && array;
    const bool record = !array && (levels_.empty() || (levels_.size() == 1 && levels_[0].top));
    if (record) to_.on_json_record_begin();
    if (const JsonRule* rule = find(true)) to_.on_json_open(rule->field, place());
    levels_.push_back({array, record, top, 0, 0, {}});
    return true;
  }
  bool end() {
    if (levels_.back().record) to_.on_json_record_end();
    levels_.pop_back();
    return true;
  }
  std::string path() const {
    std::string path;
    for (const Level& level : levels_) {
      if (level.top) continue;
      // A name that has these in it is none of ours.
      if (level.name.find_first_of(".[]") != std::string::npos || (!level.array && level.name.empty()))
        return "?";
      path += level.array ? "[]" : (path.empty() ? "" : ".") + level.name;
    }
    return path;
  }
  const JsonRule* find(bool open) const {
    const std::string here = path();
    for (const JsonRule& rule : kRules)
      if ((rule.want == JsonWant::kOpen) == open && rule.path == here) return &rule;
    return nullptr;
  }
  JsonPlace place() const {
    JsonPlace place;
    for (const Level& level : levels_)
      if (level.array && !level.top) place.at[place.levels++] = level.index;
    return place;
  }
  void text(const JsonRule& rule, const std::string& value) {
    JsonText text;
    TextHash hash;
    hash.add(value.data(), value.size());
    text.bytes = value.size();
    for (const char c : value) {
      const auto byte = static_cast<unsigned char>(c);
      text.characters += (byte & 0xc0) != 0x80;
      text.wide += byte >= 0xe0;
    }
    text.hash = hash.value();
    to_.on_json_text(rule.field, place(), text);
  }

  Recorder& to_;
  std::vector<Level> levels_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  uint32_t seed = data[0];
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  Recorder whole, split;
  JsonScanner one(paths(), whole, kMaxString);
  one.feed(input);
  const JsonState state = one.finish();
  JsonScanner many(paths(), split, kMaxString);
  for (size_t at = 0; at < input.size();) {
    seed = seed * 1664525 + 1013904223;
    const size_t n = std::min<size_t>(input.size() - at, 1 + (seed >> 28));
    const std::string piece(input.substr(at, n));
    many.feed(piece);
    at += n;
  }
  LLMTAP_CHECK(many.finish() == state && whole.seen == split.seen);

  // To nlohmann a NUL is the end of its input.
  if (input.find('\0') != std::string_view::npos) return 0;
  Recorder want;
  Reference reference(want);
  if (!nlohmann::json::sax_parse(input, &reference)) return 0;
  if (want.seen != whole.seen || state != JsonState::kOk)
    std::fprintf(stderr, "--- nlohmann\n%s\n--- ours\n%s\n", want.seen.c_str(), whole.seen.c_str());
  LLMTAP_CHECK(state == JsonState::kOk && want.seen == whole.seen);
  return 0;
}
