// SPDX-License-Identifier: Apache-2.0
#include "llm/path_ids.h"

#include <algorithm>

#include "base/ascii.h"
#include "llm/redact.h"

namespace llmtap {

namespace {

constexpr size_t kMaxWordBytes = 40;
constexpr std::string_view kIdPrefixes[] = {
    "resp_",  "msg_",  "msgbatch_", "chatcmpl-", "cmpl-", "run_",  "thread_", "asst_",  "file-",    "file_",
    "batch_", "vs_",   "vsf_",      "vsfb_",     "conv_", "call_", "item_",   "ftjob-", "ft-",      "step_",
    "req_",   "gen-",  "sess_",     "upload_",   "part_", "cntr_", "cfile_",  "eval_",  "evalrun_", "video_",
    "toolu_", "user_", "org_",      "proj_",     "key_",  "team_", "acct_",   "wfb_",   "rs_",      "fc_"};

bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !is_hex(text[i])) return false;
  }
  return true;
}

// Crockford's base 32 has no I, L, O, U.
bool is_ulid(std::string_view text) {
  return text.size() == 26 && text[0] >= '0' && text[0] <= '7' && std::ranges::all_of(text, [](char c) {
           return is_digit(c) || (is_upper(c) && std::string_view("ILOU").find(c) == std::string_view::npos);
         });
}

bool has_prefixed_id(std::string_view text) {
  return std::ranges::any_of(kIdPrefixes, [&](std::string_view prefix) {
    const std::string_view rest = text.starts_with(prefix) ? text.substr(prefix.size()) : std::string_view();
    return rest.size() >= 6 && std::ranges::any_of(rest, is_digit);
  });
}

// Long words of an API ("chat-completions-usage") have one case and few digits; random ones do not.
bool is_random(std::string_view text) {
  if (text.size() < 16) return false;
  const auto digits = std::ranges::count_if(text, is_digit);
  const bool both_cases = std::ranges::any_of(text, is_upper) && std::ranges::any_of(text, is_lower);
  return digits >= 4 || (digits >= 1 && both_cases);
}

}  // namespace

bool looks_like_id(std::string_view segment) {
  if (segment.empty()) return false;
  if (segment.size() > kMaxWordBytes) return true;
  if (!std::ranges::all_of(
          segment, [](char c) { return is_alnum(c) || c == '-' || c == '_' || c == '.' || c == '~'; }))
    return true;
  const bool digits = std::ranges::any_of(segment, is_digit);
  if (std::ranges::all_of(segment, is_digit)) return true;
  // A word of the letters a to f alone is a word.
  if (segment.size() >= 8 && digits && std::ranges::all_of(segment, is_hex)) return true;
  return is_uuid(segment) || is_ulid(segment) || has_prefixed_id(segment) || is_random(segment) ||
         mask_secrets(segment) != segment;
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && is_hex(text[i + 1]) && is_hex(text[i + 2])) {
      out += static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace llmtap
