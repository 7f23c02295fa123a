// SPDX-License-Identifier: Apache-2.0
#include "llm/reply_record.h"

#include <algorithm>

#include "base/ascii.h"
#include "llm/number_checks.h"

namespace llmtap {
namespace {

// Entries of one record; a reply with more choices or calls in one object is not read further.
constexpr size_t kMaxPending = 128;
// Readers kept for the next reply; more are open at once only where bodies are being read.
constexpr size_t kMaxFree = 64;

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

void ReplyRecord::clear() {
  for (std::string* text : {&type,
                            &object,
                            &model,
                            &id,
                            &service_tier,
                            &conversation_id,
                            &previous_response_id,
                            &status,
                            &incomplete_reason,
                            &done_reason,
                            &block_reason,
                            &role,
                            &request_id,
                            &model_name,
                            &instance,
                            &stop_type,
                            &speed,
                            &geo,
                            &error_type,
                            &error_code,
                            &error_message,
                            &top_code,
                            &top_message})
    text->clear();
  usage.clear();
  cost_usd.reset();
  texts = {};
  finishes.clear();
  choice_indices.clear();
  tools.clear();
  items.clear();
  parts.clear();
  details.clear();
  predicted_tokens = 0;
  embedded_tokens.reset();
  images = 0;
  seconds.reset();
  json_rpc = tool_failed = batch_line = refused = repeats = output = meta_info = tgi_token = token_special =
      generated_text = text_output = llama_stop = false;
  error = done = has_done = choices = candidates = usage_metadata = embedding = created_at = message =
      bedrock_output = ended = false;
}

std::unique_ptr<RecordReader> RecordPool::take(RecordListener& listener) {
  std::unique_ptr<RecordReader> reader;
  if (free_.empty()) {
    reader = std::make_unique<RecordReader>(max_string_bytes_);
  } else {
    reader = std::move(free_.back());
    free_.pop_back();
  }
  reader->begin(listener);
  return reader;
}

void RecordPool::give(std::unique_ptr<RecordReader> reader) {
  if (free_.size() < kMaxFree) free_.push_back(std::move(reader));
}

void RecordReader::begin(RecordListener& listener) {
  listener_ = &listener;
  records_ = 0;
  scanner_.reset();
}

void RecordReader::feed_whole(std::string_view bytes) {
  spans_.clear();
  scanner_.trace_into(&spans_);
  scanner_.feed(bytes);
  scanner_.trace_into(nullptr);
}

void RecordReader::on_json_record_begin() {
  record_.clear();
  ++records_;
  listener_->on_record_begin();
}

// Modalities and times to live are known when their lists have been read.
void RecordReader::take_details() {
  if (record_.embedding && record_.embedded_tokens && !record_.usage.has(Usage::kGeminiPrompt))
    record_.usage.set(Usage::kGeminiPrompt, *record_.embedded_tokens);
  if (record_.predicted_tokens > 0) record_.usage.set(Usage::kGeminiPrompt, record_.predicted_tokens);
  for (const ReplyRecord::Detail& detail : record_.details) {
    if (!detail.counts()) continue;
    if (detail.write) {
      record_.usage.set(Usage::kBedrockCacheWrite1h, detail.count);
    } else if (detail.kind == "AUDIO") {
      record_.usage.set(detail.output ? Usage::kOutputAudio : Usage::kInputAudio, detail.count);
    } else {
      record_.usage.set(detail.output ? Usage::kOutputImage : Usage::kInputImage, detail.count);
    }
  }
}

void RecordReader::on_json_record_end() {
  take_details();
  record_.ended = true;
  listener_->on_record_end();
}

ReplyRecord::Tool& RecordReader::tool_at(const JsonPlace& place) {
  const uint32_t choice = level(place, 0), position = level(place, 1);
  return find_or_add(
      record_.tools, [&](const ReplyRecord::Tool& t) { return t.choice == choice && t.position == position; },
      ReplyRecord::Tool{.choice = choice, .position = position});
}

ReplyRecord::Item& RecordReader::item_at(const JsonPlace& place) {
  const uint32_t position = level(place, 0);
  return find_or_add(
      record_.items, [&](const ReplyRecord::Item& i) { return i.position == position; },
      ReplyRecord::Item{.position = position});
}

ReplyRecord::Part& RecordReader::part_at(const JsonPlace& place) {
  const uint32_t choice = level(place, 0), position = level(place, 1);
  return find_or_add(
      record_.parts, [&](const ReplyRecord::Part& p) { return p.choice == choice && p.position == position; },
      ReplyRecord::Part{.choice = choice, .position = position});
}

ReplyRecord::Detail& RecordReader::detail_at(const JsonPlace& place, bool output, bool write) {
  const uint32_t position = level(place, 0);
  return find_or_add(
      record_.details,
      [&](const ReplyRecord::Detail& d) {
        return d.position == position && d.output == output && d.write == write;
      },
      ReplyRecord::Detail{.position = position, .output = output, .write = write});
}

void RecordReader::on_json_string(uint16_t field, const JsonPlace& place, std::string_view value, bool) {
  ReplyRecord& r = record_;
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
    case ReplyField::kRequestId: r.request_id = value; break;
    case ReplyField::kModelName: r.model_name = value; break;
    case ReplyField::kInstance: r.instance = value; break;
    case ReplyField::kStopType: r.stop_type = value; break;
    case ReplyField::kTrafficType:
      if (r.service_tier.empty()) r.service_tier = value;
      break;
    case ReplyField::kInputModality: detail_at(place, false, false).kind = value; break;
    case ReplyField::kOutputModality: detail_at(place, true, false).kind = value; break;
    case ReplyField::kWriteTtl: detail_at(place, false, true).kind = value; break;
    case ReplyField::kSpeed: r.speed = value; break;
    case ReplyField::kRpcVersion: r.json_rpc = value == "2.0"; break;
    case ReplyField::kCustomId: r.batch_line = true; break;
    case ReplyField::kGeo: r.geo = value; break;
    // A 64-bit number is a string in Google's JSON.
    case ReplyField::kEmbeddedTokens: r.embedded_tokens = parse_integer<uint64_t>(value); break;
    default: break;
  }
}

void RecordReader::on_json_number(uint16_t field, const JsonPlace& place, const JsonNumber& number) {
  ReplyRecord& r = record_;
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
    case ReplyField::kSeconds:
      if (number.value >= 0) r.seconds = number.value;
      break;
    case ReplyField::kInputCount: detail_at(place, false, false).count = as_count(number).value_or(0); break;
    case ReplyField::kOutputCount: detail_at(place, true, false).count = as_count(number).value_or(0); break;
    case ReplyField::kWriteCount: detail_at(place, false, true).count = as_count(number).value_or(0); break;
    case ReplyField::kPredictedTokens: r.predicted_tokens += as_count(number).value_or(0); break;
    case ReplyField::kEmbeddedTokens: r.embedded_tokens = as_count(number); break;
    case ReplyField::kErrorCode: r.error_code = number_text(number); break;
    case ReplyField::kTopCode: r.top_code = number_text(number); break;
    default: break;
  }
}

