// SPDX-License-Identifier: Apache-2.0
#include "protocols/websocket/message_peek.h"

#include <algorithm>
#include <utility>

#include "base/ascii.h"

namespace llmtap::websocket {
namespace {

bool is_space(uint8_t c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

struct Name {
  std::string_view camel, snake;  // protobuf's JSON has both spellings
  bool MessagePeek::* flag;
};
constexpr Name kNames[] = {
    {"setup", "setup", &MessagePeek::setup},
    {"setupComplete", "setup_complete", &MessagePeek::setup_complete},
    {"clientContent", "client_content", &MessagePeek::client_content},
    {"realtimeInput", "realtime_input", &MessagePeek::realtime_input},
    {"toolResponse", "tool_response", &MessagePeek::tool_response},
    {"serverContent", "server_content", &MessagePeek::server_content},
    {"toolCall", "tool_call", &MessagePeek::tool_call},
    {"usageMetadata", "usage_metadata", &MessagePeek::usage_metadata},
};

}  // namespace

void MessagePeek::name_ended() {
  names_[depth_ - 1] = text_;
  if (depth_ == 1)
    for (const Name& name : kNames)
      if (text_ == name.camel || text_ == name.snake) this->*name.flag = true;
  if (depth_ != 2) return;
  if (names_[0] == "serverContent" || names_[0] == "server_content")
    generated |= text_ == "modelTurn" || text_ == "model_turn" || text_ == "outputTranscription" ||
                 text_ == "output_transcription";
  if (names_[0] == "realtimeInput" || names_[0] == "realtime_input") realtime_text |= text_ == "text";
}

// Realtime's sessions, and as they were in the beta.
bool MessagePeek::names_transcription_model() const {
  if (depth_ == 3) return names_[1] == "input_audio_transcription" && names_[2] == "model";
  return depth_ == 5 && names_[1] == "audio" && names_[2] == "input" && names_[3] == "transcription" &&
         names_[4] == "model";
}

void MessagePeek::string_ended() {
  const auto keep_first = [this](std::string& value) {
    if (value.empty()) value = text_;
  };
  if (depth_ == 1) {
    told_ = names_[0] == "type" || names_[0] == "response_id";
    if (names_[0] == "type") keep_first(type);
    if (names_[0] == "response_id") keep_first(response_id);
    if (names_[0] == "stream_id") keep_first(stream_id);
    if (names_[0] == "model" && !session_model) model = text_;
    if (names_[0] == "event_id") keep_first(event_id);
    if (names_[0] == "item_id") keep_first(item_id);
  } else if (depth_ == 2) {
    told_ = names_[0] == "response" && names_[1] == "id";
    if (told_) keep_first(response_id);
    if (names_[0] == "error" && names_[1] == "event_id") keep_first(fault_id);
    if (names_[1] == "model" && (names_[0] == "session" || names_[0] == "setup")) {
      session_model = true;
      model = text_;
    }
  } else if (names_transcription_model()) {
    transcription_model = text_;
  }
}

void MessagePeek::scalar_ended() {
  if (depth_ == 1 && names_[0] == "status" && text_.size() == 3)
    if (const auto value = parse_integer<int>(text_)) status = *value;
  if (depth_ == 2 && text_ == "true" && (names_[1] == "turnComplete" || names_[1] == "turn_complete"))
    turn_complete = true;
}

void MessagePeek::structural(uint8_t c) {
  if (is_space(c) || c == ',' || c == ':') return;
  if (c == '"') {
    text_.clear();
    escaped_ = false;
    // Inside an array every string is a value; nothing below one is asked for.
    state_ = state_ == State::kValue || arrays_from_ != 0 ? State::kString : State::kNameString;
  } else if (c == '{' || c == '[') {
    ++depth_;
    if (arrays_from_ == 0 && (c == '[' || depth_ > deepest())) arrays_from_ = depth_;
    state_ = State::kName;
  } else if (c == '}' || c == ']') {
    if (arrays_from_ == depth_) arrays_from_ = 0;
    state_ = State::kName;
    if (--depth_ == 0) {
      ended = true;
      state_ = State::kOther;
    }
  } else {
    text_.assign(1, static_cast<char>(c));
    state_ = State::kScalar;
  }
}

size_t MessagePeek::feed(std::span<const uint8_t> bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    const uint8_t c = bytes[i];
    switch (state_) {
      case State::kStart:
        if (is_space(c)) break;
        is_object = c == '{';
        state_ = is_object ? State::kName : State::kOther;
        depth_ = 1;
        break;
      case State::kNameString:
      case State::kString:
        if (escaped_) {
          escaped_ = false;
        } else if (c == '\\') {
          escaped_ = true;
        } else if (c == '"') {
          if (asked()) state_ == State::kNameString ? name_ended() : string_ended();
          state_ = state_ == State::kNameString ? State::kColon : State::kName;
          if (std::exchange(told_, false)) return i + 1;
          break;
        } else {
          const auto rest = bytes.subspan(i);
          const auto stop = std::ranges::find_if(rest, [](uint8_t b) { return b == '"' || b == '\\'; });
          const auto run = rest.first(static_cast<size_t>(stop - rest.begin()));
          if (asked()) {
            const auto kept = run.first(std::min(run.size(), kMaxBytes - text_.size()));
            text_.append(kept.begin(), kept.end());
          }
          i += run.size() - 1;
          break;
        }
        if (asked() && text_.size() < kMaxBytes) text_.push_back(static_cast<char>(c));
        break;
      case State::kColon:
        if (c == ':') state_ = State::kValue;
        break;
      case State::kScalar:
        if (c != ',' && c != '}' && c != ']' && !is_space(c)) {
          if (text_.size() < kMaxBytes) text_.push_back(static_cast<char>(c));
          break;
        }
        if (asked()) scalar_ended();
        state_ = State::kName;
        structural(c);
        break;
      case State::kName:
      case State::kValue: structural(c); break;
      case State::kOther: return bytes.size();
    }
  }
  return bytes.size();
}

}  // namespace llmtap::websocket
