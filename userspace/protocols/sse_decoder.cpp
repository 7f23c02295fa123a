// SPDX-License-Identifier: Apache-2.0
#include "protocols/sse_decoder.h"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace llmtap {
namespace {

bool begins(const uint8_t* p, const uint8_t* end, std::string_view name) {
  return static_cast<size_t>(end - p) >= name.size() && std::memcmp(p, name.data(), name.size()) == 0;
}

// Behind the line end at `p`; null if it is not certain where that is.
const uint8_t* next_line(const uint8_t* p, const uint8_t* end) {
  if (p == end) return nullptr;
  if (*p == '\n') return p + 1;
  if (p + 1 == end) return nullptr;
  return p[1] == '\n' ? p + 2 : p + 1;
}

constexpr uint8_t kBomBytes[3] = {0xef, 0xbb, 0xbf};
constexpr uint8_t kLineFeed = '\n';

}  // namespace

// Finds line ends of one buffer from front to back, each byte looked at once: a buffer of many CRs
// must not make the search for an LF quadratic.
class SseDecoder::LineEnds {
 public:
  LineEnds(const uint8_t* begin, const uint8_t* end)
      : end_(end), lf_(find(begin, '\n')), cr_(find(begin, '\r')) {}
  // The first CR or LF at or behind `from`; `end` if none.
  const uint8_t* next(const uint8_t* from) {
    if (lf_ < from) lf_ = find(from, '\n');
    if (cr_ < from) cr_ = find(from, '\r');
    return std::min(lf_, cr_);
  }

 private:
  const uint8_t* find(const uint8_t* from, char c) const {
    const void* found = from == end_ ? nullptr : std::memchr(from, c, static_cast<size_t>(end_ - from));
    return found ? static_cast<const uint8_t*>(found) : end_;
  }
  const uint8_t* end_;
  const uint8_t* lf_;
  const uint8_t* cr_;
};

// Nearly every event: at most its name, one line of data and the blank line, all in this buffer.
// Returns behind it; null if it is anything else.
const uint8_t* SseDecoder::whole_event(const uint8_t* p, const uint8_t* end, LineEnds& line_ends,
                                       uint64_t time_ns, EventOutput& out) const {
  static constexpr std::string_view kEvent = "event:", kData = "data:";
  LineEnds ahead = line_ends;
  const auto value = [](const uint8_t* from, const uint8_t* to) {
    if (from != to && *from == ' ') ++from;
    return std::span<const uint8_t>(from, to);
  };
  const uint8_t* line_end = ahead.next(p);
  std::string_view name;
  if (begins(p, line_end, kEvent)) {
    const auto text = value(p + kEvent.size(), line_end);
    if (text.size() > max_name_bytes_) return nullptr;
    name = {reinterpret_cast<const char*>(text.data()), text.size()};
    p = next_line(line_end, end);
    if (p == nullptr) return nullptr;
    line_end = ahead.next(p);
  }
  if (!begins(p, line_end, kData)) return nullptr;
  const auto data = value(p + kData.size(), line_end);
  p = next_line(line_end, end);
  if (p == nullptr || p == end || (*p != '\n' && *p != '\r')) return nullptr;
  p = next_line(p, end);
  if (p == nullptr) return nullptr;
  line_ends = ahead;
  out.whole(data, {name, time_ns, time_ns, data.size(), true});
  return p;
}

void SseDecoder::emit(std::span<const uint8_t> bytes, uint64_t time_ns, EventOutput& out) {
  if (bytes.empty()) return;
  data_bytes_ += bytes.size();
  out.data(bytes, time_ns);
}

void SseDecoder::begin_data(uint64_t time_ns, EventOutput& out) {
  if (has_data_) {
    emit({&kLineFeed, 1}, time_ns, out);
  } else {
    has_data_ = true;
    first_byte_ns_ = time_ns;
  }
}

// The field's name is whole: what becomes of its value.
void SseDecoder::begin_field(uint64_t time_ns, EventOutput& out) {
  const std::string_view name(name_, std::min<size_t>(name_bytes_, sizeof(name_)));
  state_ = State::kSkipLine;
  if (name == "data") {
    begin_data(time_ns, out);
    state_ = State::kData;
  } else if (name == "event") {
    event_name_.clear();
    state_ = State::kEventName;
  }
}

