// SPDX-License-Identifier: Apache-2.0
#include "llm/reply_reader.h"

#include <algorithm>

#include "llm/batch_results.h"
#include "llm/event_shape.h"
#include "llm/reply_shape.h"

namespace llmtap {
namespace {

constexpr size_t kMaxErrorTypeBytes = 128;
// Keys of tool calls that tell a repeated one from a new one.
constexpr size_t kMaxToolsSeen = 1024;
// Shapes learned for nothing, one after the other: then only every so many events is tried again.
constexpr uint8_t kLearnedInVain = 8;
constexpr uint64_t kTryAgainEvery = 32;

// What the caller has to run; what the provider runs itself is no tool call of the program.
constexpr std::string_view kToolItems[] = {"tool_use",        "function_call",    "custom_tool_call",
                                           "computer_call",   "local_shell_call", "shell_call",
                                           "apply_patch_call"};

// Events that end a stream as [DONE] does: they bear no tokens and are not counted as chunks.
bool is_terminator(std::string_view type) {
  return type == "message_stop" || type == "response.completed" || type == "response.incomplete" ||
         type == "response.failed" || type == "response.done";
}

// Events that end a stream and bear what the whole of it amounts to.
bool is_last_event(std::string_view type) {
  return is_terminator(type) || type == "message-end" || type == "stream-end" || type == "chat.end" ||
         type == "interaction.completed" || type == "transcript.text.done" || type == "speech.audio.done" ||
         type == "image_generation.completed" || type == "image_edit.completed";
}

// Run by the provider and billed by the search.
constexpr std::string_view kSearchItem = "web_search_call";

// ConverseStream: the JSON does not say what it is, the message that carries it does.
bool is_converse_event(std::string_view name) {
  return name == "messageStart" || name == "contentBlockStart" || name == "contentBlockDelta" ||
         name == "contentBlockStop" || name == "messageStop";
}

bool is_reason(const std::string& finish) { return !finish.empty() && finish != "null"; }

// Responses events: the kind of the generated text is in the event's type.
TextCount ReplyTexts::* delta_kind(std::string_view type) {
  if (type.empty()) return &ReplyTexts::content;  // llama.cpp
  if (!type.ends_with(".delta")) return nullptr;
  const auto has = [&](std::string_view word) { return type.find(word) != std::string_view::npos; };
  if (has("audio") && !has("transcript")) return &ReplyTexts::audio;
  if (has("reasoning")) return &ReplyTexts::reasoning;
  return has("arguments") || has("tool_call") || has("call_code") ? &ReplyTexts::tool_text
                                                                  : &ReplyTexts::content;
}

// Numbers that a list by modality or time to live may say too.
bool is_modal_usage(const JsonSpan& span) {
  constexpr Usage kModal[] = {Usage::kInputAudio, Usage::kOutputAudio, Usage::kInputImage,
                              Usage::kOutputImage, Usage::kBedrockCacheWrite1h};
  return std::ranges::find(kModal, static_cast<Usage>(span.field)) != std::end(kModal) &&
         span.field < kUsageFields;
}

}  // namespace

struct ReplyReader::Learned {
  EventShape shape;
  std::string event_name;  // if the event's JSON has no type
  bool by_name = false;
  bool current = false;  // the last record applied had this shape
  bool matched = false;  // since it was learned
  uint8_t in_vain = 0;
  TextCount ReplyTexts::* delta = nullptr;
};

ReplyReader::ReplyReader(const Limits& limits, RecordPool& pool)
    : max_tool_names_(limits.tool_calls_per_call),
      max_finish_reasons_(limits.finish_reasons_per_call),
      pool_(pool) {}

ReplyReader::~ReplyReader() { release(); }

RecordReader& ReplyReader::reader() {
  if (!reader_) reader_ = pool_.take(*this);
  return *reader_;
}

void ReplyReader::release() {
  if (reader_) pool_.give(std::move(reader_));
  record_open_ = false;
}

void ReplyReader::feed_body(std::string_view bytes, uint64_t time_ns) {
  now_ns_ = time_ns;
  reader().feed(bytes);
}

void ReplyReader::add_to_event(std::string_view bytes) {
  in_event_ = true;
  for (size_t i = 0; i < bytes.size() && event_prefix_bytes_ < event_prefix_.size(); ++i)
    event_prefix_[event_prefix_bytes_++] = bytes[i];
  event_bytes_ += bytes.size();
}

void ReplyReader::feed_event(std::string_view bytes) {
  add_to_event(bytes);
  reader().feed(bytes);
}

void ReplyReader::end_event(std::string_view name, uint64_t time_ns, bool complete) {
  const std::string_view prefix(event_prefix_.data(), event_prefix_bytes_);
  const bool done = prefix.starts_with("[DONE]");
  const bool empty = event_bytes_ == 0;
  reader().finish();
  if (complete && done) facts_.terminal = true;
  if (complete && !done && !empty) {
    const bool readable = record_open_ && reader_->record().ended;
    if (!readable) reader_->record().clear();
    apply(name, time_ns, true);
  }
  in_event_ = false;
  event_prefix_bytes_ = 0;
  event_bytes_ = 0;
  release();
}

void ReplyReader::set_error(std::string_view type) {
  facts_.error = true;
  facts_.error_type = type.substr(0, kMaxErrorTypeBytes);
}

void ReplyReader::event(std::string_view data, std::string_view name, uint64_t time_ns, bool complete) {
  const bool whole = complete && !in_event_ && data.size() <= EventShape::kMaxBytes;
  if (whole && learned_ && learned_->current && (!learned_->by_name || learned_->event_name == name)) {
    EventShape::Values values;
    if (learned_->shape.match(data, values)) {
      learned_->matched = true;
      ++facts_.records;
      for (size_t i = 0; i < values.number_count; ++i)
        facts_.usage.set(values.numbers[i].first, values.numbers[i].second);
      apply_texts(values.texts, learned_->delta, time_ns, true, false);
      return;
    }
  }
  if (!whole || (learned_ && learned_->in_vain >= kLearnedInVain && facts_.records % kTryAgainEvery != 0)) {
    feed_event(data);
    end_event(name, time_ns, complete);
    return;
  }
  add_to_event(data);
  reader().feed_whole(data);
  const bool learned = learn(data, name);
  end_event(name, time_ns, complete);
  if (learned) learned_->current = true;
}

// Keeps the shape of the event just read, if applying its record again would change nothing but
// counts of records, chunks, characters and tokens.
bool ReplyReader::learn(std::string_view data, std::string_view name) {
  const ReplyRecord& r = reader_->record();
  if (!record_open_ || !r.ended || reader_->records() != 1 || reader_->malformed()) return false;
  const std::string_view type = !r.type.empty() ? std::string_view(r.type) : name;
  if (is_terminator(type) || type == "error" || r.error || r.done || !r.top_message.empty() ||
      !r.top_code.empty() || !r.items.empty() || r.repeats || r.images > 0 || r.batch_line || r.tool_failed ||
      r.interrupted || is_last_event(type))
    return false;
  for (const ReplyRecord::Finish& finish : r.finishes)
    if (is_reason(finish.reason)) return false;
  for (const ReplyRecord::Tool& tool : r.tools)
    if (!tool.name.empty()) return false;
  for (const ReplyRecord::Part& part : r.parts)
    if (part.thought != r.parts.front().thought) return false;
  const bool modal_counts = std::ranges::any_of(r.details, &ReplyRecord::Detail::counts);
  // Such a count beats the same one elsewhere in the event, whichever comes later.
  if (modal_counts && std::ranges::any_of(reader_->spans(), is_modal_usage)) return false;
  if (!learned_) learned_ = std::make_unique<Learned>();
  Learned& l = *learned_;
  l.in_vain = l.matched ? uint8_t{0} : static_cast<uint8_t>(std::min<int>(l.in_vain + 1, kLearnedInVain));
  l.matched = false;
  l.shape.learn(data, reader_->spans(),
                {.thought = !r.parts.empty() && r.parts.front().thought, .modal_counts = modal_counts});
  l.by_name = r.type.empty();
  if (l.by_name) l.event_name = name;
  l.delta = delta_kind(type);
  return true;
}

void ReplyReader::finish() {
  if (!reader_) return;
  reader_->finish();
  malformed_ = reader_->malformed();
  // An event without its end is discarded.
  if (!in_event_ && record_open_ && !reader_->record().ended) {
    // Of usage that adds up (cached beside input, thoughts beside answer) a part is a wrong number.
    ReplyRecord& cut = reader_->record();
    cut.usage.clear();
    cut.cost_usd.reset();
    cut.seconds.reset();
    apply({}, record_ns_, false);
  }
  release();
}

void ReplyReader::on_record_begin() {
  record_open_ = true;
  record_ns_ = now_ns_;
}

void ReplyReader::on_record_end() {
  if (in_event_) return;
  apply({}, record_ns_, body_is_stream_);
  record_open_ = false;
}

Dialect ReplyReader::record_shape() const {
  return record_open_ ? shape_of(reader_->record()) : Dialect::kNone;
}

void ReplyReader::apply(std::string_view event_name, uint64_t time_ns, bool chunk) {
  ReplyRecord& r = reader_->record();
  if (learned_) learned_->current = false;
  ++facts_.records;
  if (facts_.shape == Dialect::kNone) facts_.shape = record_shape();
  if (batch_ != nullptr && r.batch_line) {
    batch_->add(r);
    return;
  }
  facts_.tool_failed |= r.tool_failed;
  if (facts_.shape == Dialect::kNone && chunk && is_converse_event(event_name))
    facts_.shape = Dialect::kBedrockConverse;
  // A type in the JSON beats the event's name; some servers send only one of them.
  const std::string_view type = !r.type.empty() ? std::string_view(r.type) : event_name;
  const auto take = [](std::string& to, const std::string& from) {
    if (!from.empty()) to = from;
  };
  take(facts_.model, r.model);
  take(facts_.service_tier, r.service_tier);
  take(facts_.conversation_id, r.conversation_id);
  take(facts_.previous_response_id, r.previous_response_id);
  facts_.refused |= r.refused || type == "response.refusal.delta";
  facts_.interrupted |= r.interrupted;
  take(facts_.speed, r.speed);
  take(facts_.geo, r.geo);
  if (facts_.model.empty()) facts_.model = !r.model_name.empty() ? r.model_name : r.instance;
  if (facts_.id.empty() && facts_.shape == Dialect::kDashScope) facts_.id = r.request_id;
  // Items and parts of the Responses API have ids beside the response's own.
  if (facts_.id.empty() || facts_.shape != Dialect::kOpenAiResponses || r.id.starts_with("resp_"))
    take(facts_.id, r.id);
  if (facts_.shape == Dialect::kOpenAiResponses) {
    take(facts_.status, r.status);
    take(facts_.incomplete_reason, r.incomplete_reason);
  }
  facts_.usage.overwrite(r.usage);
  if (type == "message_delta" && r.usage.has(Usage::kOutput)) facts_.usage_is_final = true;
  if (r.seconds) facts_.seconds = r.seconds;
  if (type == "image_generation.completed" || type == "image_edit.completed")
    ++facts_.images;
  else
    facts_.images = std::max<uint64_t>(facts_.images, r.images);
  if (r.cost_usd) facts_.cost_usd = r.cost_usd;
  if (!r.block_reason.empty()) facts_.prompt_blocked = true;

  apply_finishes();
  const uint32_t tools_before = facts_.tool_calls;
  apply_tools();
  apply_errors(type);
  const bool terminator = is_terminator(type);
  if (is_last_event(type) || r.object == "chat.completion.done" || r.done || r.stop_seen() ||
      (type == "metadata" && facts_.shape == Dialect::kBedrockConverse))
    facts_.terminal = true;
  for (const ReplyRecord::Part& part : r.parts)
    (part.thought ? r.texts.part_reasoning : r.texts.part_content).add(part.text);
  if (r.repeats) take_new_text(r, type);
  apply_texts(r.texts, delta_kind(type), time_ns, chunk && !terminator, facts_.tool_calls > tools_before);
}

// What came since `seen`, of a text that is sent as a whole again and again. One that has become shorter
// is a piece after all.
TextCount ReplyReader::fresh(TextCount& seen, const TextCount& now) const {
  if (incremental_ || now.characters < seen.characters) {
    seen.add(now);
    return now;
  }
  const TextCount added{now.characters - seen.characters, now.wide - std::min(now.wide, seen.wide)};
  seen = now;
  return added;
}

// Which of the texts that servers repeat are new.
void ReplyReader::take_new_text(ReplyRecord& r, std::string_view type) {
  ReplyTexts& t = r.texts;
  if (t.so_far.characters > 0) t.content.add(fresh(content_seen_, t.so_far));
  if (t.reasoning_so_far.characters > 0) t.reasoning.add(fresh(reasoning_seen_, t.reasoning_so_far));
  if (r.meta_info)
    t.content.add(fresh(content_seen_, t.root));
  else if (!type.ends_with(".done") && type != "stream-end")
    t.content.add(t.root);
  if (!r.token_special) t.content.add(t.token);
  // TGI's last event has the whole text beside its token; only a plain reply has nothing but that.
  if (!r.tgi_token && facts_.content.characters == 0) t.content.add(t.generated);
}

void ReplyReader::apply_texts(ReplyTexts& texts, TextCount ReplyTexts::* delta, uint64_t time_ns, bool chunk,
                              bool tool_named) {
  if (delta != nullptr) (texts.*delta).add(texts.delta);
  if (texts.content.characters == 0) texts.content = texts.choice_text;
  texts.content.add(texts.part_content);
  texts.reasoning.add(texts.part_reasoning);
  facts_.content.add(texts.content);
  facts_.reasoning.add(texts.reasoning);
  facts_.tool_text.add(texts.tool_text);
  if (chunk) apply_chunk(texts, time_ns, tool_named);
}

uint32_t ReplyReader::choice_index(uint32_t position) const {
  for (const auto& [at, index] : reader_->record().choice_indices)
    if (at == position) return index;
  return position;
}

void ReplyReader::apply_finishes() {
  ReplyRecord& r = reader_->record();
  if (r.done) r.finishes.push_back({0, r.done_reason.empty() ? "stop" : r.done_reason});
  if (r.stop_seen()) r.finishes.push_back({0, r.stop_type});
  for (ReplyRecord::Finish& finish : r.finishes) {
    if (!is_reason(finish.reason)) continue;
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
  for (const ReplyRecord::Tool& tool : reader_->record().tools) {
    if (tool.name.empty()) continue;
    uint64_t key = tool.id_hash;
    // Without an id, a delta that repeats its name is told from a new call by its index; a call
    // without either is whole in its record.
    if (key == 0 && tool.index)
      key = ((uint64_t{choice_index(tool.choice)} << 32) | (*tool.index & 0xffffffff)) + 1;
    count_tool(tool.name, key);
  }
  for (const ReplyRecord::Item& item : reader_->record().items)
    if (std::ranges::find(kToolItems, item.type) != std::end(kToolItems)) {
      count_tool(item.name.empty() ? item.type : item.name, item.id_hash);
    } else if (item.type == kSearchItem && item.id_hash != 0 &&
               std::ranges::find(searches_seen_, item.id_hash) == searches_seen_.end() &&
               searches_seen_.size() < kMaxToolsSeen) {
      searches_seen_.push_back(item.id_hash);
      facts_.searches = searches_seen_.size();
    }
}

void ReplyReader::apply_errors(std::string_view type) {
  const ReplyRecord& r = reader_->record();
  // AWS frames and old vLLM servers put the error where other things are.
  const bool aws = type.ends_with("Exception");
  const bool flat = type == "error" || aws || r.object == "error";
  if (!r.error && !flat && r.top_message.empty() && r.top_code.empty()) return;
  if (r.error || flat) facts_.error = true;
  const auto first = [](const std::string& a, const std::string& b) -> const std::string& {
    return a.empty() ? b : a;
  };
  const std::string& code = first(r.error_code, r.top_code);
  const std::string& message = first(r.error_message, r.top_message);
  if (!r.error_type.empty())
    facts_.error_type = r.error_type;
  else if (aws || r.object == "error")
    facts_.error_type = type;
  if (!code.empty()) facts_.error_code = code;
  if (!message.empty()) facts_.error_message = message;
}

void ReplyReader::apply_chunk(const ReplyTexts& texts, uint64_t time_ns, bool tool_named) {
  ++facts_.stream_chunks;
  const bool content = texts.content.characters > 0, reasoning = texts.reasoning.characters > 0;
  const bool tool = texts.tool_text.characters > 0 || tool_named, audio = texts.audio.characters > 0;
  if (!content && !reasoning && !tool && !audio) return;
  ++facts_.content_chunks;
  const auto first = [time_ns](uint64_t& mark) {
    if (mark == 0) mark = time_ns;
  };
  if (content) first(facts_.first_content_ns);
  if (reasoning) first(facts_.first_reasoning_ns);
  if (tool) first(facts_.first_tool_ns);
  if (audio) first(facts_.first_audio_ns);
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

}  // namespace llmtap
