// SPDX-License-Identifier: Apache-2.0
// The payload of a `chunk` event: {"bytes":"<base64>","p":"…"}, where the bytes are the vendor's own
// JSON. Pushed in pieces; decodes the string of the top-level name "bytes" and drops the rest.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>

namespace llmtap {

class ChunkBytes {
 public:
  void begin() { *this = ChunkBytes(); }
  // `output` gets decoded pieces. False: no JSON object, or no base64; nothing more may be fed.
  bool feed(std::span<const uint8_t> bytes, const std::function<void(std::span<const uint8_t>)>& output);
  // The object ended.
  bool whole() const { return state_ == State::kEnd; }

 private:
  enum class State : uint8_t {
    kStart,
    kName,  // before a name, or the object's end
    kNameString,
    kColon,
    kValue,
    kBase64,
    kString,  // of a value that nobody asks for
    kScalar,
    kNested,
    kNestedString,
    kEnd,
  };
  bool read(uint8_t c);
  bool base64(uint8_t c);
  bool end_base64();
  void flush(const std::function<void(std::span<const uint8_t>)>& output);

  State state_ = State::kStart;
  bool escaped_ = false;
  uint8_t name_matched_ = 0;  // bytes of the name that are those of "bytes"; kNoMatch: another name
  uint32_t depth_ = 0;        // inside a nested value
  uint32_t quad_ = 0;
  uint8_t sextets_ = 0, padding_ = 0;
  std::array<uint8_t, 512> out_{};
  size_t out_bytes_ = 0;
};

}  // namespace llmtap