void SseDecoder::dispatch(bool complete, uint64_t time_ns, EventOutput& out) {
  if (has_data_) out.end({event_name_, time_ns, first_byte_ns_, data_bytes_, complete});
  has_data_ = false;
  data_bytes_ = 0;
  event_name_.clear();
}

void SseDecoder::end_line(uint64_t time_ns, EventOutput& out) {
  if (state_ == State::kHunt) {
    // The first line end behind a gap may close a line that the gap began: it proves nothing.
    if (line_empty_ && !hunt_first_line_) state_ = State::kFieldName;
    hunt_first_line_ = false;
    line_empty_ = true;
  } else {
    if (state_ == State::kFieldName && name_bytes_ == 0)
      dispatch(true, time_ns, out);
    else if (state_ == State::kFieldName)
      begin_field(time_ns, out);  // a name without colon: empty value
    state_ = State::kFieldName;
  }
  name_bytes_ = 0;
}

void SseDecoder::feed(std::span<const uint8_t> bytes, uint64_t time_ns, EventOutput& out) {
  const uint8_t* p = bytes.data();
  const uint8_t* const end = p + bytes.size();
  LineEnds ends(p, end);
  while (p != end) {
    if (skip_lf_) {
      skip_lf_ = false;
      if (*p == '\n') {
        ++p;
        continue;
      }
    }
    if (state_ == State::kBom) {
      if (*p == kBomBytes[name_bytes_]) {
        ++p;
        if (++name_bytes_ < sizeof(kBomBytes)) continue;
        name_bytes_ = 0;
      } else if (name_bytes_ != 0) {
        name_bytes_ = sizeof(name_);  // the name began with a part of the mark: no name that counts
      }
      state_ = State::kFieldName;
      continue;
    }
    if (state_ == State::kFieldName && name_bytes_ == 0 && !has_data_ && event_name_.empty()) {
      if (const uint8_t* const behind = whole_event(p, end, ends, time_ns, out)) {
        p = behind;
        continue;
      }
    }
    const uint8_t* const line_end = ends.next(p);
    switch (state_) {
      case State::kFieldName: {
        static constexpr std::string_view kData = "data:";
        if (name_bytes_ == 0 && static_cast<size_t>(line_end - p) >= kData.size() &&
            std::memcmp(p, kData.data(), kData.size()) == 0) {
          p += kData.size();
          begin_data(time_ns, out);
          state_ = State::kValueStart;
          name_[0] = 'd';
          name_bytes_ = 4;
          break;
        }
        while (p != line_end && *p != ':') {
          if (name_bytes_ < sizeof(name_)) name_[name_bytes_++] = static_cast<char>(*p);
          ++p;
        }
        if (p == line_end) break;
        ++p;
        begin_field(time_ns, out);  // a comment has the empty name
        if (state_ != State::kSkipLine) state_ = State::kValueStart;
        break;
      }
      case State::kValueStart:
        // One space behind the colon is no part of the value.
        if (p != line_end && *p == ' ') ++p;
        state_ = name_[0] == 'd' ? State::kData : State::kEventName;
        break;
      case State::kData:
        emit({p, line_end}, time_ns, out);
        p = line_end;
        break;
      case State::kEventName: {
        const size_t room = max_name_bytes_ - std::min(max_name_bytes_, event_name_.size());
        event_name_.append(reinterpret_cast<const char*>(p),
                           std::min<size_t>(room, static_cast<size_t>(line_end - p)));
        p = line_end;
        break;
      }
      case State::kSkipLine: p = line_end; break;
      case State::kHunt:
        if (p != line_end) line_empty_ = false;
        p = line_end;
        break;
      case State::kBom: break;
    }
    if (p != end && p == line_end) {
      skip_lf_ = *p == '\r';
      ++p;
      end_line(time_ns, out);
    }
  }
}

void SseDecoder::gap(uint64_t time_ns, EventOutput& out) {
  dispatch(false, time_ns, out);
  state_ = State::kHunt;
  hunt_first_line_ = true;
  line_empty_ = true;
  skip_lf_ = false;
}

void SseDecoder::finish(uint64_t time_ns, EventOutput& out) {
  if (state_ == State::kFieldName && name_bytes_ != 0) begin_field(time_ns, out);
  dispatch(false, time_ns, out);
}

}  // namespace llmtap
