// SPDX-License-Identifier: Apache-2.0
#include "llm/request_reader.h"

#include "llm/number_checks.h"

namespace llmtap {

void RequestReader::finish() {
  if (multipart_) {
    facts_.model = multipart_->model();
    if (multipart_->stream()) facts_.stream = true;
    facts_.has_media = true;
    return;
  }
  scanner_.finish();
  commit_message();
}

Dialect RequestReader::shape(bool anthropic_header) const {
  const RequestFacts& f = facts_;
  if (f.has_contents && f.has_parts) return Dialect::kGeminiGenerate;
  if (f.has_messages && f.has_roles) {
    if (f.has_inference_config) return Dialect::kBedrockConverse;
    // The conversation lies inside `input`.
    if (f.has_parameters && f.has_input && !f.model.empty()) return Dialect::kDashScope;
    if (f.has_anthropic_version || (f.max_tokens && (f.has_system || anthropic_header)))
      return Dialect::kAnthropicMessages;
    if (!f.model.empty()) return Dialect::kOpenAiChat;
  }
  if (f.has_input && !f.model.empty() && (f.has_instructions || !f.previous_response_id.empty()))
    return Dialect::kOpenAiResponses;
  // The names of the servers' own APIs are common words: together, or with a limit of tokens, they are proof.
  if (f.has_inputs && f.has_parameters && f.max_tokens) return Dialect::kTgi;
  if (f.has_plain_text && f.has_sampling) return Dialect::kSglang;
  if (f.has_text_input && f.has_parameters) return Dialect::kTriton;
  if (f.has_prompt && f.has_predict) return Dialect::kLlamaCpp;
  return Dialect::kNone;
}

bool RequestReader::confirms_known_path() const {
  const RequestFacts& f = facts_;
  const bool work = (f.has_messages && f.has_roles) || f.has_contents || f.has_input || f.has_prompt;
  return work && (!f.model.empty() || f.has_anthropic_version || f.has_contents);
}

void RequestReader::at_message(const JsonPlace& place) {
  const uint64_t message = place.levels > 0 ? uint64_t{place.at[0]} + 1 : 0;
  if (message == 0 || message == message_) return;
  commit_message();
  message_ = message;
  ++facts_.messages;
}

void RequestReader::commit_message() {
  if (message_hash_ != 0 && message_of_user_) facts_.fingerprint = message_hash_;
  message_ = 0;
  message_hash_ = 0;
  message_of_user_ = true;
}

void RequestReader::on_json_string(uint16_t field, const JsonPlace& place, std::string_view value, bool) {
  switch (static_cast<RequestField>(field)) {
    case RequestField::kModel: facts_.model = value; break;
    case RequestField::kServiceTier: facts_.service_tier = value; break;
    case RequestField::kPreviousResponse: facts_.previous_response_id = value; break;
    case RequestField::kConversation: facts_.conversation_id = value; break;
    case RequestField::kEndUser: facts_.end_user = value; break;
    case RequestField::kRole:
      at_message(place);
      facts_.has_roles = true;
      message_of_user_ = value == "user";
      break;
    case RequestField::kAnthropicVersion: facts_.has_anthropic_version = true; break;
    case RequestField::kImage: facts_.has_media = true; break;
    case RequestField::kImageSize: facts_.image_size = value; break;
    case RequestField::kImageQuality: facts_.image_quality = value; break;
    case RequestField::kQuery: facts_.has_input = true; break;
    case RequestField::kRpcVersion: facts_.json_rpc = value == "2.0"; break;
    case RequestField::kRpcMethod: facts_.rpc_method = value; break;
    case RequestField::kRpcTool: facts_.rpc_tool = value; break;
    default: break;
  }
}

void RequestReader::on_json_number(uint16_t field, const JsonPlace&, const JsonNumber& number) {
  switch (static_cast<RequestField>(field)) {
    case RequestField::kMaxTokens:
      if (const auto count = as_count(number)) facts_.max_tokens = count;
      break;
    case RequestField::kChoiceCount:
      if (const auto count = as_count(number)) facts_.choice_count = count;
      break;
    case RequestField::kPredict:
      facts_.has_predict = true;
      if (const auto count = as_count(number)) facts_.max_tokens = count;
      break;
    case RequestField::kTemperature: facts_.temperature = number.value; break;
    case RequestField::kTopP: facts_.top_p = number.value; break;
    default: break;
  }
}

void RequestReader::on_json_bool(uint16_t field, const JsonPlace&, bool value) {
  if (static_cast<RequestField>(field) == RequestField::kStream) facts_.stream = value;
  if (static_cast<RequestField>(field) == RequestField::kIncremental) facts_.incremental = value;
  if (static_cast<RequestField>(field) == RequestField::kGenerate) facts_.generate = value;
}

void RequestReader::on_json_text(uint16_t field, const JsonPlace& place, const JsonText& text) {
  const bool add_text = text.complete;
  switch (static_cast<RequestField>(field)) {
    case RequestField::kMessageText:
      at_message(place);
      if (text.bytes > 0 && add_text) message_hash_ = text.hash;
      break;
    case RequestField::kInputsText:
    case RequestField::kTextInput:
    case RequestField::kPlainText:
      facts_.has_inputs |= static_cast<RequestField>(field) == RequestField::kInputsText;
      facts_.has_text_input |= static_cast<RequestField>(field) == RequestField::kTextInput;
      facts_.has_plain_text |= static_cast<RequestField>(field) == RequestField::kPlainText;
      if (text.bytes > 0 && add_text) facts_.fingerprint = text.hash;
      break;
    case RequestField::kPromptText:
      if (place.levels == 0) {
        facts_.has_input = facts_.has_prompt = true;
        ++facts_.messages;
      }
      if (text.bytes > 0 && add_text) facts_.fingerprint = text.hash;
      break;
    case RequestField::kInstructions: facts_.has_instructions = true; break;
    case RequestField::kSystemText: facts_.has_system = true; break;
    default: break;
  }
  facts_.characters += text.characters;
  facts_.wide += text.wide;
}

void RequestReader::on_json_open(uint16_t field, const JsonPlace&) {
  switch (static_cast<RequestField>(field)) {
    case RequestField::kMessages: facts_.has_messages = true; break;
    case RequestField::kContents: facts_.has_contents = true; break;
    case RequestField::kParts: facts_.has_parts = true; break;
    case RequestField::kInput: facts_.has_input = true; break;
    case RequestField::kPrompt: facts_.has_prompt = true; break;
    case RequestField::kSystem: facts_.has_system = true; break;
    case RequestField::kImage: facts_.has_media = true; break;
    case RequestField::kInferenceConfig: facts_.has_inference_config = true; break;
    case RequestField::kParameters: facts_.has_parameters = true; break;
    case RequestField::kSamplingParams: facts_.has_sampling = true; break;
    case RequestField::kInputIds: facts_.has_plain_text = true; break;
    default: break;
  }
}

}  // namespace llmtap
