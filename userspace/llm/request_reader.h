// SPDX-License-Identifier: Apache-2.0
// What a request's body says of a call, read as it flows.
#pragma once

#include <optional>
#include <string>

#include "llm/body_fields.h"
#include "llm/dialect.h"
#include "llm/multipart_fields.h"

namespace llmtap {

struct RequestFacts {
  std::string model, service_tier, previous_response_id, conversation_id, end_user;
  std::optional<bool> stream, generate;
  std::optional<uint64_t> max_tokens, choice_count;
  std::optional<double> temperature, top_p;
  std::string image_size, image_quality;
  std::string rpc_method, rpc_tool;
  uint64_t characters = 0, wide = 0;  // of all text parts
  uint64_t messages = 0;
  uint64_t fingerprint = 0;  // hash of the last user message's last text
  bool has_messages = false, has_roles = false, has_contents = false, has_parts = false, has_input = false,
       has_prompt = false, has_system = false, has_instructions = false, has_anthropic_version = false,
       has_media = false, has_inference_config = false, has_parameters = false, has_inputs = false,
       has_text_input = false, has_plain_text = false, has_sampling = false, has_predict = false,
       incremental = false, json_rpc = false;
};

class RequestReader final : public JsonHandler {
 public:
  explicit RequestReader(size_t max_string_bytes) : scanner_(request_paths(), *this, max_string_bytes) {}

  void feed(std::string_view bytes) {
    if (multipart_)
      multipart_->feed(bytes);
    else
      scanner_.feed(bytes);
  }
  // The body is a form, not JSON.
  void set_multipart() { multipart_.emplace(); }
  void finish();
  bool malformed() const { return scanner_.malformed(); }
  const RequestFacts& facts() const { return facts_; }

  // The dialect that the body's top-level names prove, kNone if they do not (yet).
  Dialect shape(bool anthropic_header) const;
  // On a path of the table less is needed: a model with something to run it on.
  bool confirms_known_path() const;
  // More may follow that proves it: a long conversation before the model's name.
  bool may_become_llm() const { return facts_.has_messages && facts_.has_roles; }

 private:
  void on_json_string(uint16_t field, const JsonPlace&, std::string_view value, bool cut) override;
  void on_json_number(uint16_t field, const JsonPlace&, const JsonNumber&) override;
  void on_json_bool(uint16_t field, const JsonPlace&, bool) override;
  void on_json_text(uint16_t field, const JsonPlace&, const JsonText&) override;
  void on_json_open(uint16_t field, const JsonPlace&) override;
  void on_json_record_end() override { commit_message(); }
  void at_message(const JsonPlace&);
  void commit_message();

  RequestFacts facts_;
  std::optional<MultipartFields> multipart_;
  // The message being read: the role may come after the text.
  uint64_t message_ = 0;  // position + 1; 0: none
  uint64_t message_hash_ = 0;
  bool message_of_user_ = true;
  JsonScanner scanner_;
};

}  // namespace llmtap
