// SPDX-License-Identifier: Apache-2.0
#include "llm/inlined_responses.h"

namespace llmtap {
namespace {

// ai.google.dev/api/batch-api: a finished operation has its output as `response`, and the same once more
// in the batch's own description. The SDKs read the latter.
constexpr std::string_view kOutput = ".response.inlinedResponses.inlinedResponses[].response";
constexpr std::string_view kDescribed = ".metadata.output.inlinedResponses.inlinedResponses[].response";
// Embeddings do not name their model, their batch does, in front of its output.
constexpr std::string_view kDescription = ".metadata", kModels = "models/";
// Of a file: {"key":…,"response":{…}} to a line.
constexpr std::string_view kLine = ".response";

}  // namespace

InlinedResponses::InlinedResponses(Where where, BatchResults& batch, size_t max_string_bytes)
    : where_(where), batch_(batch), reader_(max_string_bytes) {
  reader_.begin(*this);
}

void InlinedResponses::feed(std::string_view bytes) {
  size_t begin = 0;
  for (size_t i = 0; i < bytes.size() && !broken_; ++i) {
    const char c = bytes[i];
    if (in_string_) {
      if (escaped_)
        escaped_ = false;
      else if (c == '\\')
        escaped_ = true;
      else if (c == '"')
        string_ended();
      // An escape has no place in the names that are asked for: what it leaves is none of them.
      else if (!reading_ && text_.size() <= kMaxNameBytes)
        text_.push_back(c);
    } else if (structural(c)) {
      begin = i;
    } else if (reading_ && depth_ == response_at_) {
      reader_.feed(bytes.substr(begin, i + 1 - begin));
      reading_ = false;
      close();
    }
  }
  if (reading_ && !broken_) reader_.feed(bytes.substr(begin));
}

void InlinedResponses::string_ended() {
  in_string_ = false;
  if (reading_ || depth_ == 0 || depth_ > kMaxLevels) return;
  if (is_key_) {
    key_ = text_.size() > kMaxKeyBytes ? std::string() : text_;
    levels_[depth_ - 1].key_next = false;
  } else if (depth_ == 1 && key_ == "name" && name_.empty() && text_.starts_with("batches/") &&
             text_.size() <= kMaxNameBytes) {
    name_ = text_;
  } else if (depth_ == 2 && key_ == "model" && path_ == kDescription && text_.starts_with(kModels) &&
             text_.size() <= kMaxNameBytes) {
    model_ = text_.substr(kModels.size());
  }
}

bool InlinedResponses::begins_response() {
  if (where_ == Where::kLines) return path_ == kLine;
  if (path_ != kOutput && path_ != kDescribed) return false;
  // Both places say the same: the first one counts.
  if (place_.empty()) place_ = path_;
  return place_ == path_;
}

bool InlinedResponses::open(char c) {
  ++depth_;
  if (reading_ || depth_ > kMaxLevels) return false;
  Level& level = levels_[depth_ - 1];
  level = {.object = c == '{', .key_next = c == '{', .path_bytes = path_.size()};
  if (depth_ > 1) {
    if (levels_[depth_ - 2].object)
      path_.append(".").append(key_);
    else
      path_ += "[]";
  }
  key_.clear();
  if (!level.object || !begins_response()) return false;
  reading_ = true;
  response_at_ = depth_ - 1;
  return true;
}

// Of a container whose end has been counted already.
void InlinedResponses::close() {
  if (depth_ < kMaxLevels) path_.resize(levels_[depth_].path_bytes);
  key_.clear();
}

bool InlinedResponses::structural(char c) {
  switch (c) {
    case '"':
      in_string_ = true;
      text_.clear();
      is_key_ = !reading_ && depth_ > 0 && depth_ <= kMaxLevels && levels_[depth_ - 1].key_next;
      return false;
    case '{':
    case '[': return open(c);
    case '}':
    case ']':
      if (depth_ == 0) {
        broken_ = true;
        return false;
      }
      --depth_;
      if (!reading_) close();
      return false;
    case ',':
      if (!reading_ && depth_ > 0 && depth_ <= kMaxLevels)
        levels_[depth_ - 1].key_next = levels_[depth_ - 1].object;
      return false;
    default: return false;
  }
}

}  // namespace llmtap
