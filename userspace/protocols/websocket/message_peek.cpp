// SPDX-License-Identifier: Apache-2.0
#include "protocols/websocket/message_peek.h"

namespace llmtap::websocket {
namespace {

bool is_space(uint8_t c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

}  // namespace

void MessagePeek::name_ended() {
  names_[depth_ - 1] = text_;
  if (depth_ != 1) return;
  // protobuf's JSON has both spellings.
  const auto is = [this](std::string_view camel, std::string_view snake) {
    return text_ == camel || text_ == snake;
  };
  if (text_ == "setup") setup = true;
  if (is("setupComplete", "setup_complete")) setup_complete = true;
  if (is("clientContent", "client_content")) client_content = true;
  if (is("realtimeInput", "realtime_input")) realtime_input = true;
  if (is("toolResponse", "tool_response")) tool_response = true;
  if (is("serverContent", "server_content")) server_content = true;
  if (is("toolCall", "tool_call")) tool_call = true;
  if (is("usageMetadata", "usage_metadata")) usage_metadata = true;
}

void MessagePeek::string_ended() {
  if (depth_ == 1 && names_[0] == "type" && type.empty()) type = text_;
  if (depth_ == 2 && names_[1] == "model" && (names_[0] == "session" || names_[0] == "setup"))
    session_model = text_;
}

void MessagePeek::scalar_ended() {
  if (depth_ == 2 && text_ == "true" && (names_[1] == "turnComplete" || names_[1] == "turn_complete"))
    turn_complete = true;
}

void MessagePeek::feed(std::span<const uint8_t> bytes) {
  for (const uint8_t c : bytes) {
    const bool asked = arrays_from_ == 0 && depth_ <= 2;
    switch (state_) {
      case State::kStart:
        if (is_space(c)) break;
        is_object = c == '{';
        state_ = is_object ? State::kName : State::kOther;
        depth_ = 1;
        break;
      case State::kNameString:
      case State::kString:
        if (c == '"' && !escaped_) {
          if (asked && state_ == State::kNameString) name_ended();
          if (asked && state_ == State::kString) string_ended();
          state_ = state_ == State::kNameString ? State::kColon : State::kName;
          break;
        }
        escaped_ = c == '\\' && !escaped_;
        if (asked && text_.size() < kMaxBytes) text_.push_back(static_cast<char>(c));
        break;
      case State::kColon:
        if (c == ':') state_ = State::kValue;
        break;
      case State::kScalar:
        if (c != ',' && c != '}' && c != ']' && !is_space(c)) {
          if (text_.size() < kMaxBytes) text_.push_back(static_cast<char>(c));
          break;
        }
        if (asked) scalar_ended();
        state_ = State::kName;
        [[fallthrough]];
      case State::kName:
      case State::kValue: {
        // Inside an array every string is a value; nothing below one is asked for.
        const bool in_array = arrays_from_ != 0;
        if (is_space(c) || c == ',' || c == ':') break;
        if (c == '"') {
          text_.clear();
          escaped_ = false;
          state_ = state_ == State::kValue || in_array ? State::kString : State::kNameString;
        } else if (c == '{' || c == '[') {
          ++depth_;
          if (arrays_from_ == 0 && (c == '[' || depth_ > 2)) arrays_from_ = depth_;
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
        break;
      }
      case State::kOther: return;
    }
  }
}

}  // namespace llmtap::websocket
