// SPDX-License-Identifier: Apache-2.0
#include "protocols/http1/framing.h"

#include <algorithm>
#include <cstring>

#include "base/ascii.h"

namespace llmtap::http1 {
namespace {

// Chunk extensions have no bound in the standard; nothing sends long ones.
constexpr uint64_t kMaxChunkLineBytes = 16 * 1024;

}  // namespace

Framing::Framing(Side side, CodecContext& context, FramingListener& listener)
    : side_(side), context_(context), listener_(listener) {
  if (context.mid_connection) state_ = State::kHunt;
}

void Framing::enter(State state) {
  if (state_ == State::kHead || state_ == State::kHunt) {
    head_.reset();
    hunted_ = false;
  }
  state_ = state;
  line_bytes_ = 0;
  chunk_size_ = 0;
  size_ended_ = false;
  saw_cr_ = false;
}

void Framing::skip(uint64_t bytes) { context_.resync_bytes += bytes; }

void Framing::lose(Defect defect, uint64_t time_ns) {
  if (state_ == State::kStopped) return;
  context_.counters->resyncs++;
  if (defect == Defect::kParseError) context_.counters->parse_errors++;
  enter(State::kHunt);
  at_candidate_ = false;
  lost_by_ = defect;
  listener_.on_lost(side_, defect, time_ns);
}

void Framing::end_body(uint64_t time_ns) {
  enter(State::kHead);
  listener_.on_body_end(side_, time_ns);
}

void Framing::end_of_input(uint64_t time_ns) {
  if (state_ == State::kUntilClose) end_body(time_ns);
}

void Framing::feed(std::span<const uint8_t> bytes, uint64_t time_ns) {
  // A message begins with a call of its own nearly always: in a hunt every chunk may begin with a head.
  at_candidate_ = true;
  while (!bytes.empty()) {
    size_t used = bytes.size();
    switch (state_) {
      case State::kHead: used = feed_head(bytes, time_ns); break;
      case State::kHunt: used = feed_hunt(bytes, time_ns); break;
      case State::kFixed:
      case State::kChunkData:
        used = static_cast<size_t>(std::min<uint64_t>(left_, bytes.size()));
        left_ -= used;
        listener_.on_body_bytes(side_, bytes.first(used), time_ns);
        if (left_ != 0) break;
        if (state_ == State::kFixed)
          end_body(time_ns);
        else if (state_ == State::kChunkData)
          enter(State::kChunkEnd);
        break;
      case State::kChunkSize: used = feed_chunk_size(bytes, time_ns); break;
      case State::kChunkEnd: used = feed_chunk_end(bytes, time_ns); break;
      case State::kTrailers: used = feed_trailers(bytes, time_ns); break;
      case State::kUntilClose: listener_.on_body_bytes(side_, bytes, time_ns); break;
      case State::kStopped:
        if (context_.handover)
          context_.handover->unread[static_cast<size_t>(side_)].append(
              reinterpret_cast<const char*>(bytes.data()), bytes.size());
        else
          context_.upgraded_bytes += bytes.size();
        break;
    }
    bytes = bytes.subspan(used);
  }
}

size_t Framing::feed_head(std::span<const uint8_t> bytes, uint64_t time_ns) {
  if (head_.empty()) head_start_ns_ = time_ns;
  const bool had_line = head_.first_line().has_value();
  // Up to the first line end only, so that what is no start line costs no more than that line.
  const void* lf = had_line ? nullptr : std::memchr(bytes.data(), '\n', bytes.size());
  const std::span<const uint8_t> part =
      lf ? bytes.first(static_cast<size_t>(static_cast<const uint8_t*>(lf) - bytes.data()) + 1) : bytes;
  const size_t used = head_.feed(part, context_.limits->head_bytes);
  const auto line = head_.first_line();
  if (!had_line && line && !(side_ == Side::kRequest ? is_request_line(*line) : is_status_line(*line))) {
    if (hunted_) {
      skip(line->size());
      enter(State::kHunt);
    } else {
      lose(Defect::kParseError, time_ns);
    }
    at_candidate_ = true;
    return used;
  }
  if (head_.done()) finish_head(time_ns);
  return used;
}

void Framing::finish_head(uint64_t time_ns) {
  const HeadInfo info{hunted_, head_.oversized(), head_start_ns_, time_ns};
  if (info.oversized) context_.counters->oversized_heads++;
  std::string text = std::move(head_.text());
  std::optional<Head> head = parse_head(text, side_, context_.limits->header_fields);
  // A candidate must be a head through and through; bodies quote single lines.
  if (info.hunted && (!head || head->malformed)) {
    skip(text.size());
    enter(State::kHunt);
    return;
  }
  if (!head) return lose(Defect::kParseError, time_ns);
  if (head->malformed || info.oversized) context_.counters->parse_errors++;
  enter(State::kHead);
  const BodyPlan plan = listener_.on_head(side_, *head, info);
  if (state_ != State::kHead) return;  // the listener stopped or lost this side
  switch (plan.kind) {
    case BodyPlan::Kind::kNone: break;
    case BodyPlan::Kind::kEmpty: end_body(time_ns); break;
    case BodyPlan::Kind::kFixed:
      left_ = plan.length;
      if (left_ == 0)
        end_body(time_ns);
      else
        state_ = State::kFixed;
      break;
    case BodyPlan::Kind::kChunked: state_ = State::kChunkSize; break;
    case BodyPlan::Kind::kUntilClose: state_ = State::kUntilClose; break;
    case BodyPlan::Kind::kUnframed:
      context_.counters->resyncs++;
      enter(State::kHunt);
      listener_.on_lost(side_, Defect::kParseError, time_ns);
      break;
    case BodyPlan::Kind::kRefused:
      skip(text.size());
      enter(State::kHunt);
      break;
    case BodyPlan::Kind::kStop: enter(State::kStopped); break;
  }
}

size_t Framing::feed_hunt(std::span<const uint8_t> bytes, uint64_t time_ns) {
  const auto matches = side_ == Side::kRequest ? match_request_start : match_response_start;
  std::string& begun = head_.text();  // of a candidate that reached the end of a chunk
  size_t used = 0;
  while (!begun.empty() && used < bytes.size()) {
    begun.push_back(static_cast<char>(bytes[used++]));
    const Match match = matches(begun);
    if (match == Match::kMore) continue;
    const std::string prefix = std::exchange(begun, {});
    if (match == Match::kYes) {
      enter(State::kHead);
      hunted_ = true;
      head_.feed({reinterpret_cast<const uint8_t*>(prefix.data()), prefix.size()},
                 context_.limits->head_bytes);
      return used;
    }
    skip(prefix.size() - used);
    used = 0;  // the chunk's own begin is a candidate too
  }
  const size_t begin = used;
  while (used < bytes.size() && begun.empty()) {
    if (at_candidate_) {
      at_candidate_ = false;
      const std::string_view rest(reinterpret_cast<const char*>(bytes.data() + used), bytes.size() - used);
      const Match match = matches(rest);
      if (match == Match::kYes) {
        skip(used - begin);
        enter(State::kHead);
        hunted_ = true;
        head_start_ns_ = time_ns;
        return used;
      }
      if (match == Match::kMore) {
        skip(used - begin);
        head_start_ns_ = time_ns;
        begun.assign(rest);
        return bytes.size();
      }
    }
    const void* lf = std::memchr(bytes.data() + used, '\n', bytes.size() - used);
    used = lf ? static_cast<size_t>(static_cast<const uint8_t*>(lf) - bytes.data()) + 1 : bytes.size();
    at_candidate_ = lf != nullptr;
  }
  if (begun.empty()) skip(used - begin);
  return used;
}

size_t Framing::feed_chunk_size(std::span<const uint8_t> bytes, uint64_t time_ns) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    const uint8_t c = bytes[i];
    if (c == '\n') {
      if (line_bytes_ == 0) {
        lose(Defect::kParseError, time_ns);
        return i + 1;
      }
      const uint64_t size = chunk_size_;
      enter(size == 0 ? State::kTrailers : State::kChunkData);
      left_ = size;
      return i + 1;
    }
    bool bad = ++line_bytes_ > kMaxChunkLineBytes;
    if (!size_ended_) {
      const int digit = hex_value(static_cast<char>(c));
      if (digit >= 0) {
        bad |= chunk_size_ > INT64_MAX >> 4;
        chunk_size_ = chunk_size_ << 4 | static_cast<uint64_t>(digit);
      } else {
        bad |= line_bytes_ == 1 || !(c == ';' || c == ' ' || c == '\t' || c == '\r');
        size_ended_ = true;
      }
    }
    if (bad) {
      lose(Defect::kParseError, time_ns);
      return i + 1;
    }
  }
  return bytes.size();
}

