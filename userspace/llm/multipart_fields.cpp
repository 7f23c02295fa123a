// SPDX-License-Identifier: Apache-2.0
#include "llm/multipart_fields.h"

#include <algorithm>

namespace llmtap {

void MultipartFields::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t end = std::min(bytes.find('\n'), bytes.size());
    const size_t room = kMaxLine - line_.size();
    line_.append(bytes.substr(0, std::min(end, room)));
    long_line_ |= end > room;
    if (end == bytes.size()) return;
    end_line();
    bytes.remove_prefix(end + 1);
  }
}

void MultipartFields::end_line() {
  std::string_view line = line_;
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (long_line_) line = {};
  if (first_) {
    boundary_ = line;
    first_ = false;
    in_head_ = boundary_.starts_with("--");
  } else if (!long_line_ && boundary_.size() > 2 && line.starts_with(boundary_)) {
    in_head_ = true;
    wanted_ = nullptr;
  } else if (in_head_) {
    if (line.find("name=\"model\"") != std::string_view::npos) wanted_ = &model_;
    if (line.find("name=\"stream\"") != std::string_view::npos) wanted_ = &stream_;
    if (line.find("filename=") != std::string_view::npos) wanted_ = nullptr;
    if (line.empty() && !long_line_) in_head_ = false;
  } else if (wanted_ != nullptr) {
    if (wanted_->empty()) *wanted_ = line;
    wanted_ = nullptr;
  }
  line_.clear();
  long_line_ = false;
}

}  // namespace llmtap
