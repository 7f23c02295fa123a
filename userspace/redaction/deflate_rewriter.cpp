// SPDX-License-Identifier: Apache-2.0
#include "redaction/deflate_rewriter.h"

#include <zlib.h>

#include <algorithm>
#include <vector>

#include "base/check.h"
#include "redaction/shortest_deflate.h"

namespace llmtap {

struct DeflateRewriter::Attempt {
  int level = 9, strategy = Z_DEFAULT_STRATEGY;
  bool wide = false;   // three bits more than needed, in a block with codes of its own
  bool blank = false;  // one behind the text
  bool shortest = false;
};

namespace {

constexpr Limits kLimits;
constexpr size_t kWindowBytes = 32 * 1024;
constexpr size_t kTextBytes = 64 * 1024;     // compressed at once
constexpr size_t kPendingBytes = 64 * 1024;  // compressed and still without room
constexpr size_t kShortTextBytes = 2048;     // no longer one is worth the time of the shortest block
// RFC 1951 3.2.6. A block with fixed codes: its header, the end of the block.
constexpr uint32_t kFixedHeader = 2;
constexpr size_t kHeaderBits = 3, kEmptyBlockBits = 10;
constexpr uint32_t kEmptyStored = 0xffff0000;  // its length, and that inverted (3.2.4)
constexpr size_t kEmptyStoredBits = 32;

// Fills up to the header of a last block at the end of `bytes` bytes, before which less than a byte may stay.
// Blocks with fixed codes are of ten bits, a stored one goes on at a byte: not every length can be filled.
bool fill(BitQueue& bits, size_t bytes) {
  for (BitQueue trial = bits; trial.bits() + kHeaderBits <= bytes * 8;) {
    const size_t left = bytes * 8 - kHeaderBits - trial.bits();
    if (left % kEmptyBlockBits < 8) {
      for (size_t blocks = left / kEmptyBlockBits; blocks > 0; --blocks)
        trial.put(kFixedHeader, kEmptyBlockBits);
      bits = std::move(trial);
      return true;
    }
    trial.put(0, kHeaderBits);
    if (trial.bits() % 8 != 0) trial.put(0, 8 - trial.bits() % 8);
    trial.put(kEmptyStored, kEmptyStoredBits);
  }
  return false;
}

uint32_t bits_at(std::span<const uint8_t> bytes, size_t at, size_t count) {
  uint32_t value = 0;
  for (size_t i = 0; i < count; ++i, ++at) value |= (bytes[at / 8] >> (at % 8) & 1u) << i;
  return value;
}

// RFC 1951 3.2.7: of nineteen lengths of codes those at the end may be left out, or not.
void put_widened(std::span<const uint8_t> bytes, size_t bits, BitQueue& out) {
  constexpr uint32_t kOwnCodes = 2, kMostLengths = 19 - 4;
  constexpr size_t kCountAt = 13, kCountBits = 4, kLengthsAt = kCountAt + kCountBits, kLengthBits = 3;
  const bool own = bits > kLengthsAt && bits_at(bytes, 1, 2) == kOwnCodes;
  const uint32_t count = own ? bits_at(bytes, kCountAt, kCountBits) : kMostLengths;
  if (count == kMostLengths) return out.put(bytes, bits);
  const size_t lengths_end = kLengthsAt + (count + 4) * kLengthBits;
  const auto copy = [&](size_t at, size_t end) {
    for (; at < end; at += std::min<size_t>(8, end - at))
      out.put(bits_at(bytes, at, std::min<size_t>(8, end - at)), std::min<size_t>(8, end - at));
  };
  copy(0, kCountAt);
  out.put(count + 1, kCountBits);
  copy(kLengthsAt, lengths_end);
  out.put(0, kLengthBits);
  copy(lengths_end, bits);
}

}  // namespace

DeflateRewriter::DeflateRewriter(RecordingBudgets& budgets)
    : memory_(budgets.kept), inflater_(true, kLimits, budgets.inflaters) {}

void DeflateRewriter::begin_message() {
  redactor_.begin();
  text_.clear();
  bits_.clear();
  message_lost_ = false;
}

void DeflateRewriter::remember(std::string_view text) {
  window_.append(text.substr(text.size() - std::min(text.size(), kWindowBytes)));
  if (window_.size() > 2 * kWindowBytes) window_.erase(0, window_.size() - kWindowBytes);
}

void DeflateRewriter::text(std::span<const uint8_t> plain) {
  if (lost_) return;
  for (const uint8_t byte : plain) text_.push_back(static_cast<char>(redactor_.push(byte)));
  if (text_.size() >= kTextBytes) compress_now();
  if (bits_.bits() > most_bits_) lose();
}

// Blocks that are not the last, without the alignment that a flush would add.
void DeflateRewriter::compress(const Attempt& attempt, std::string_view text, BitQueue& out) const {
  if (attempt.shortest) return deflate_shortest(window_, text, out);
  z_stream stream{};
  LLMTAP_CHECK(deflateInit2(&stream, attempt.level, Z_DEFLATED, -15, 9, attempt.strategy) == Z_OK);
  const std::string_view window =
      std::string_view(window_).substr(window_.size() - std::min(window_.size(), kWindowBytes));
  if (!window.empty())
    deflateSetDictionary(&stream, reinterpret_cast<const Bytef*>(window.data()),
                         static_cast<uInt>(window.size()));
  std::vector<uint8_t> coded(deflateBound(&stream, text.size()) + 64);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = coded.data();
  stream.avail_out = static_cast<uInt>(coded.size());
  LLMTAP_CHECK(deflate(&stream, Z_BLOCK) == Z_OK && stream.avail_in == 0);
  unsigned bytes = 0;
  int bits = 0;
  deflatePending(&stream, &bytes, &bits);
  const size_t coded_bits = (stream.total_out + bytes) * 8 + static_cast<size_t>(bits);
  // The bits of a byte that is not full come with a flush.
  LLMTAP_CHECK(deflate(&stream, Z_SYNC_FLUSH) == Z_OK);
  deflateEnd(&stream);
  if (attempt.wide)
    put_widened(coded, coded_bits, out);
  else
    out.put(coded, coded_bits);
}

void DeflateRewriter::compress_now() {
  if (text_.empty()) return;
  compress({}, text_, bits_);
  remember(text_);
  text_.clear();
}

// The last piece of a message ends with the header of the stored block whose rest its receiver adds
// (RFC 7692 7.2.2), and fills its bytes.
bool DeflateRewriter::finish(std::span<uint8_t> piece) {
  static constexpr Attempt kAttempts[] = {{},
                                          {.wide = true},
                                          {.level = 6},
                                          {.level = 6, .wide = true},
                                          {.strategy = Z_FIXED},
                                          {.blank = true},
                                          {.strategy = Z_FIXED, .blank = true},
                                          {.level = 6, .blank = true},
                                          {.shortest = true},
                                          {.blank = true, .shortest = true}};
  for (const Attempt& attempt : kAttempts) {
    const std::string text = text_ + (attempt.blank ? " " : "");
    if (attempt.shortest && text.size() > kShortTextBytes) continue;
    BitQueue bits = bits_;
    if (!text.empty()) compress(attempt, text, bits);
    if (!fill(bits, piece.size())) continue;
    bits.take(piece);
    remember(text);
    text_.clear();
    return true;
  }
  return false;
}

// Numbers of events are long, random and of no use to a call.
bool DeflateRewriter::overwrite_event_id() {
  static constexpr std::string_view kKey = R"("event_id":)";
  const size_t key = text_.find(kKey);
  if (key == std::string::npos) return false;
  const size_t begin = text_.find_first_not_of(" \t\r\n", key + kKey.size());
  if (begin == std::string::npos || text_[begin] != '"') return false;
  const size_t end = text_.find('"', begin + 1);
  if (end == std::string::npos) return false;
  text_.replace(begin + 1, end - begin - 1, end - begin - 1, 'x');
  return true;
}

// Whether what it holds is within the budget.
bool DeflateRewriter::keep() {
  const size_t bytes = sizeof(*this) + text_.capacity() + window_.capacity() + bits_.kept_bytes();
  return memory_.resize(bytes) || lose();
}

bool DeflateRewriter::lose() {
  lost_ = true;
  inflater_.lose();
  std::string().swap(text_);
  std::string().swap(window_);
  bits_.clear();
  memory_.resize(0);
  return false;
}

bool DeflateRewriter::rewrite(std::span<uint8_t> piece, bool last, bool keeps_context) {
  if (lost_ || message_lost_) return false;
  const auto take = [this](std::span<const uint8_t> plain) { text(plain); };
  most_bits_ = (piece.size() + kPendingBytes) * 8;
  if (!inflater_.feed(piece, take) || (last && !inflater_.end_message(take)) || lost_) return lose();
  if (!last) {
    if (bits_.bits() < piece.size() * 8) compress_now();
    while (bits_.bits() < piece.size() * 8) bits_.put(kFixedHeader, kEmptyBlockBits);
    bits_.take(piece);
    return keep();
  }
  bool fits = finish(piece);
  if (!fits && overwrite_event_id()) fits = finish(piece);
  if (!fits) {
    if (keeps_context) return lose();
    message_lost_ = true;
  }
  if (!keeps_context) window_.clear();
  return keep() && fits;
}

}  // namespace llmtap
