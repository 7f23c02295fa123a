// SPDX-License-Identifier: Apache-2.0
// What a message of an LLM API's WebSocket is: the few values near its top that say where a response
// begins and ends. Pushed in pieces, any split; keeps these values alone.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace llmtap::websocket {

class MessagePeek {
 public:
  void begin() { *this = MessagePeek(); }
  // The bytes read: all, or fewer when the type or a response's id has become known with the last of them.
  size_t feed(std::span<const uint8_t> bytes);

  std::string type;         // "type"
  std::string event_id;     // of this message
  std::string fault_id;     // of an error: of the client's message that is at fault
  std::string response_id;  // "response_id", "response.id"
  std::string item_id;      // Realtime: of the conversation's item that the message is about
  std::string stream_id;    // the lane of a Responses WebSocket that carries several conversations
  std::string model;        // "session.model" (Realtime), "setup.model" (Gemini Live), "model"
  bool session_model = false;
  std::string transcription_model;  // of what is said: below "session"
  // Gemini Live has no type: the name says it.
  bool setup = false, setup_complete = false, client_content = false, realtime_input = false,
       tool_response = false, server_content = false, tool_call = false, usage_metadata = false;
  bool realtime_text = false;  // realtimeInput.text
  bool generated = false;      // serverContent has something that the model made
  bool turn_complete = false;
  int status = 0;  // of an error: what HTTP would have said
  bool is_object = false;
  bool ended = false;  // the object is whole
  // Something said what this message is.
  bool known() const {
    return !type.empty() || setup || setup_complete || client_content || realtime_input || tool_response ||
           server_content || tool_call || usage_metadata;
  }

 private:
  enum class State : uint8_t { kStart, kName, kNameString, kColon, kValue, kString, kScalar, kOther };
  static constexpr size_t kMaxBytes = 128;
  void structural(uint8_t c);
  void name_ended();
  void string_ended();
  void scalar_ended();
  bool told_ = false;  // the type or an id, by the last byte
  // session.audio.input.transcription.model lies deepest of all.
  uint32_t deepest() const { return names_[0] == "session" ? 5 : 2; }
  bool asked() const { return arrays_from_ == 0 && depth_ <= deepest(); }
  bool names_transcription_model() const;

  State state_ = State::kStart;
  bool escaped_ = false;
  uint32_t depth_ = 0;                // open containers
  uint32_t arrays_from_ = 0;          // the depth from which on nothing is asked for; 0: none
  std::array<std::string, 5> names_;  // of the values that are open, by depth
  std::string text_;                  // the name, or the value asked for
};

}  // namespace llmtap::websocket