// The line end behind a chunk's data.
size_t Framing::feed_chunk_end(std::span<const uint8_t> bytes, uint64_t time_ns) {
  if (bytes[0] == '\n') {
    enter(State::kChunkSize);
  } else if (bytes[0] == '\r' && !saw_cr_) {
    saw_cr_ = true;
  } else {
    lose(Defect::kParseError, time_ns);
  }
  return 1;
}

// Fields behind the last chunk: skipped, up to an empty line.
size_t Framing::feed_trailers(std::span<const uint8_t> bytes, uint64_t time_ns) {
  size_t used = 0;
  while (used < bytes.size()) {
    const void* lf = std::memchr(bytes.data() + used, '\n', bytes.size() - used);
    const size_t end =
        lf ? static_cast<size_t>(static_cast<const uint8_t*>(lf) - bytes.data()) : bytes.size();
    if (end > used) saw_cr_ = line_bytes_ == 0 && end == used + 1 && bytes[used] == '\r';
    line_bytes_ += end - used;
    used = lf ? end + 1 : end;
    if (!lf) break;
    const bool empty = line_bytes_ == 0 || (line_bytes_ == 1 && saw_cr_);
    line_bytes_ = 0;
    saw_cr_ = false;
    if (empty) {
      end_body(time_ns);
      break;
    }
  }
  return used;
}

void Framing::gap(uint64_t bytes, uint64_t time_ns) {
  switch (state_) {
    case State::kStopped: return;
    case State::kUntilClose: listener_.on_body_gap(side_, bytes, time_ns); return;
    case State::kFixed:
    case State::kChunkData: {
      if (bytes == 0) return lose(Defect::kLostSegment, time_ns);
      const uint64_t inside = std::min(bytes, left_);
      left_ -= inside;
      listener_.on_body_gap(side_, inside, time_ns);
      if (left_ != 0) return;
      if (state_ == State::kFixed) {
        end_body(time_ns);
        if (bytes > inside) lose(Defect::kLostSegment, time_ns);
      } else if (bytes == inside) {
        enter(State::kChunkEnd);
      } else {
        lose(Defect::kLostSegment, time_ns);
      }
      return;
    }
    case State::kHunt:
      skip(head_.text().size());
      head_.reset();
      return;
    default: lose(Defect::kLostSegment, time_ns);
  }
}

}  // namespace llmtap::http1
