// SPDX-License-Identifier: Apache-2.0
#include "llm/reply_reader.h"

#include <algorithm>

#include "llm/number_checks.h"

namespace llmtap {
namespace {

// Entries of one record; a reply with more choices or calls in one object is not read further.
constexpr size_t kMaxPending = 128;
// Keys of tool calls that tell a repeated one from a new one.
constexpr size_t kMaxToolsSeen = 1024;

uint32_t level(const JsonPlace& place, size_t i) {
  return place.levels > i && i < JsonPlace::kLevels ? place.at[i] : 0;
}

uint64_t text_hash(std::string_view text) {
  TextHash hash;
  hash.add(text.data(), text.size());
  return hash.value();
}

std::string number_text(const JsonNumber& number) {
  return number.integer ? std::to_string(number.whole) : std::string();
}

template <typename Entry>
Entry& find_or_add(std::vector<Entry>& entries, auto&& same, const Entry& fresh) {
  if (!entries.empty() && same(entries.back())) return entries.back();
  for (Entry& entry : entries)
    if (same(entry)) return entry;
  if (entries.size() < kMaxPending) entries.push_back(fresh);
  return entries.back();
}

}  // namespace

ReplyReader::ReplyReader(const Limits& limits)
    : max_tool_names_(limits.tool_calls_per_call),
      max_finish_reasons_(limits.finish_reasons_per_call),
      scanner_(reply_paths(), *this, limits.json_string_bytes) {}

void ReplyReader::Record::clear() {
  for (std::string* text : {&type, &object, &model, &id, &service_tier, &conversation_id,
                            &previous_response_id, &status, &incomplete_reason, &done_reason, &block_reason,
                            &role, &error_type, &error_code, &error_message, &top_code, &top_message})
    text->clear();
  usage.clear();
  cost_usd.reset();
  content = choice_text = reasoning = tool_text = delta = {};
  finishes.clear();
  choice_indices.clear();
  tools.clear();
  items.clear();
  parts.clear();
  error = done = has_done = choices = candidates = usage_metadata = embedding = created_at = message =
      bedrock_output = ended = false;
}

void ReplyReader::feed_body(std::string_view bytes, uint64_t time_ns) {
  now_ns_ = time_ns;
  scanner_.feed(bytes);
}

void ReplyReader::feed_event(std::string_view bytes) {
  in_event_ = true;
  for (size_t i = 0; i < bytes.size() && event_prefix_bytes_ < event_prefix_.size(); ++i)
    event_prefix_[event_prefix_bytes_++] = bytes[i];
  event_bytes_ += bytes.size();
  scanner_.feed(bytes);
}

void ReplyReader::end_event(std::string_view name, uint64_t time_ns, bool complete) {
  const std::string_view prefix(event_prefix_.data(), event_prefix_bytes_);
  const bool done = prefix.starts_with("[DONE]");
  const bool empty = event_bytes_ == 0;
  scanner_.finish();
  if (complete && done) facts_.terminal = true;
  if (complete && !done && !empty) {
    const bool readable = record_open_ && record_.ended;
    if (!readable) record_.clear();
    apply(name, time_ns, true);
  }
  record_open_ = in_event_ = false;
  event_prefix_bytes_ = 0;
  event_bytes_ = 0;
  scanner_.reset();
}

void ReplyReader::finish() {
  scanner_.finish();
  if (in_event_) return;  // an event without its end is discarded
  if (record_open_ && !record_.ended) apply({}, record_ns_, false);
  record_open_ = false;
}

void ReplyReader::on_json_record_begin() {
  record_.clear();
  record_open_ = true;
  record_ns_ = now_ns_;
}

void ReplyReader::on_json_record_end() {
  record_.ended = true;
  if (in_event_) return;
  apply({}, record_ns_, body_is_stream_);
  record_open_ = false;
}

Dialect ReplyReader::record_shape() const {
  if (!record_open_) return Dialect::kNone;
  const Record& r = record_;
  const std::string_view object = r.object;
  if (object.starts_with("chat.completion")) return Dialect::kOpenAiChat;
  if (object == "text_completion") return Dialect::kOpenAiCompletions;
  if (object == "response" || r.type.starts_with("response.")) return Dialect::kOpenAiResponses;
  if (object == "list" && r.embedding) return Dialect::kOpenAiEmbeddings;
  if (r.type == "message_start" || (r.type == "message" && r.role == "assistant"))
    return Dialect::kAnthropicMessages;
  if (r.candidates || (r.usage_metadata && r.usage.has(Usage::kGeminiPrompt)))
    return Dialect::kGeminiGenerate;
  if (r.created_at && r.has_done) return r.message ? Dialect::kOllamaChat : Dialect::kOllamaGenerate;
  if (r.bedrock_output) return Dialect::kBedrockConverse;
  if (r.choices && !r.id.empty() && !r.model.empty()) return Dialect::kOpenAiChat;
  return Dialect::kNone;
}

void ReplyReader::apply(std::string_view event_name, uint64_t time_ns, bool chunk) {
  Record& r = record_;
  ++facts_.records;
  if (facts_.shape == Dialect::kNone) facts_.shape = record_shape();
  // A type in the JSON beats the event's name; some servers send only one of them.
  const std::string_view type = !r.type.empty() ? std::string_view(r.type) : event_name;
  const auto take = [](std::string& to, const std::string& from) {
    if (!from.empty()) to = from;
  };
  take(facts_.model, r.model);
  take(facts_.service_tier, r.service_tier);
  take(facts_.conversation_id, r.conversation_id);
  take(facts_.previous_response_id, r.previous_response_id);
  // Items and parts of the Responses API have ids beside the response's own.
  if (facts_.id.empty() || facts_.shape != Dialect::kOpenAiResponses || r.id.starts_with("resp_"))
    take(facts_.id, r.id);
  if (facts_.shape == Dialect::kOpenAiResponses) {
    take(facts_.status, r.status);
    take(facts_.incomplete_reason, r.incomplete_reason);
  }
  facts_.usage.overwrite(r.usage);
  if (type == "message_delta" && r.usage.has(Usage::kOutput)) facts_.usage_is_final = true;
  if (r.cost_usd) facts_.cost_usd = r.cost_usd;
  if (!r.block_reason.empty()) facts_.prompt_blocked = true;

  apply_delta_kind(type);
  apply_finishes();
  const uint32_t tools_before = facts_.tool_calls;
  apply_tools();
  apply_errors(type);

  if (r.content.characters == 0) r.content = r.choice_text;
  for (const Part& part : r.parts)
    (part.thought ? r.reasoning : r.content).add(part.text.characters, part.text.wide);
  facts_.content.add(r.content.characters, r.content.wide);
  facts_.reasoning.add(r.reasoning.characters, r.reasoning.wide);
  facts_.tool_text.add(r.tool_text.characters, r.tool_text.wide);

  // Events that end a stream as [DONE] does: they bear no tokens and are not counted as chunks.
  const bool terminator = type == "message_stop" || type == "response.completed" ||
                          type == "response.incomplete" || type == "response.failed";
  if (terminator || type == "message-end" || r.object == "chat.completion.done" || r.done)
    facts_.terminal = true;
  if (chunk && !terminator) apply_chunk(time_ns, facts_.tool_calls > tools_before);
}

// Responses events: the kind of the generated text is in the event's type.
void ReplyReader::apply_delta_kind(std::string_view type) {
  Record& r = record_;
  if (r.delta.characters == 0 || !type.ends_with(".delta")) return;
  const auto has = [&](std::string_view word) { return type.find(word) != std::string_view::npos; };
  TextCount& kind = has("reasoning")                                           ? r.reasoning
                    : has("arguments") || has("tool_call") || has("call_code") ? r.tool_text
                                                                               : r.content;
  kind.add(r.delta.characters, r.delta.wide);
}

uint32_t ReplyReader::choice_index(uint32_t position) const {
  for (const auto& [at, index] : record_.choice_indices)
    if (at == position) return index;
  return position;
}

void ReplyReader::apply_finishes() {
  Record& r = record_;
  if (r.done) r.finishes.push_back({0, r.done_reason.empty() ? "stop" : r.done_reason});
  for (Finish& finish : r.finishes) {
    if (finish.reason.empty() || finish.reason == "null") continue;
    const size_t index = choice_index(finish.choice);
    facts_.finish_seen = true;
    if (index >= max_finish_reasons_) continue;
    if (facts_.finish_reasons.size() <= index) facts_.finish_reasons.resize(index + 1);
    facts_.finish_reasons[index] = std::move(finish.reason);
  }
}

void ReplyReader::count_tool(const std::string& name, uint64_t key) {
  if (key != 0) {
    if (std::ranges::find(tools_seen_, key) != tools_seen_.end()) return;
    if (tools_seen_.size() < kMaxToolsSeen) tools_seen_.push_back(key);
  }
  ++facts_.tool_calls;
  if (!name.empty() && facts_.tool_names.size() < max_tool_names_) facts_.tool_names.push_back(name);
}

void ReplyReader::apply_tools() {
  for (const Tool& tool : record_.tools) {
    if (tool.name.empty()) continue;
    uint64_t key = tool.id_hash;
    // Without an id, a delta that repeats its name is told from a new call by its index; a call
    // without either is whole in its record.
    if (key == 0 && tool.index)
      key = ((uint64_t{choice_index(tool.choice)} << 32) | (*tool.index & 0xffffffff)) + 1;
    count_tool(tool.name, key);
  }
  // What the caller has to run; what the provider runs itself is no tool call of the program.
  static constexpr std::string_view kToolItems[] = {"tool_use",        "function_call",    "custom_tool_call",
                                                    "computer_call",   "local_shell_call", "shell_call",
                                                    "apply_patch_call"};
  for (const Item& item : record_.items)
    if (std::ranges::find(kToolItems, item.type) != std::end(kToolItems))
      count_tool(item.name.empty() ? item.type : item.name, item.id_hash);
}

void ReplyReader::apply_errors(std::string_view type) {
  Record& r = record_;
  const bool flat = type == "error";
  if (!r.error && !flat && r.top_message.empty() && r.top_code.empty()) return;
  if (r.error || flat) facts_.error = true;
  const auto first = [](const std::string& a, const std::string& b) -> const std::string& {
    return a.empty() ? b : a;
  };
  const std::string& code = first(r.error_code, r.top_code);
  const std::string& message = first(r.error_message, r.top_message);
  if (!r.error_type.empty()) facts_.error_type = r.error_type;
  if (!code.empty()) facts_.error_code = code;
  if (!message.empty()) facts_.error_message = message;
}

void ReplyReader::apply_chunk(uint64_t time_ns, bool tool_named) {
  const Record& r = record_;
  ++facts_.stream_chunks;
  const bool content = r.content.characters > 0, reasoning = r.reasoning.characters > 0;
  const bool tool = r.tool_text.characters > 0 || tool_named;
  if (!content && !reasoning && !tool) return;
  ++facts_.content_chunks;
  const auto first = [time_ns](uint64_t& mark) {
    if (mark == 0) mark = time_ns;
  };
  if (content) first(facts_.first_content_ns);
  if (reasoning) first(facts_.first_reasoning_ns);
  if (tool) first(facts_.first_tool_ns);
  if (facts_.last_token_ns != 0 && time_ns >= facts_.last_token_ns) {
    const double gap = static_cast<double>(time_ns - facts_.last_token_ns) * 1e-9;
    const auto bucket = std::ranges::lower_bound(kInterTokenBuckets, gap) - kInterTokenBuckets.begin();
    ++facts_.gaps.counts[static_cast<size_t>(bucket)];
    ++facts_.gaps.total;
    facts_.gaps.sum_seconds += gap;
    facts_.gaps.max_seconds = std::max(facts_.gaps.max_seconds, gap);
  }
  facts_.last_token_ns = time_ns;
}

ReplyReader::Tool& ReplyReader::tool_at(const JsonPlace& place) {
  const uint32_t choice = level(place, 0), position = level(place, 1);
  return find_or_add(
      record_.tools, [&](const Tool& t) { return t.choice == choice && t.position == position; },
      Tool{.choice = choice, .position = position});
}

ReplyReader::Item& ReplyReader::item_at(const JsonPlace& place) {
  const uint32_t position = level(place, 0);
  return find_or_add(
      record_.items, [&](const Item& i) { return i.position == position; }, Item{.position = position});
}

ReplyReader::Part& ReplyReader::part_at(const JsonPlace& place) {
  const uint32_t choice = level(place, 0), position = level(place, 1);
  return find_or_add(
      record_.parts, [&](const Part& p) { return p.choice == choice && p.position == position; },
      Part{.choice = choice, .position = position});
}

void ReplyReader::on_json_string(uint16_t field, const JsonPlace& place, std::string_view value, bool) {
  Record& r = record_;
  switch (static_cast<ReplyField>(field)) {
    case ReplyField::kModel: r.model = value; break;
    case ReplyField::kId: r.id = value; break;
    case ReplyField::kObject: r.object = value; break;
    case ReplyField::kType: r.type = value; break;
    case ReplyField::kRole: r.role = value; break;
    case ReplyField::kCreatedAt: r.created_at = true; break;
    case ReplyField::kServiceTier: r.service_tier = value; break;
    case ReplyField::kConversation: r.conversation_id = value; break;
    case ReplyField::kPreviousResponse: r.previous_response_id = value; break;
    case ReplyField::kStatus: r.status = value; break;
    case ReplyField::kIncompleteReason: r.incomplete_reason = value; break;
    case ReplyField::kDoneReason: r.done_reason = value; break;
    case ReplyField::kBlockReason: r.block_reason = value; break;
    case ReplyField::kFinish:
      if (r.finishes.size() < kMaxPending) r.finishes.push_back({level(place, 0), std::string(value)});
      break;
    case ReplyField::kToolName:
      if (!value.empty()) tool_at(place).name = value;
      break;
    case ReplyField::kToolId:
      if (!value.empty()) tool_at(place).id_hash = text_hash(value);
      break;
    case ReplyField::kItemType: item_at(place).type = value; break;
    case ReplyField::kItemName: item_at(place).name = value; break;
    case ReplyField::kItemId: item_at(place).id_hash = text_hash(value); break;
    case ReplyField::kEmbedding: r.embedding = true; break;
    case ReplyField::kErrorText:
      r.error = true;
      r.error_message = value;
      break;
    case ReplyField::kErrorType: r.error_type = value; break;
    case ReplyField::kErrorCode: r.error_code = value; break;
    case ReplyField::kErrorMessage: r.error_message = value; break;
    case ReplyField::kErrorDetailCode: r.error_code = value; break;
    case ReplyField::kTopCode: r.top_code = value; break;
    case ReplyField::kTopMessage: r.top_message = value; break;
    default: break;
  }
}

void ReplyReader::on_json_number(uint16_t field, const JsonPlace& place, const JsonNumber& number) {
  Record& r = record_;
  if (field < kUsageFields) {
    if (const auto count = as_count(number)) r.usage.set(static_cast<Usage>(field), *count);
    return;
  }
  switch (static_cast<ReplyField>(field)) {
    case ReplyField::kCost:
      if (number.value >= 0) r.cost_usd = number.value;
      break;
    case ReplyField::kCostTicks:
      if (number.value >= 0) r.cost_usd = number.value * 1e-10;  // xAI: 1 tick is 1e-10 USD
      break;
    case ReplyField::kChoiceIndex:
      if (const auto index = as_count(number); index && r.choice_indices.size() < kMaxPending)
        r.choice_indices.emplace_back(level(place, 0),
                                      static_cast<uint32_t>(std::min<uint64_t>(*index, UINT32_MAX)));
      break;
    case ReplyField::kToolIndex:
      if (const auto index = as_count(number)) tool_at(place).index = index;
      break;
    case ReplyField::kErrorCode: r.error_code = number_text(number); break;
    case ReplyField::kTopCode: r.top_code = number_text(number); break;
    default: break;
  }
}

void ReplyReader::on_json_bool(uint16_t field, const JsonPlace& place, bool value) {
  switch (static_cast<ReplyField>(field)) {
    case ReplyField::kDone:
      record_.has_done = true;
      record_.done = value;
      break;
    case ReplyField::kPartThought: part_at(place).thought = value; break;
    default: break;
  }
}

void ReplyReader::on_json_text(uint16_t field, const JsonPlace& place, const JsonText& text) {
  Record& r = record_;
  switch (static_cast<ReplyField>(field)) {
    case ReplyField::kContent: r.content.add(text.characters, text.wide); break;
    case ReplyField::kChoiceText: r.choice_text.add(text.characters, text.wide); break;
    case ReplyField::kReasoning: r.reasoning.add(text.characters, text.wide); break;
    case ReplyField::kToolText: r.tool_text.add(text.characters, text.wide); break;
    case ReplyField::kDeltaString: r.delta.add(text.characters, text.wide); break;
    case ReplyField::kPartText: part_at(place).text.add(text.characters, text.wide); break;
    default: break;
  }
}

void ReplyReader::on_json_open(uint16_t field, const JsonPlace&) {
  Record& r = record_;
  switch (static_cast<ReplyField>(field)) {
    case ReplyField::kChoices: r.choices = true; break;
    case ReplyField::kCandidates: r.candidates = true; break;
    case ReplyField::kUsageMetadata: r.usage_metadata = true; break;
    case ReplyField::kEmbedding: r.embedding = true; break;
    case ReplyField::kMessageOpen: r.message = true; break;
    case ReplyField::kBedrockOutput: r.bedrock_output = true; break;
    case ReplyField::kErrorOpen: r.error = true; break;
    default: break;
  }
}

}  // namespace llmtap
