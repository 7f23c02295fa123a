// SPDX-License-Identifier: Apache-2.0
// Everything that a ReplyReader found out, as text, for comparing.
#pragma once

#include <sstream>
#include <string>

#include "llm/reply_reader.h"

namespace llmtap::test {

inline std::string reply_text(const ReplyReader& reader) {
  const ReplyFacts& f = reader.facts();
  std::ostringstream out;
  out << f.model << '|' << f.id << '|' << f.service_tier << '|' << f.conversation_id << '|'
      << f.previous_response_id << '|' << f.status << '|' << f.incomplete_reason << "\nusage";
  for (size_t i = 0; i < kUsageFields; ++i)
    if (const auto value = f.usage.get(static_cast<Usage>(i))) out << ' ' << i << '=' << *value;
  out << (f.usage_is_final ? " final" : "") << " cost=" << f.cost_usd.value_or(-1) << "\nfinish";
  for (const std::string& reason : f.finish_reasons) out << ' ' << reason;
  out << "\ntools " << f.tool_calls;
  for (const std::string& name : f.tool_names) out << ' ' << name;
  for (const TextCount& count : {f.content, f.reasoning, f.tool_text})
    out << '\n' << count.characters << '/' << count.wide;
  out << "\nerror " << f.error << '|' << f.error_type << '|' << f.error_code << '|' << f.error_message
      << "\nflags " << f.terminal << f.finish_seen << f.prompt_blocked << int(f.shape) << "\nrecords "
      << f.records << " chunks " << f.stream_chunks << '/' << f.content_chunks << "\nfirst "
      << f.first_content_ns << ' ' << f.first_reasoning_ns << ' ' << f.first_tool_ns << " last "
      << f.last_token_ns << "\ngaps " << f.gaps.total << ' ' << f.gaps.sum_seconds << ' '
      << f.gaps.max_seconds;
  for (const uint64_t count : f.gaps.counts) out << ' ' << count;
  return out.str();
}

}  // namespace llmtap::test
