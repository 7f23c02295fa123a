// SPDX-License-Identifier: Apache-2.0
// The scanner delivers the same values however its input is split. The first byte seeds the cuts.
#include <cstdlib>
#include <string>

#include "llm/json_scanner.h"

namespace {

using namespace llmtap;

const JsonPaths& paths() {
  static constexpr JsonRule kRules[] = {
      {"a", 0},
      {"a", 1, JsonWant::kOpen},
      {"a.b", 2},
      {"a[]", 3},
      {"a[].b[].a", 4, JsonWant::kText},
      {"b", 5, JsonWant::kText},
      {"b.a[].b", 6},
      {"ab", 7},
  };
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
    seen += std::to_string(t.characters) + "/" + std::to_string(t.bytes) + "/" + std::to_string(t.hash) + "|";
    if (t.characters > t.bytes || t.wide > t.characters) std::abort();
  }
  void on_json_open(uint16_t f, const JsonPlace& at) override { place(f, at); }
  void on_json_record_begin() override { seen += '<'; }
  void on_json_record_end() override { seen += '>'; }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  uint32_t seed = data[0];
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  Recorder whole, split;
  JsonScanner one(paths(), whole, 16);
  one.feed(input);
  const JsonState state = one.finish();
  JsonScanner many(paths(), split, 16);
  for (size_t at = 0; at < input.size();) {
    seed = seed * 1664525 + 1013904223;
    const size_t n = std::min<size_t>(input.size() - at, 1 + (seed >> 28));
    const std::string piece(input.substr(at, n));
    many.feed(piece);
    at += n;
  }
  if (many.finish() != state || whole.seen != split.seen) std::abort();
  return 0;
}