void RecordReader::on_json_bool(uint16_t field, const JsonPlace& place, bool value) {
  switch (static_cast<ReplyField>(field)) {
    case ReplyField::kDone:
      record_.has_done = true;
      record_.done = value;
      break;
    case ReplyField::kPartThought: part_at(place).thought = value; break;
    case ReplyField::kTokenSpecial: record_.token_special = value; break;
    case ReplyField::kToolFailed: record_.tool_failed = value; break;
    case ReplyField::kLlamaStop: record_.llama_stop = true; break;
    case ReplyField::kInterrupted: record_.interrupted = value; break;
    default: break;
  }
}

void RecordReader::on_json_text(uint16_t field, const JsonPlace& place, const JsonText& text) {
  ReplyRecord& r = record_;
  switch (static_cast<ReplyField>(field)) {
    case ReplyField::kContent: r.texts.content.add(text.characters, text.wide); break;
    case ReplyField::kChoiceText: r.texts.choice_text.add(text.characters, text.wide); break;
    case ReplyField::kReasoning: r.texts.reasoning.add(text.characters, text.wide); break;
    case ReplyField::kToolText: r.texts.tool_text.add(text.characters, text.wide); break;
    case ReplyField::kAudioText: r.texts.audio.add(text.characters, text.wide); break;
    case ReplyField::kDeltaString: r.texts.delta.add(text.characters, text.wide); break;
    case ReplyField::kPartText: part_at(place).text.add(text.characters, text.wide); break;
    case ReplyField::kTextSoFar: r.repeats = true, r.texts.so_far.add(text.characters, text.wide); break;
    case ReplyField::kReasoningSoFar:
      r.repeats = true;
      r.texts.reasoning_so_far.add(text.characters, text.wide);
      break;
    case ReplyField::kRootText: r.repeats = true, r.texts.root.add(text.characters, text.wide); break;
    case ReplyField::kTokenText: r.repeats = true, r.texts.token.add(text.characters, text.wide); break;
    case ReplyField::kGeneratedText:
      r.repeats = r.generated_text = true;
      r.texts.generated.add(text.characters, text.wide);
      break;
    case ReplyField::kTextOutput:
      r.text_output = true;
      r.texts.content.add(text.characters, text.wide);
      break;
    case ReplyField::kRefusal:
      r.refused |= text.characters > 0;
      r.texts.content.add(text.characters, text.wide);
      r.repeats = true;
      break;
    case ReplyField::kImage: r.images = std::max(r.images, level(place, 0) + 1); break;
    default: break;
  }
}

void RecordReader::on_json_open(uint16_t field, const JsonPlace&) {
  ReplyRecord& r = record_;
  switch (static_cast<ReplyField>(field)) {
    case ReplyField::kChoices: r.choices = true; break;
    case ReplyField::kCandidates: r.candidates = true; break;
    case ReplyField::kUsageMetadata: r.usage_metadata = true; break;
    case ReplyField::kEmbedding: r.embedding = true; break;
    case ReplyField::kMessageOpen: r.message = true; break;
    case ReplyField::kBedrockOutput: r.bedrock_output = true; break;
    case ReplyField::kErrorOpen: r.error = true; break;
    case ReplyField::kOutputOpen: r.output = true; break;
    case ReplyField::kMetaInfo: r.meta_info = true; break;
    case ReplyField::kTgiToken: r.tgi_token = true; break;
    default: break;
  }
}

}  // namespace llmtap
